"""The corpus goes through a real run, and then through everything that a person or a program reads of it."""

import asyncio
import csv
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import polars as pl
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from batcher.archive import scan
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.cli import app
from batcher.sandbox.faults import Answer
from batcher.sandbox.resources import EVENTS
from tests.bundle.test_bundle import unpacked
from tests.called import called
from tests.notebooks.test_notebooks import run as run_notebook
from tests.security.corpus import HUGE, LINES, SENTINEL, TEXTS, event, events, hostile, marked
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, until, world

pytestmark = pytest.mark.xdist_group("hostile")  # one run for all of them

CLUSTERS = ("us-west1", "eu-central1")
OF_A_CLUSTER = 5 * len(TEXTS) + 3
"""Occurrences: three of each text in a namespace that has a workspace, two where the text is the namespace."""
LABELS = {
    "cluster", "workspace", "reason", "fate", "verdict", "end", "rule", "action", "cause", "flaw", "side", "name", "le",
}  # fmt: skip
"""Of metrics; a name is that of a cluster or a workspace of the configuration (of a token), never an Event's."""
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
ALL = ("-A", "--limit", "0")


@dataclass
class Ran:
    """What a run left behind, and what it said while it went on."""

    folder: Path
    ticks: int
    """How many harmless Events there were besides."""
    log: str
    answers: dict[str, str]
    """Of HTTP, by path."""
    told: list[dict[str, Any]]
    """The Events in the workspace."""
    checks: dict[str, str]
    """What ``batcher check`` printed, by form."""

    @property
    def directory(self) -> DataDirectory:
        return DataDirectory(self.folder / "data")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Any) -> Ran:
    return asyncio.run(_run(tmp_path_factory.mktemp("hostile"), unused_tcp_port_factory()))


async def _run(folder: Path, port: int) -> Ran:
    async with world(folder) as w:
        w.configure(
            log={"level": "debug", "format": "json"},
            serve={"port": port},
            filter={"rules": [{"name": "said", "action": "shadow", "match": {"message": "[a-z]"}}]},
            aggregation={"window": "5s"},
            correlation={"window": "5s"},
            publish={"perWorkspacePerSecond": 1000, "maxAge": "2s"},
        )
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: bool(w.totals()))
            w.sandbox.kcp.faults = replace(w.sandbox.kcp.faults, answers=(Answer(422, "create", times=3),))
            for cluster in CLUSTERS:
                for namespace, each in events("web"):
                    w.sandbox.clusters[cluster].create_object(EVENTS, namespace, each)
            _insert(w)
            ticks = await _tick_until(w, lambda: _is_over(w))
            answers = {path: await _answer(port, path) for path in ("/metrics", "/livez", "/readyz?verbose")}
            checks = {form: await _check(w, form) for form in ("text", "wide", "json", "yaml")}
            code, out, log = await finish(process)
        assert (code, out) == (0, "")
        return Ran(folder, ticks, log, answers, w.sandbox.kcp.workspaces["root:shop"].events(), checks)


def _insert(w: World) -> None:
    """Each line into the stream of a cluster of its own: who sends one is listed again."""
    for cluster, line in zip(w.sandbox.clusters.values(), LINES, strict=True):
        cluster.faults = replace(cluster.faults, inserts=(line,))
        cluster.create_object(EVENTS, "jobs", back_off("jobs", "behind"))


async def _tick_until(w: World, condition: Callable[[], bool]) -> int:
    """Let something happen from time to time, for nothing ends where nothing comes; return how often."""
    ticks = 0
    while not condition():
        before = w.totals()["revisions"]
        tick = back_off("jobs", f"tick-{ticks}") | {"type": "Normal", "reason": "Pulled", "count": 1}
        w.sandbox.clusters["ap-south1"].create_object(EVENTS, "jobs", tick)
        ticks += 1
        await until(lambda: w.totals()["revisions"] > before)  # noqa: B023  asked before the next turn
    return ticks


def _is_over(w: World) -> bool:
    totals = w.totals()
    return min(totals["dead_lettered"] - 2, totals["incidents"] - len(TEXTS), totals["quarantined"] - 2) > 0


