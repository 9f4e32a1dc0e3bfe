"""``batcher mapping``: what it shows of a data directory in which real batches happened."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from batcher.cli import app
from batcher.errors import UsageError
from batcher.pipeline import Rules
from batcher.spool import Section, Stream
from batcher.stages.locate import Trust
from batcher.stages.rule import Rule
from tests.history import RULES, History, history
from tests.sections import event, lines, watched

LOCATOR = (
    '{"syncTarget":{"cluster":"root:org:ws","name":"us-west1","uid":"syncTargetUID"},'
    '"cluster":"root:org:ws","namespace":"test"}'
)
SYNCED = "kcp-33jbiactwhg0"
LEGACY = (
    '{"syncTarget":{"workspace":"root:org:ws","name":"us-west1","uid":"syncTargetUID"},'
    '"workspace":"root:org:ws","namespace":"test"}'
)
LEGACY_SYNCED = "kcp-hcbsa8z6c2er"
"""The same place by the form before: the one pair of right names for it."""
CONFIGURED = replace(
    RULES,
    mapping=(
        Rule("*", "shop-*", "root:shop"),
        Rule("us-west1", "plain", "root:secret", "x-{namespace}"),
        Rule("us-west1", "*", "root:platform", cluster_scoped=True),
    ),
    trust=Trust(locators=True, allowed=("^root:shop$", "^root:org:.*$", "^root:platform$")),
    hold=timedelta(hours=1),
)


def namespaces(*changes: tuple[str, str], change: str = "ADDED", cluster: str = "us-west1") -> Section:
    """Lines of a Namespaces' stream: names, each with its locator."""
    told = [
        msgspec.json.encode({"type": change, "object": {"metadata": {
            "name": name, "uid": f"uid-{name}",
            "annotations": {"kcp.io/namespace-locator": locator} if locator else {},
        }}})
        for name, locator in changes
    ]  # fmt: skip
    section = lines(*told, stream=Stream(f"uid-{cluster}", "namespaces"))
    return msgspec.structs.replace(section, cluster=cluster)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[History]:
    """Four namespaces that say something or nothing, and Events in three, of which one was never heard of."""
    with history(tmp_path / "data", rules=CONFIGURED) as h:
        h.batch(namespaces((SYNCED, LOCATOR), ("copied", LOCATOR), ("shop-a", ""), ("plain", "")), minute=0)
        h.batch(
            watched(
                event("a", 1, namespace=SYNCED), event("b", 2, namespace="copied"), event("c", 3, namespace="unheard"),
                stream=Stream("uid-us-west1", "events"),
            ),
            minute=1,
        )  # fmt: skip
        yield h


def mapping(h: History, *arguments: str) -> str:
    called = CliRunner().invoke(app, ["mapping", *arguments, "--data-dir", str(h.directory.root)])
    if called.exception and not isinstance(called.exception, SystemExit):
        raise called.exception
    assert called.exit_code == 0
    return called.output


def listed(h: History, *arguments: str) -> list[list[str]]:
    return [line.split()[:-1] for line in mapping(h, "list", "--no-headers", *arguments).splitlines()]


def described(h: History, *arguments: str) -> dict[str, str]:
    """The text of each title, with what belongs to it in the lines below."""
    found: dict[str, str] = {}
    title = ""
    for line in mapping(h, "describe", *arguments).splitlines():
        title = line[:12].strip() or title
        found[title] = f"{found[title]}\n{line[12:]}" if title in found else line[12:]
    return found


