"""``batcher incidents``: open ones, ended ones, staged or delivered; text that no name can disturb."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from batcher.archive import Deliverer, check_owner
from batcher.cli import app
from batcher.errors import UsageError
from batcher.spool import Section, Stream
from batcher.stages.rule import Rule
from tests.history import RULES, History, history
from tests.sections import event, watched
from tests.service.world import batcher

CORRELATING = replace(
    RULES,
    mapping=(Rule("*", "web", "root:shop"), Rule("*", "jobs", "root:team-a")),
    correlation_window=timedelta(minutes=10),
)
HOSTILE = "\x1b[31mred\x07\u202egpj"


def said(cluster: str, name: str = "web-7c5d8f9b6-x2z4t", version: int = 1, **changes: Any) -> Section:
    section = watched(event(name, version, **changes), stream=Stream(f"uid-{cluster}", "events"))
    return msgspec.structs.replace(section, cluster=cluster)


def outage(h: History) -> None:
    """One that has ended, of a hostile reason, and one that goes on."""
    h.batch(said("us-west1", count=3, reason=HOSTILE), said("ap-1", type="Normal", reason="Pulled"), minute=0)
    h.batch(said("eu-1", count=2, reason=HOSTILE), minute=2)
    h.batch(minute=13)
    for cluster, minute in (("eu-1", 20), ("us-west1", 22)):
        h.batch(said(cluster, "job", 9, count=4, namespace="jobs", minute=minute), minute=minute)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with history(tmp_path / "data", rules=CORRELATING) as h:
        outage(h)
    return tmp_path / "data"


def ask(data: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["incidents", *arguments, "--data-dir", str(data)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_list_has_a_line_for_each_that_ended_or_goes_on_whatever_they_are_called(data: Path) -> None:
    header, ended, open_ = ask(data, "list").splitlines()
    assert header.split() == ["ID", "STATE", "WORKSPACE", "REASON", "WHAT", "CLUSTERS", "COUNT", "BEGAN", "LAST",
                              "SEEN", "CAUSE"]  # fmt: skip
    assert ended.split()[1:8] == ["ended", "root:shop", "[31mred", "gpj", "web/Deployment/web", "2/3", "5"]
    assert open_.split()[1:7] == ["open", "root:team-a", "BackOff", "jobs/Pod/job", "2/2", "8"]
    assert not any(ord(char) < 32 or char == "\u202e" for char in ended)


def test_a_wide_list_says_how_it_spread_and_where_it_is_not(data: Path) -> None:
    ended = ask(data, "list", "-o", "wide", "--no-headers", "--workspace", "root:shop")
    assert "   web   2   eu-1 x2, us-west1 x3   ap-1" in ended


def test_json_and_yaml_are_exact_and_the_same(data: Path) -> None:
    ended, open_ = json.loads(ask(data, "list", "-o", "json"))
    assert [ended, open_] == yaml.safe_load(ask(data, "list", "-o", "yaml"))
    assert (ended["reason"], ended["dimension"], ended["absent"]) == (HOSTILE, "object", ["ap-1"])
    assert [(c["cluster"], c["occurrences"]) for c in open_["clusters"]] == [("eu-1", 4), ("us-west1", 4)]
    assert ended["incident"].startswith(ended["id"])
    assert (open_["members"], [m["cluster"] for m in open_["member_list"]]) == (2, ["eu-1", "us-west1"])


def test_one_is_described_with_its_clusters_its_cause_and_its_members_in_order(data: Path) -> None:
    ended = json.loads(ask(data, "list", "-o", "json"))[0]
    lines = ask(data, "describe", ended["id"]).splitlines()
    assert lines[:5] == [
        f"id           {ended['id']}", "state        ended", "workspace    root:shop", "namespaces   web",
        "reason       [31mred gpj",
    ]  # fmt: skip
    assert "cause        not known" in lines
    assert "clusters     2 of 3: eu-1 x2 (from 2026-11-23T16:00:00Z), us-west1 x3 (from 2026-11-23T16:00:00Z)" in lines
    assert "not in       ap-1" in lines
    header, first, second = (line.split() for line in lines[-3:])
    assert header == ["FIRST", "SEEN", "LAST", "SEEN", "CLUSTER", "NAMESPACE", "OBJECT", "REASON", "COUNT"]
    assert (first[2:5], second[2:5]) == (["eu-1", "web", "deployment/web"], ["us-west1", "web", "deployment/web"])
    assert json.loads(ask(data, "describe", ended["incident"], "-o", "json")) == ended


def test_what_is_delivered_is_found_in_the_archive(data: Path) -> None:
    before = ask(data, "list", "-o", "json")
    with history(data, rules=CORRELATING) as h:
        archive = data.parent / "archive"
        check_owner(archive, h.directory.id)
        h.batches.delivered(Deliverer(archive, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))
    assert not list((data / "staged" / "incidents").glob("*/*"))
    assert ask(data, "list", "-o", "json") == before


def test_since_leaves_out_what_ended_before_and_keeps_what_goes_on(data: Path) -> None:
    assert [row["state"] for row in json.loads(ask(data, "list", "--since", "1h", "-o", "json"))] == ["open"]
    assert [row["state"] for row in json.loads(ask(data, "list", "--since", "36500d", "-o", "json"))] == [
        "ended", "open",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [("123", "123: no such incident; see: batcher incidents list"), ("", ": no such incident")],
)
def test_an_id_that_names_none_is_told_in_one_line(data: Path, name: str, said: str) -> None:
    result = CliRunner().invoke(app, ["incidents", "describe", name, "--data-dir", str(data)])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).startswith(said)


async def test_as_a_process_it_says_when_there_is_none_and_what_is_wrong(tmp_path: Path) -> None:
    with history(tmp_path / "data", rules=CORRELATING):
        pass
    for arguments, code, told in (
        (("list",), 0, "No incidents found.\n"),
        (("describe", "4f1c9ab27d03"), 2, "4f1c9ab27d03: no such incident; see: batcher incidents list\n"),
        (("list", "--since", "soon"), 2, "--since: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d\n"),
    ):
        async with batcher("incidents", *arguments, "--data-dir", str(tmp_path / "data")) as process:
            out, err = await process.communicate()
        assert (process.returncode, out.decode(), err.decode()) == (code, "", told)