async def _answer(port: int, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return (await response.read()).decode()


async def _check(w: World, form: str) -> str:
    _, out, _ = await called("check", "--config", str(w.config), "-o", form)
    return out


def asked(ran: Ran, *arguments: str) -> Result:
    """Ask the command line, in this process: a new one for each would take a minute."""
    result = CliRunner().invoke(app, [*arguments, "--data-dir", str(ran.directory.root)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def out(ran: Ran, *arguments: str) -> str:
    result = asked(ran, *arguments)
    assert result.exit_code == 0, (arguments, result.output)
    return result.stdout


def occurrences(ran: Ran) -> pl.DataFrame:
    return scan(ran.directory.archive, "occurrences", staged_paths(ran.directory)["occurrences"]).collect()


def incidents(ran: Ran) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out(ran, "incidents", "list", "-o", "json"))
    return found


def failed(ran: Ran) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out(ran, "failed", "list", "-o", "json"))
    return found


def test_every_hostile_event_is_counted_exactly_and_found_as_it_was(ran: Ran) -> None:
    rows = occurrences(ran).filter(pl.col("namespace") != "jobs")
    by_message = Counter(dict(rows.group_by("message").agg(pl.sum("grew")).iter_rows()))
    assert by_message == {marked(label): 10 for label in TEXTS} | {HUGE: 6}
    for column in ("reason", "regarding_kind", "regarding_name", "regarding_field_path", "component", "host"):
        assert set(rows[column]) >= {marked(label) for label in TEXTS}, column
    assert occurrences(ran)["grew"].sum() == 2 * OF_A_CLUSTER + 9 + ran.ticks
    assert "FAILED" not in out(ran, "verify", "--deep")


def test_a_workspace_is_told_valid_events_with_the_text_as_it_was(ran: Ran) -> None:
    messages = Counter(text for label in TEXTS for each in ran.told if (text := marked(label)) in each["message"])
    assert len(messages) >= len(TEXTS) - 3
    labels = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
    for each in ran.told:
        metadata = each["metadata"]
        assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", metadata["name"])
        assert len(metadata["name"]) <= 253
        assert (metadata["namespace"], each["involvedObject"]["namespace"]) == ("web", "web")
        assert all(key.startswith(("kcp.io/", "batcher.kcp.io/")) for key in metadata["annotations"])
        assert all(key.startswith(("kcp.io/", "batcher.kcp.io/")) for key in metadata["labels"])
        assert all(labels.fullmatch(value) for value in metadata["labels"].values()), metadata["labels"]
        assert len(each["message"].encode()) <= 1024


def terminal(ran: Ran) -> Iterator[tuple[str, ...]]:
    """Every command that prints for people, in each of its forms."""
    for form in ("text", "wide"):
        yield from (
            ("events", *ALL, "-o", form), ("incidents", "list", "-o", form), ("rules", "list", "-o", form),
            ("mapping", "list", "-o", form), ("failed", "list", "-o", form), ("archive", "status", "-o", form),
            ("rules", "test", "said", "--samples", "1000", "--top", "1000", "-o", form),
        )  # fmt: skip
    yield ("events", *ALL, "-o", "name")
    yield from (("status",), ("verify",), ("resync", "--dry-run"), ("archive", "compact", "--dry-run"))
    yield ("archive", "purge", "--workspace", "root:shop", "--dry-run")
    yield from (("sql", f"FROM {name}") for name in ("occurrences", "summaries", "incidents", "dead_letters"))
    yield from (("failed", "show", each["id"]) for each in failed(ran))
    for label in ("moves the cursor", "bidi overrides", "a forged log line"):
        (incident,) = [each for each in incidents(ran) if each["reason"] == marked(label)]
        yield ("incidents", "describe", incident["id"])
        yield ("why", f"name {marked(label)}")
        yield ("mapping", "describe", marked(label), "--cluster", "us-west1")


def test_nothing_on_a_terminal_moves_the_cursor_or_hides_or_turns_what_is_said(ran: Ran) -> None:
    for arguments in terminal(ran):
        result = asked(ran, *arguments)
        assert result.exit_code == 0 or arguments[0] == "status", (arguments, result.output)
        assert hostile(result.stdout + result.stderr) == set(), arguments
    for form in ("text", "wide"):
        assert hostile(ran.checks[form]) == set()


def test_no_text_forges_a_row(ran: Ran) -> None:
    each = 2 * len(TEXTS) + 1
    assert len(out(ran, "events", *ALL).splitlines()) == 1 + 2 * each + 3 + ran.ticks
    assert len(out(ran, "events", *ALL, "-o", "wide").splitlines()) == 1 + 2 * each + 3 + ran.ticks
    assert len(out(ran, "events", *ALL, "-o", "name").splitlines()) == 2 * each + 3 + ran.ticks
    assert len(out(ran, "incidents", "list").splitlines()) == 1 + len(incidents(ran))
    assert len(out(ran, "failed", "list").splitlines()) == 1 + len(failed(ran))
    known = json.loads(out(ran, "mapping", "list", "-o", "json"))
    assert len(out(ran, "mapping", "list").splitlines()) == 1 + len(known) > 2 * len(TEXTS)
    assert (
        len(out(ran, "sql", "SELECT * FROM occurrences", "--limit", "0").splitlines()) == 1 + 2 * each + 3 + ran.ticks
    )
    told = out(ran, "why", f"name {marked('a forged log line')}").splitlines()
    assert [line for line in told if line.startswith(("{", "2026"))] == []
    assert {line[:12].strip() for line in told if not line.startswith("To do")} >= {"event", "message", "as of"}


def documents(ran: Ran) -> Iterator[tuple[str, ...]]:
    """Every command that prints for programs, but for its form."""
    yield from (("events", *ALL), ("incidents", "list"), ("rules", "list"), ("rules", "test", "said"))
    yield from (("mapping", "list"), ("failed", "list"), ("archive", "status"))
    yield from (("incidents", "describe", each["id"]) for each in incidents(ran)[:3])
    yield from (("failed", "show", each["id"]) for each in failed(ran)[:3])
    yield ("why", f"name {marked('bidi overrides')}")
    yield ("mapping", "describe", marked("bidi overrides"), "--cluster", "us-west1")


def test_json_and_yaml_are_the_same_and_escape_what_they_keep(ran: Ran) -> None:
    for arguments in documents(ran):
        as_json, as_yaml = out(ran, *arguments, "-o", "json"), out(ran, *arguments, "-o", "yaml")
        assert (hostile(as_json), hostile(as_yaml)) == (set(), set()), arguments
        if arguments[0] not in {"rules", "why"}:  # whose documents have the moment of asking
            assert json.loads(as_json) == yaml.safe_load(as_yaml), arguments
    for form in (("status",), ("verify",), ("resync", "--dry-run"), ("sql", "SELECT * FROM summaries")):
        text = asked(ran, *form, "-o", "json").stdout
        assert hostile(text) == set(), form
        json.loads(text)
    items = json.loads(out(ran, "events", *ALL, "-o", "json"))["items"]
    assert Counter(each["message"] for each in items) >= Counter({marked(label): 4 for label in TEXTS})
    assert {marked(label) for label in TEXTS} <= {each["involvedObject"]["name"] for each in items}
    json.loads(ran.checks["json"])
    yaml.safe_load(ran.checks["yaml"])


def test_no_cell_of_csv_is_a_formula_or_moves_a_cursor(ran: Ran, tmp_path: Path) -> None:
    asked_for = out(ran, "sql", "SELECT * FROM occurrences", "--limit", "0", "-o", "csv")
    out(ran, "archive", "export", "--since", "24h", "--format", "csv", "-o", str(tmp_path / "csv"))
    files = {path.parent.name: path.read_text(encoding="utf-8") for path in (tmp_path / "csv").rglob("*.csv")}
    assert files.keys() >= {"occurrences", "summaries", "incidents", "dead_letters", "batches"}
    for name, text in {"sql": asked_for, **files}.items():
        rows = _rows(text)
        assert len({len(row) for row in rows}) == 1, name
        cells = {cell for row in rows for cell in row}
        assert {cell for cell in cells if cell.startswith(FORMULAS) and not _is_number(cell)} == set(), name
        assert {cell for cell in cells if cell.lstrip().startswith(FORMULAS) and not _is_number(cell)} == set(), name
        assert hostile(text) == set(), name
    assert len(_rows(files["occurrences"])) == 1 + len(occurrences(ran))


def _rows(text: str) -> list[list[str]]:
    csv.field_size_limit(len(HUGE) + 1)
    return list(csv.reader(io.StringIO(text, newline="")))


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", cell) is not None


def test_other_exports_have_every_text_as_it_was_and_escape_it_where_it_is_read(ran: Ran, tmp_path: Path) -> None:
    for form in ("json", "parquet"):
        out(ran, "archive", "export", "--since", "24h", "--format", form, "-o", str(tmp_path / form))
    text = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "json" / "occurrences").glob("*"))
    rows = [json.loads(line) for line in text.split("\n") if line]
    exact = pl.read_parquet(tmp_path / "parquet" / "occurrences" / "*.parquet")
    assert Counter(row["message"] for row in rows) == Counter(exact["message"]) == Counter(occurrences(ran)["message"])
    assert hostile(text) == set()
    file = tmp_path / "all.parquet"
    asked(ran, "sql", "SELECT message FROM occurrences", "--to", str(file))
    assert Counter(pl.read_parquet(file)["message"]) == Counter(exact["message"])


