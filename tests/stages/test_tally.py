"""What rules did: hits, and rows that others took."""

from typing import Any

from hypothesis import given

from batcher.stages.filter import Filter, FilterRule, cases, filter_rows
from batcher.stages.match import Match
from batcher.stages.tally import TALLY, tally
from batcher.telemetry import Action
from tests.stages.rows import at, frame
from tests.stages.test_filter import DROP, KEEP, SHADOW, UNJUDGED, filtered, filters, rows_


def rule(name: str, action: Action, *reasons: str) -> FilterRule:
    return FilterRule(name, action, Match(reasons=reasons))


def tallied(rows: list[dict[str, Any]], *rules: FilterRule, **others: Any) -> list[tuple[Any, ...]]:
    said = Filter(rules, **others)
    given_ = [row | {"position": n, "received_at": at(n), "verdict": "kept"} for n, row in enumerate(rows, 1)]
    found = tally(filter_rows(frame(UNJUDGED, given_), said), cases(said)).collect()
    assert found.schema == TALLY
    return found.rows()


A, B, C = ({"reason": name, "grew": grew} for name, grew in (("a", 1), ("b", 2), ("c", 0)))


def test_a_rule_is_hit_by_what_it_decides_and_its_last_hit_is_the_newest() -> None:
    assert tallied([A, B, A, C], rule("d", DROP, "a"), rule("k", KEEP, "b"), rule("n", DROP, "z")) == [
        ("d", "", 2, 2, 3, at(3)),
        ("k", "", 1, 2, 2, at(2)),
    ]


def test_a_shadow_rule_is_hit_by_what_comes_to_it_and_takes_nothing() -> None:
    assert tallied([A, B], rule("s", SHADOW, "*"), rule("d", DROP, "a"), rule("t", SHADOW, "*")) == [
        ("d", "", 1, 1, 1, at(1)),
        ("s", "", 2, 3, 2, at(2)),
        ("t", "", 1, 2, 2, at(2)),
        ("t", "d", 1, 1, 1, at(1)),
    ]


def test_a_rule_behind_another_is_told_which_one_took_its_rows() -> None:
    rules = (rule("first", DROP, "a"), rule("keep", KEEP, "b"), rule("last", DROP, "?"))
    assert tallied([A, A, B], *rules, minimum="warning") == [
        ("first", "", 2, 2, 2, at(2)),
        ("keep", "", 1, 2, 3, at(3)),
        ("last", "first", 2, 2, 2, at(2)),
        ("last", "keep", 1, 2, 3, at(3)),
        ("minimumSeverity", "first", 2, 2, 2, at(2)),
        ("minimumSeverity", "keep", 1, 2, 3, at(3)),
    ]


def test_without_rules_there_is_nothing_to_tell() -> None:
    assert tallied([A, B]) == []


@given(rows_, filters)
def test_hits_are_the_verdicts_and_all_that_rules_match_is_hit_or_taken(
    rows: list[dict[str, Any]], said: Filter
) -> None:
    found = filtered(rows, said)
    told = tally(found.lazy(), cases(said)).collect()
    hits = {row["rule"]: row["rows"] for row in told.filter(taken_by="").iter_rows(named=True)}
    for case in cases(said):
        expected = {
            DROP: found["verdict"] == f"filtered:{case.name}",
            KEEP: found["kept_by"] == case.name,
            SHADOW: found["shadowed"].str.split(",").list.contains(case.name),
        }[case.action].sum()
        assert hits.get(case.name, 0) == expected
        matched = found["matched"].str.split(",").list.contains(case.name).sum()
        assert told.filter(rule=case.name)["rows"].sum() == matched
