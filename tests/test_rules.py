"""What ``batcher rules`` answers: what each rule did, and what one would do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batcher.archive import Deliverer, check_owner
from batcher.batch import DataDirectory
from batcher.errors import UsageError
from batcher.rules import cells, in_use, listed, rule_document, told, tried
from batcher.stages.filter import Filter, FilterRule
from batcher.stages.match import Match
from batcher.telemetry import Action
from tests.history import RULES, START_AT, History, history
from tests.sections import event, watched

DROP, KEEP, SHADOW = Action.DROP, Action.KEEP, Action.SHADOW
PODS = Match(objects=("pod/*",))


def of(*rules: FilterRule, **others: Any) -> Any:
    return replace(RULES, filter=Filter(rules, **others))


@contextmanager
def filtering(folder: Path, *rules: FilterRule, **others: Any) -> Iterator[History]:
    with history(folder / "data", rules=of(*rules, **others)) as h:
        yield h


def notes(directory: DataDirectory, *rules: FilterRule, **others: Any) -> dict[str, str]:
    return {line.name: line.note for line in listed(directory, of(*rules, **others))}


def test_each_rule_is_listed_with_what_it_did_since_it_is_there(tmp_path: Path) -> None:
    rules = (FilterRule("all", SHADOW), FilterRule("b", DROP, Match(objects=("Pod/b",), clusters=("us-west1",))))
    with filtering(tmp_path, *rules) as h:
        h.batch(watched(event("a", 1), event("b", 2, count=3)), minute=1)
        h.batch(watched(event("b", 3, count=5, message="newest")), minute=2)
        shadow, drop = listed(h.directory, in_use(h.directory))
    assert (drop.name, drop.action, drop.rows, drop.hits, drop.matches, drop.occurrences) == ("b", DROP, 3, 2, 2, 5)
    assert (drop.share, drop.sample, drop.note) == (2 / 3, "newest", "")
    assert (drop.since, drop.last_hit) == (START_AT + timedelta(minutes=1), START_AT + timedelta(minutes=2))
    assert drop.match == {"objects": ["Pod/b"], "clusters": ["us-west1"]}
    assert (shadow.hits, shadow.share, shadow.match, shadow.sample) == (3, 1.0, {}, "newest")


def test_with_a_time_hits_are_those_of_the_rows_since_archived_or_staged(tmp_path: Path) -> None:
    rules = (FilterRule("seen", SHADOW, PODS), FilterRule("a", KEEP, Match(objects=("pod/a",))))
    with filtering(tmp_path, *rules, exclude_types=("Warning",)) as h:
        h.batch(watched(event("a", 1), event("b", 2)), minute=0)
        h.batch(watched(event("a", 3, count=2), event("b", 4, count=4), event("c", 5)), minute=10)
        check_owner(tmp_path / "archive", h.directory.id)
        first = [file for file in h.batches.undelivered if file.batch == 1]
        Deliverer(tmp_path / "archive", h.directory.staged, h.directory.id).deliver(first)
        h.batch(watched(event("b", 6, count=5)), minute=11)
        later, rules_ = START_AT + timedelta(minutes=5), in_use(h.directory)
        whole, since = (listed(h.directory, rules_, since=at) for at in (START_AT, later))
    assert [(line.name, line.rows, line.hits, line.occurrences) for line in whole] == [
        ("seen", 6, 6, 8), ("a", 6, 2, 2), ("excludeTypes", 6, 4, 6),
    ]  # fmt: skip
    assert [(line.name, line.rows, line.hits, line.occurrences) for line in since] == [
        ("seen", 4, 4, 6), ("a", 4, 1, 1), ("excludeTypes", 4, 3, 5),
    ]  # fmt: skip
    assert [line.last_hit for line in since] == [START_AT + timedelta(minutes=minute) for minute in (11, 10, 11)]
    assert {line.since for line in since} == {later}


def test_a_rule_that_never_fires_is_pointed_out_and_so_is_one_that_another_hides(tmp_path: Path) -> None:
    rules = (
        FilterRule("never", DROP, Match(reasons=("Nothing",))),
        FilterRule("pods", DROP, PODS),
        FilterRule("warnings", KEEP, Match(types=("Warning",))),
        FilterRule("some-pods", DROP, PODS._replace(reasons=("x",))),
    )
    with filtering(tmp_path, *rules, minimum="critical") as h:
        assert notes_of_nothing(h, *rules) == "asked of no row yet"
        h.batch(watched(event("a", 1), event("b", 2)), minute=0)
        found = notes(h.directory, *rules, minimum="critical")
    assert found == {
        "never": "never hit, in 2 rows",
        "pods": "",
        "warnings": "hidden by pods (2 rows)",
        "some-pods": "hidden by pods, which is for all of its rows",
        "minimumSeverity": "hidden by pods (2 rows)",
    }


def notes_of_nothing(h: History, *rules: FilterRule) -> str:
    return notes(h.directory, *rules)["never"]


def test_a_shadow_rule_hides_nothing_and_a_built_in_one_that_is_for_the_rest_is_never_said_to_be_hidden(
    tmp_path: Path,
) -> None:
    same = Match(types=("Warning",))
    rules = (FilterRule("s", SHADOW, same), FilterRule("d", DROP, same))
    with filtering(tmp_path, *rules, include_types=("Warning",)) as h:
        h.batch(watched(event("a", 1)), minute=0)
        assert notes(h.directory, *rules, include_types=("Warning",)) == {
            "s": "", "d": "", "includeTypes": "never hit, in 1 rows",
        }  # fmt: skip


def test_a_rule_that_no_batch_has_asked_yet_is_listed_as_such(tmp_path: Path) -> None:
    with filtering(tmp_path, FilterRule("old", DROP, PODS)) as h:
        h.batch(watched(event("a", 1)), minute=0)
        (line,) = listed(h.directory, of(FilterRule("old", SHADOW, PODS)))
    assert (line.rows, line.hits, line.since, line.note) == (0, 0, None, "asked of no row yet")


def test_without_a_batch_there_are_no_rules_in_use(tmp_path: Path) -> None:
    with filtering(tmp_path) as h, pytest.raises(UsageError, match="no batch has been here yet; give the --config"):
        in_use(h.directory)


def test_a_table_shows_hits_share_last_hit_and_a_sample(tmp_path: Path) -> None:
    with filtering(tmp_path, FilterRule("pods", DROP, PODS), FilterRule("never", KEEP, Match(reasons=("x",)))) as h:
        h.batch(watched(event("a", 1, message="m" * 400)), minute=0)
        lines = listed(h.directory, in_use(h.directory))
    now = START_AT + timedelta(minutes=3)
    assert cells(lines, now=now, wide=False) == [
        ("pods", "drop", "1", "100.0%", "3m", "", "m" * 57 + "..."),
        ("never", "keep", "0", "0.0%", "never", "never hit, in 1 rows", ""),
    ]
    wide = cells(lines, now=now, wide=True)
    assert wide[0][:10] == ("pods", "drop", "1", "1", "1", "100.0%", "1", "2026-11-23T16:00:00Z",
                            "2026-11-23T16:00:00Z", '{"objects":["pod/*"]}')  # fmt: skip


def test_a_trial_tells_what_a_rule_matches_and_what_it_would_change(tmp_path: Path) -> None:
    rules = (FilterRule("k", KEEP, Match(objects=("pod/k",))), FilterRule("d", DROP, Match(objects=("pod/d",))))
    with filtering(tmp_path, *rules) as h:
        h.batch(watched(event("old", 1)), minute=0)
        h.batch(
            watched(*(event(name, n, count=n) for n, name in enumerate("kdab", 2)), event("c", 9, reason="Other")),
            minute=30,
        )
        h.batch(watched(event("z", 10, namespace="jobs", message="newest\x1b[31m")), minute=31)
        rule = FilterRule("probe", DROP, Match(reasons=("BackOff",)))
        since = START_AT + timedelta(minutes=10)
        trial = tried(h.directory, rule, critical=(), since=since, top=1, samples=2)
    assert (trial.rows, trial.matches, trial.occurrences, trial.share) == (6, 5, 15, 5 / 6)
    assert (trial.told, trial.kept_by_rule, trial.not_told) == (3, 1, 1)
    assert [(s.value, s.rows, s.occurrences) for s in trial.reasons] == [("BackOff", 5, 15)]
    assert [(s.value, s.rows) for s in trial.namespaces] == [("web", 4)]
    assert [s.message for s in trial.samples] == ["newest\x1b[31m", "Back-off restarting failed container"]
    text = list(told(trial, period="24h"))
    assert text[0] == "rule probe (drop), on 6 rows of the last 24h"
    assert [line.split()[:3] for line in text[2:6]] == [
        ["matches", "5", "83.3%"], ["would", "drop", "3"], ["kept", "by", "a"], ["not", "told", "anyway"],
    ]  # fmt: skip
    assert "\x1b" not in "\n".join(text)


def test_a_trial_over_nothing_is_no_trouble(tmp_path: Path) -> None:
    with filtering(tmp_path) as h:
        h.batch(watched(event("a", 1)), minute=0)
        rule = FilterRule("probe", SHADOW, Match(message="x"))
        trial = tried(h.directory, rule, critical=(), since=START_AT + timedelta(days=1), top=5, samples=5)
    assert (trial.rows, trial.matches, trial.share, trial.samples) == (0, 0, 0.0, [])
    assert next(told(trial, period="1h")) == "rule probe (shadow), on 0 rows of the last 1h"


def test_a_trial_calls_critical_what_the_configuration_does(tmp_path: Path) -> None:
    with filtering(tmp_path) as h:
        h.batch(watched(event("a", 1)), minute=0)
        rule = FilterRule("probe", DROP, Match(severities=("critical",)))
        found = [
            tried(h.directory, rule, critical=critical, since=START_AT, top=5, samples=0).matches
            for critical in ((), ("BackOff",))
        ]
    assert found == [0, 1]


def test_a_rule_is_read_from_a_file_or_from_the_text_itself(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text("name: noise\nmatch: {reasons: [A]}\n", encoding="utf-8")
    assert rule_document(str(path)) == {"name": "noise", "action": "drop", "match": {"reasons": ["A"]}}
    assert rule_document('{"action": "keep"}') == {"name": "test", "action": "keep"}
    assert rule_document("match: {reasons: [A]}") == {"name": "test", "action": "drop", "match": {"reasons": ["A"]}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("noise", "RULE: neither a rule of the configuration, nor a file, nor a mapping such as {match: ...}"),
        ("", "RULE: neither a rule"),
        ("{", "RULE: not YAML: "),
        ("match: {a: " + "x" * 5000, "RULE: not YAML: "),
        ("a\x00b", "RULE: not YAML: "),
    ],
)
def test_what_is_no_rule_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        rule_document(text)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        rule_document(str(path))