def test_every_line_of_the_log_is_one_object_that_no_event_forged(ran: Ran) -> None:
    lines = [json.loads(line) for line in ran.log.splitlines()]
    assert {line["level"] for line in lines} <= {"debug", "info", "warning", "error"}
    assert {"batch", "stopped"} <= {line["event"] for line in lines}
    assert all(re.fullmatch(r"[a-zA-Z ,;:'-]+", line["event"]) for line in lines)
    assert not any(SENTINEL in str(line) or "evil" in str(line) for line in lines)
    assert hostile(ran.log) == set()


def test_metrics_are_readable_and_have_no_label_of_an_event(ran: Ran) -> None:
    text = ran.answers["/metrics"]
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (counted,) = families["batcher_event_occurrences"].samples
    assert counted.value == 2 * OF_A_CLUSTER + 9 + ran.ticks
    ours = [each for name, family in families.items() if name.startswith("batcher_") for each in family.samples]
    assert {name for each in ours for name in each.labels} <= LABELS
    values = {value for each in ours for name, value in each.labels.items() if name != "le"}
    assert [value for value in values if not re.fullmatch(r"[A-Za-z0-9:_, -]*", value)] == []
    assert len(ours) < 400
    assert hostile(text) == set()


def test_health_says_nothing_of_an_event(ran: Ran) -> None:
    assert ran.answers["/livez"] == "ok\n"
    assert ran.answers["/readyz?verbose"] == "[+]spool ok\n[+]clusters ok\nreadyz check passed\n"