def test_a_list_says_of_each_namespace_where_it_goes_who_decided_and_what_is_wrong(told: History) -> None:
    header, *_ = mapping(told, "list").splitlines()
    assert header.split() == ["CLUSTER", "NAMESPACE", "WORKSPACE", "TARGET", "SOURCE", "FLAW", "SINCE"]
    assert listed(told) == [
        ["us-west1", "copied", "-", "-", "locator", "other-name"],
        ["us-west1", SYNCED, "root:org:ws", "test", "locator", "-"],
        ["us-west1", "plain", "-", "-", "rules[1]", "(not", "allowed)", "-"],
        ["us-west1", "shop-a", "root:shop", "shop-a", "rules[0]", "-"],
        ["us-west1", "unheard", "root:platform", "unheard", "cluster", "-"],
    ]
    assert [row[1] for row in listed(told, "--flawed")] == ["copied"]
    assert mapping(told, "list", "--cluster", "eu", "-o", "json") == "[]\n"
    assert "No namespace is known." in mapping(told, "list", "--cluster", "eu")


def test_wide_json_and_yaml_have_what_was_said_too(told: History) -> None:
    (line,) = mapping(told, "list", "--flawed", "-o", "wide", "--no-headers").splitlines()
    assert line.split() == [
        "us-west1", "copied", "-", "-", "locator", "other-name", "2026-11-23T16:00:00Z", "root:org:ws", "/", "test",
        "us-west1", "uid-copied", "uid-us-west1",
    ]  # fmt: skip
    found = json.loads(mapping(told, "list", "-o", "json"))
    assert found == yaml.safe_load(mapping(told, "list", "-o", "yaml"))
    assert found[2] == {
        "cluster": "us-west1", "cluster_uid": "uid-us-west1", "namespace": "plain", "uid": "uid-plain",
        "workspace": "", "target_namespace": "", "source": "rules[1]", "allowed": False, "flaw": "",
        "claimed_workspace": "", "claimed_namespace": "", "sync_target": "", "since": "2026-11-23T16:00:00Z",
        "gone_at": None,
    }  # fmt: skip


def test_what_is_described_is_the_whole_story(told: History) -> None:
    found = described(told, SYNCED)
    assert found["says"] == "root:org:ws / test, by sync target us-west1"
    assert found["target"] == "root:org:ws / test, by locator"
    assert (found["before"], found["waiting"], found["in target"]) == ("none", "0 open summaries", "1 open summaries")
    assert found["asked"].splitlines() == [
        "locator     decides: root:org:ws / test",
        "rules[0]    does not match",
        "rules[1]    does not match",
        f"cluster     comes after locator: root:platform / {SYNCED}",
    ]
    assert found["rival"] == "copied says the same"
    assert described(told, "plain")["target"] == "none: kcp.workspaces does not allow what rules[1] says"
    assert described(told, "unheard")["says"] == "nothing: no Namespace was heard of"


def test_a_flaw_is_explained_with_what_to_do_and_what_waits_until_when(told: History) -> None:
    found = described(told, "copied")
    assert found["flaw"] == "other-name: its name is not the hash of its locator: the annotation was copied or edited"
    assert found["to do"] == "take the annotation away, or put back what the syncer wrote"
    assert found["rival"] == f"{SYNCED} says the same"
    assert found["target"] == "none: it is left to nobody"
    assert found["asked"].splitlines()[0] == (
        "locator     is not believed (other-name), which leaves the namespace to nobody: root:org:ws / test"
    )
    assert found["waiting"] == (
        "1 open summaries, until 2026-11-23T17:01:00Z (mapping.hold 3,600 s after the newest of each)"
    )
    document = json.loads(mapping(told, "describe", "copied", "-o", "json"))
    assert (document["namespace"]["flaw"], document["waiting"]["last_until"]) == ("other-name", "2026-11-23T17:01:00Z")


def test_two_namespaces_with_one_place_are_shown_and_the_second_waits_until_the_first_is_gone(told: History) -> None:
    told.batch(namespaces((LEGACY_SYNCED, LEGACY)), minute=2)
    assert [row[1:] for row in listed(told, "--flawed")][1] == [LEGACY_SYNCED, "-", "-", "locator", "duplicate"]
    found = described(told, LEGACY_SYNCED)
    assert found["flaw"] == "duplicate: another namespace of the cluster said the same before, and still says it"
    assert found["rival"] == f"{SYNCED} says the same"
    told.batch(namespaces((SYNCED, LOCATOR), change="DELETED"), minute=3)
    assert [row[1] for row in listed(told, "--flawed")] == ["copied"]
    assert described(told, LEGACY_SYNCED)["target"] == "root:org:ws / test, by locator"
    assert SYNCED not in [row[1] for row in listed(told)]
    assert described(told, SYNCED)["deleted"].startswith("2026-11-23T16:03:00Z")


