"""``batcher rules`` as a process: tables, documents, and calls that are wrong."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from batcher import clock
from batcher.cli import app
from batcher.clock import to_micros
from batcher.stages.filter import FilterRule
from batcher.stages.match import Match
from batcher.telemetry import Action
from tests.history import START_AT, history
from tests.sections import event, watched
from tests.test_rules import of

HOSTILE = "\x1b[31mred\u202e pill"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two rows of a minute ago, one of which a rule dropped."""
    with history(tmp_path / "data", rules=of(FilterRule("noise", Action.DROP, Match(objects=("pod/a",))))) as h:
        minute = (clock.now() - START_AT) // timedelta(minutes=1)
        h.batch(watched(event("a", 1, message=HOSTILE), event("b", 2)), minute=minute)
        assert h.batches.last.now <= to_micros(clock.now())
    return tmp_path / "data"


@pytest.fixture
def config(data: Path) -> Path:
    path = data.parent / "batcher.yaml"
    document = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "dataDir": str(data),
        "clusters": [{"name": "us-west1", "inCluster": True, "labels": {"region": "us"}}],
        "kcp": {"kubeconfig": "k", "workspaces": [{"path": "root:*"}]},
        "filter": {"rules": [{"name": "us", "action": "shadow", "match": {"labels": {"region": "us"}}}]},
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def rules(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rules", *arguments])


def shown(*arguments: str) -> Any:
    found = rules(*arguments)
    assert found.exit_code == 0, found.output
    return found.stdout


def words(text: str) -> str:
    """Without the columns' widths."""
    return " ".join(text.split())


def test_a_list_is_a_table_that_no_message_can_disturb(data: Path) -> None:
    header, line = shown("list", "--data-dir", str(data)).splitlines()
    assert header.split() == ["RULE", "ACTION", "HITS", "SHARE", "LAST", "HIT", "NOTE", "SAMPLE"]
    assert line.split()[:4] == ["noise", "drop", "1", "50.0%"]
    assert line.endswith("[31mred  pill")
    wide = shown("list", "--data-dir", str(data), "-o", "wide", "--no-headers", "--since", "1h").splitlines()
    assert len(wide) == 1
    assert '{"objects":["pod/a"]}' in wide[0]


def test_json_and_yaml_are_the_same_and_exact(data: Path) -> None:
    document = json.loads(shown("list", "--data-dir", str(data), "-o", "json"))
    assert yaml.safe_load(shown("list", "--data-dir", str(data), "-o", "yaml")) == document
    assert (document[0]["name"], document[0]["hits"], document[0]["sample"]) == ("noise", 1, HOSTILE)
    trial = json.loads(shown("test", "noise", "--data-dir", str(data), "-o", "json"))
    assert (trial["rows"], trial["matches"], trial["not_told"], trial["samples"][0]["message"]) == (2, 1, 1, HOSTILE)


def test_a_rule_is_tried_by_name_by_text_and_by_file(data: Path, config: Path, tmp_path: Path) -> None:
    text = shown("test", "match: {reasons: [Back*]}", "--data-dir", str(data))
    assert words(text).startswith(
        "rule test (drop), on 2 rows of the last 24h matches 2 100.0% of the rows, 2 occurrences"
    )
    assert "\x1b" not in text
    assert "\u202e" not in text
    path = tmp_path / "rule.yaml"
    path.write_text("{name: mine, match: {labels: {region: us}}}", encoding="utf-8")
    assert shown("test", str(path), "--config", str(config)).startswith("rule mine (drop), on 2 rows")
    assert " matches 2 " in words(shown("test", "us", "--config", str(config)))
    assert " matches 0 " in words(shown("test", "match: {clusters: [eu-*]}", "--data-dir", str(data)))


def test_a_list_of_a_configuration_has_its_rules_though_no_batch_has_asked_them(config: Path) -> None:
    assert "asked of no row yet" in shown("list", "--config", str(config))


def test_without_rules_that_is_said(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1)), minute=0)
    found = rules("list", "--data-dir", str(tmp_path / "data"))
    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "The filter has no rules.\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("test", "absent"), "RULE: neither a rule of the configuration"),
        (("test", "match: {labels: {a: b}}"), "RULE: match.labels: what labels clusters have is in the configuration"),
        (("test", "match: {reason: [x]}"), "match.reason: unknown setting"),
        (("test", "match: {message: '('}"), "match.message: '(' is not a regular expression (RE2 syntax): unclosed"),
        (("test", "noise", "--since", "soon"), "--since: 'soon' is not a duration"),
        (("list", "--since", "-1h"), "--since: '-1h' is not a duration"),
    ],
)
def test_a_call_that_is_wrong_is_an_error_of_its_own(data: Path, arguments: tuple[str, ...], problem: str) -> None:
    found = rules(*arguments, "--data-dir", str(data))
    assert found.exit_code == 1  # of the runner: what it raised is what __main__ prints, and exits with 2
    assert getattr(found.exception, "exit_code", 0) == 2
    assert problem in str(found.exception)
