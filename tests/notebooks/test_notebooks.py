"""Notebooks run from top to bottom on generated archives, find what happened, and are committed without outputs.

A cell is run as a kernel would: what its last expression shows is kept as HTML, and all plots are drawn.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import yaml
from matplotlib.text import Text

from batcher.errors import UsageError
from batcher.settings import validate_rule
from tests.history import history
from tests.notebooks.week import archived, week
from tests.scenarios.player import START
from tests.service.world import batcher

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = ["fleet-week", "incident", "noisiest"]
HOSTILE = "$\\q$\u4e2d*<script>alert(1)</script>\x1b[31m\u202e_"


class Ran:
    """What a notebook left behind."""

    def __init__(self, names: dict[str, Any], html: list[str], texts: list[Any]) -> None:
        self.names = names
        self.html = html
        """Of what its cells showed."""
        self.texts = texts
        """Of its plots."""

    def rows(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.names[name].select(*columns).rows()
        return rows


def cells(name: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return found


def run(name: str, archive: Path, monkeypatch: pytest.MonkeyPatch, **parameters: str) -> Ran:
    for parameter, value in {"ARCHIVE": str(archive), **parameters}.items():
        monkeypatch.setenv(parameter, value)
    plt.switch_backend("agg")
    ran = Ran({}, [], [])
    with plt.rc_context():
        try:
            for cell in cells(name):
                if cell["cell_type"] == "code":
                    ran.html += _run("".join(cell["source"]), ran.names)
            ran.texts += _drawn()
        finally:
            plt.close("all")
    return ran


def _run(source: str, names: dict[str, Any]) -> Iterator[str]:
    *body, last = ast.parse(source).body
    is_shown = isinstance(last, ast.Expr)
    exec(compile(ast.Module(body if is_shown else [*body, last], []), "cell", "exec"), names)  # noqa: S102  our own
    if isinstance(last, ast.Expr):
        shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307  our own
        if hasattr(shown, "_repr_html_"):
            yield shown._repr_html_()


def _drawn() -> Iterator[Any]:
    for number in plt.get_fignums():
        figure = plt.figure(number)
        figure.canvas.draw()
        yield from figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text() != "")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archived(tmp_path_factory.mktemp("week"), week())


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    told = week(reason=HOSTILE, message=f"{HOSTILE} is said", trouble=f"{HOSTILE}!")
    return archived(tmp_path_factory.mktemp("hostile"), told)


def test_there_are_three() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_committed_without_outputs(name: str) -> None:
    assert [cell["id"] for cell in cells(name) if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.parametrize("name", NAMES)
def test_its_parameters_are_in_one_cell_and_before_each_step_stands_what_to_look_at(name: str) -> None:
    found = cells(name)
    assert [cell["id"] for cell in found if "environ" in "".join(cell["source"])] == ["parameters"]
    prose = [cell for cell in found if cell["cell_type"] == "markdown"]
    assert found[0] is prose[0]
    assert all(cell["cell_type"] == "markdown" for cell in found if cell["id"].endswith("-why"))
    assert len(prose) >= 7


@pytest.mark.parametrize("what", ["data", "archive"])
def test_an_incident_is_told_with_its_spread_its_cause_and_who_was_spared(
    data: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("incident", data.parent / what, monkeypatch)
    incident = ran.names["incident"]
    assert (incident["reason"], incident["value"], incident["workspace"]) == (
        "Failed", "ghcr.io/acme/web:1.43", "root:shop",
    )  # fmt: skip
    assert ran.rows("spread", "cluster", "occurrences", "seconds_after") == [
        ("us", 63, 0), ("eu", 39, 240), ("ap", None, None),
    ]  # fmt: skip
    assert ran.rows("members", "cluster", "kind", "name", "reason", "occurrences") == [
        ("us", "Deployment", "web", "Failed", 63), ("eu", "Deployment", "web", "Failed", 39),
    ]  # fmt: skip
    assert ran.rows("causes", "cluster", "root_at", "root_kind", "root_name", "path") == [
        ("us", datetime(2026, 11, 25, 8, 10, tzinfo=UTC), "Deployment", "web", "ScalingReplicaSet > Failed"),
        ("eu", datetime(2026, 11, 25, 8, 14, tzinfo=UTC), "Deployment", "web", "ScalingReplicaSet > Failed"),
    ]
    assert ran.rows("nearby", "cluster", "reason", "by", "occurrences", "began_before") == [
        ("us", "ScalingReplicaSet", ["owner"], 1, True),
        ("us", "Killing", ["node", "object", "owner"], 15, False),
        ("eu", "ScalingReplicaSet", ["owner"], 1, False),
    ]
    assert ran.rows("spared", "cluster", "revisions", "warnings", "normals", "was_not_heard") == [
        ("ap", 2, 0, 1, False)
    ]
    pulse = ran.names["pulse"]
    assert pulse.filter(cluster="us")["occurrences"].to_list() == [6] * 10 + [3]
    assert pulse.filter(cluster="eu")["occurrences"].to_list() == [6] * 6 + [3]


def test_an_incident_that_goes_on_is_told_from_what_is_not_delivered_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    so_far = [line for line in week() if START + timedelta(days=2) <= line.at < START + timedelta(days=2, minutes=17)]
    ran = run("incident", archived(tmp_path, so_far, deliver=False), monkeypatch)
    assert not (tmp_path / "archive").exists()
    assert ran.rows("spread", "cluster", "occurrences") == [("us", 42), ("eu", 18), ("ap", None)]
    assert ran.names["pulse"].filter(cluster="us")["occurrences"].to_list() == [6] * 7
    assert ran.rows("nearby", "cluster", "reason") == [
        ("us", "ScalingReplicaSet"), ("us", "Killing"), ("eu", "ScalingReplicaSet"),
    ]  # fmt: skip


def test_an_incident_is_chosen_by_how_its_id_begins(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = run("incident", data, monkeypatch).names["incident"]["incident"]
    assert run("incident", data, monkeypatch, INCIDENT=known[:6]).names["incident"]["incident"] == known
    with pytest.raises(UsageError, match=r"^no incident zzzz in .*; see: batcher incidents list$"):
        run("incident", data, monkeypatch, INCIDENT="zzzz")


def test_the_noisiest_are_found_and_rules_for_those_in_no_incident(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run("noisiest", data, monkeypatch)
    assert ran.rows("verdicts", "verdict", "revisions", "occurrences") == [("kept", 155, 827)]
    source = ("reason", "cluster", "namespace", "controller", "occurrences", "revisions", "hours", "in_an_incident")
    assert ran.rows("sources", *source)[:6] == [
        ("Failed", "us", "shop", "kubelet", 63, 63, 1, True),
        ("Failed", "eu", "shop", "kubelet", 39, 39, 1, True),
        ("Killing", "us", "shop", "kubelet", 15, 15, 1, False),
        ("Unhealthy", "eu", "site", "kubelet", 350, 14, 7, False),
        ("Unhealthy", "us", "site", "kubelet", 350, 14, 7, False),
        ("Pulled", "ap", "site", "kubelet", 7, 7, 7, False),
    ]
    assert ran.rows("templates", "template", "revisions", "occurrences")[:2] == [
        ('Failed to pull image "ghcr.io/acme/web:1.43": not found', 102, 102),
        ("Readiness probe failed: HTTP probe failed", 28, 700),
    ]
    assert ran.names["shares"]["revisions"].round(1).to_list()[:4] == [40.6, 25.2, 9.7, 9.0]
    assert (ran.names["most"], ran.names["sources"].height) == (4, 9)
    assert [sum(line) for line in ran.names["grid"][:5]] == [63, 39, 15, 350, 350]


def test_the_rules_can_be_pasted_and_say_what_they_would_save(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run("noisiest", data, monkeypatch)
    rules = yaml.safe_load(ran.names["document"])["rules"]
    assert rules[0] == {
        "name": "noise-1-site-unhealthy",
        "action": "shadow",
        "match": {"types": ["Warning"], "reasons": ["Unhealthy"], "namespaces": ["site"], "clusters": ["eu", "us"]},
    }
    assert [validate_rule(rule, "rule").name for rule in rules] == [
        "noise-1-site-unhealthy", "noise-2-site-pulled", "noise-3-shop-killing",
    ]  # fmt: skip
    assert ran.rows("savings", "occurrences", "revisions", "writes") == [(700, 28, 28), (7, 7, 7), (15, 15, 6)]
    assert ran.names["whole"] == {"occurrences": 827, "revisions": 155, "writes": 55}


def test_fewer_days_are_fewer_rows(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run("noisiest", data, monkeypatch, DAYS="1.5")
    assert ran.rows("verdicts", "verdict", "revisions", "occurrences") == [("kept", 10, 202)]


@pytest.mark.parametrize("what", ["data", "archive"])
def test_a_week_is_told_with_its_warnings_incidents_gaps_lag_and_noise(
    data: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("fleet-week", data.parent / what, monkeypatch)
    assert (ran.names["clusters"], ran.names["grid"]) == (
        ["ap", "eu", "us"],
        [[0] * 7, [50, 50, 89, 50, 50, 50, 50], [50, 50, 113, 50, 50, 50, 50]],
    )
    assert ran.rows("reasons", "reason", "warnings", "clusters", "days", "busiest_day") == [
        ("Unhealthy", 700, 2, 7, 100), ("Failed", 102, 2, 1, 102),
    ]  # fmt: skip
    assert ran.rows("incidents", "reason", "clusters", "absent", "occurrences", "minutes") == [
        ("Failed", 2, 1, 102, 10)
    ]
    assert ran.names["gap_hours"] == {"ap": 8.0, "eu": 0, "us": 0}
    monday = ran.names["lag"].filter(day=date(2026, 11, 23))
    assert monday.select("cluster", "p50_seconds", "p99_seconds").rows() == [
        ("ap", 2.0, 2.0), ("eu", 2.0, 2.0), ("us", 2.0, 2.0),
    ]  # fmt: skip
    assert ran.rows("flow", "received", "revisions", "occurrences")[2:4] == [(125, 125, 221), (5, 5, 101)]
    assert ran.names["flow"]["writes"].to_list() == [0, 3, 17, 3, 3, 3, 3]
    assert ran.names["flow"]["reduction"].round(1).to_list() == [None, 1.7, 7.4, 1.7, 1.7, 1.7, 1.7]


def test_a_week_may_end_on_any_day(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run("fleet-week", data, monkeypatch, LAST_DAY="2026-11-25")
    assert ran.names["grid"] == [[0] * 7, [0, 0, 0, 0, 50, 50, 89], [0, 0, 0, 0, 50, 50, 113]]
    assert ran.names["gap_hours"] == {"ap": 0, "eu": 0, "us": 0}


@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_stays_text_in_tables_and_plots(hostile: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run(name, hostile, monkeypatch)
    page = "".join(ran.html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    outside = re.sub(r"<span>[$\\]</span>", "", page)
    assert not set("$\\\x1b\u202e") & set(outside)
    drawn = [text.get_text() for text in ran.texts]
    assert any("$\\q$\\u4e2d*<sc" in text for text in drawn)
    assert not any(text.get_parse_math() for text in ran.texts)
    assert all(text.isascii() and text.isprintable() for text in drawn)


def test_no_reason_makes_a_rule_that_matches_everything(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run("noisiest", hostile, monkeypatch)
    first = yaml.safe_load(ran.names["document"])["rules"][0]
    assert first["match"]["reasons"] == [HOSTILE.replace("*", "?")]
    assert ran.names["document"].isascii()
    assert ran.rows("savings", "occurrences")[0] == (700,)


def test_an_archive_of_nothing_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with history(tmp_path / "data") as h:
        h.batch(minute=0)
    for name, said in (
        ("incident", "no incident in .*; see: batcher incidents list"),
        ("noisiest", ".*archive: no Event was received yet"),
        ("fleet-week", ".*archive: no Event was received yet"),
    ):
        with pytest.raises(UsageError, match=f"^{said}$"):
            run(name, tmp_path / "data", monkeypatch)


async def test_a_demo_is_counted_as_its_report_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with batcher("demo", "--duration", "2s", "--data-dir", str(tmp_path / "d"), "--output", "json") as demo:
        report = json.loads((await demo.communicate())[0])
    ran = run("fleet-week", tmp_path / "d", monkeypatch)
    assert ran.names["per_day"]["occurrences"].sum() == report["occurrences"]
    assert ran.names["flow"]["revisions"].sum() == report["revisions"]
    ran = run("noisiest", tmp_path / "d", monkeypatch)
    assert ran.names["verdicts"]["occurrences"].sum() == report["occurrences"]