class Elements(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # type: ignore[explicit-override]  # typing.override: 3.12
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("name", ["fleet-week", "incident", "noisiest"])
def test_a_notebook_shows_text_and_makes_no_element_or_link_of_it(
    ran: Ran, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"constrained_layout|Glyph|Tight layout")
        left = run_notebook(name, ran.directory.root, monkeypatch)
    page = Elements()
    page.feed("".join(left.html))
    assert page.tags <= {"div", "table", "thead", "tbody", "tr", "th", "td", "span"}
    assert page.attributes <= {"class", "style"}
    assert hostile("".join(left.html)) == set()
    assert all(text.get_text().isascii() for text in left.texts)
    assert not any(text.get_parse_math() for text in left.texts)


def test_a_bundle_has_members_of_known_names_and_escapes_what_it_is_asked_to_have(ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(ran.log, encoding="utf-8")
    config = ("--config", str(ran.folder / "batcher.yaml"), "--log", str(tmp_path / "log"))
    bundled: dict[str, dict[str, str]] = {}
    for name, more in (("without", ()), ("with", ("--with-events",))):
        file = tmp_path / f"{name}.tar.gz"
        printed = out(ran, "debug", "bundle", "-o", str(file), *config, *more)
        members = bundled[name] = unpacked(file)
        assert all(re.fullmatch(r"[a-z-]+\.(json|yaml|tsv|txt|ndjson)", member) for member in members)
        assert [name for name, text in members.items() if hostile(text, allowed="\n\t")] == []
        assert hostile(printed) == set()
    lines = bundled["with"]["events.ndjson"].splitlines()
    assert {json.loads(line)["message"] for line in lines} >= {marked(label) for label in TEXTS}
    assert not any("evil" in text or SENTINEL in text for text in bundled["without"].values())


@pytest.mark.parametrize(
    "command", [("events", "--for"), ("incidents", "describe"), ("failed", "show"), ("sql",)], ids=" ".join
)
async def test_an_error_is_one_line_whatever_it_repeats(ran: Ran, command: tuple[str, ...]) -> None:
    text = "".join(TEXTS[label] for label in ("every C0 but NUL", "C1", "bidi overrides", "a forged log line"))
    code, printed, err = await called(*command, text, "--data-dir", str(ran.directory.root))
    assert (code, printed, len(err.split("\n"))) == (2, "", 2)
    assert hostile(err) == set()


async def test_a_demo_of_a_hostile_dump_reports_in_lines_of_eighty_columns(tmp_path: Path) -> None:
    texts = [marked(label) for label in TEXTS]
    items = [event(text, "web", name=f"name-{number}", count=3) for number, text in enumerate(texts)]
    (tmp_path / "dump.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
    arguments = ("demo", "--replay", str(tmp_path / "dump.json"), "--data-dir", str(tmp_path / "d"))
    async with batcher(*arguments) as process:
        printed, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert f"Counted {3 * len(items)}; the simulator made {3 * len(items)}." in printed.decode()
    assert hostile(printed.decode()) == set()
    lines = [line for line in printed.decode().splitlines() if str(tmp_path) not in line]
    assert [line for line in lines if len(line) > 80] == []


def test_no_path_is_made_of_what_an_event_says(ran: Ran) -> None:
    parts = {part for path in ran.folder.rglob("*") for part in path.relative_to(ran.folder).parts}
    assert [part for part in parts if not re.fullmatch(r"[A-Za-z0-9._=-]+", part)] == []
    above = [Path.cwd(), Path("/tmp"), *ran.folder.parents[:3]]  # noqa: S108  where the texts would have it
    assert [folder for folder in above if (folder / SENTINEL).exists()] == []
    assert not [path for path in ran.folder.parent.rglob("*") if SENTINEL in path.name]