def test_a_namespace_that_went_from_one_workspace_to_another_says_what_it_was_before(told: History) -> None:
    told.batch(namespaces(("shop-a", LOCATOR)), minute=2)
    assert described(told, "shop-a")["before"] == "root:shop / shop-a"
    assert described(told, "shop-a")["since"].startswith("2026-11-23T16:02:00Z")


def test_where_no_locator_is_trusted_namespaces_are_those_of_open_summaries(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1), event("b", 2, namespace="jobs")), minute=0)
        assert listed(h) == [
            ["us-west1", "jobs", "-", "-", "-", "-"],
            ["us-west1", "web", "root:shop", "web", "rules[0]", "-"],
        ]
        found = described(h, "web")
        assert found["says"] == "nothing: no Namespace was heard of (locators are not in mapping.trust)"
        assert found["asked"].splitlines() == [
            "rules[0]    decides: root:shop / web",
            "locator     is not trusted (mapping.trust)",
        ]
        assert described(h, "jobs")["target"] == "none: nothing decides"


def wrong(h: History, *arguments: str) -> str:
    with pytest.raises(UsageError) as raised:
        mapping(h, *arguments)
    return str(raised.value)


def test_what_is_not_there_is_one_line_with_a_hint(told: History, tmp_path: Path) -> None:
    assert wrong(told, "describe", "shop-b") == "shop-b: no such namespace is known; nearest: shop-a"
    assert wrong(told, "describe", "zzz\x1b[31m") == "zzz [31m: no such namespace is known; see: batcher mapping list"
    told.batch(namespaces(("shop-a", ""), cluster="eu"), minute=2)
    assert wrong(told, "describe", "shop-a") == (
        "shop-a: is in several clusters; choose one with --cluster: eu, us-west1"
    )
    assert wrong(told, "describe", "shop-a", "--cluster", "us") == (
        "--cluster us: has no namespace shop-a; clusters that have: eu, us-west1"
    )
    assert described(told, "shop-a", "--cluster", "eu")["cluster"].startswith("eu ")
    with history(tmp_path / "new") as h:
        assert wrong(h, "list") == (
            f"{tmp_path / 'new'}: no batch has been here yet; start one with: batcher run --config FILE"
        )


def test_no_name_that_a_cluster_says_moves_the_cursor(told: History) -> None:
    hostile = LOCATOR.replace("root:org:ws", "root:\\u001b[31m\\u202e")
    told.batch(namespaces(("bad\x1b[2J", hostile)), minute=2)
    for output in ("text", "wide", "json", "yaml"):
        shown = mapping(told, "list", "-o", output) + mapping(told, "describe", "bad\x1b[2J", "-o", output)
        assert not any((ord(char) < 32 and char != "\n") or char == "\u202e" for char in shown), output


def rules_of(first: Rules, *, rules_first: int) -> Rules:
    return replace(first, trust=first.trust._replace(rules_first=rules_first))


def test_a_rule_that_is_trusted_before_locators_decides_whatever_a_namespace_says(tmp_path: Path) -> None:
    with history(tmp_path / "data", rules=rules_of(CONFIGURED, rules_first=2)) as h:
        h.batch(namespaces(("shop-a", LOCATOR)), minute=0)
        assert listed(h) == [["us-west1", "shop-a", "root:shop", "shop-a", "rules[0]", "other-name"]]
        assert [line.split()[0] for line in described(h, "shop-a")["asked"].splitlines()] == [
            "rules[0]", "rules[1]", "locator", "cluster",
        ]  # fmt: skip
