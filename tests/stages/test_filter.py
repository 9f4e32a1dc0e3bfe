"""What becomes of a row by the rules of the filter."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.schema import OCCURRENCES
from batcher.stages.filter import Filter, FilterRule, cases, filter_rows, kind_of_verdict
from batcher.stages.match import Match
from batcher.telemetry import Action
from tests.stages.rows import frame

DROP, KEEP, SHADOW = Action.DROP, Action.KEEP, Action.SHADOW
ROW = {"type": "Warning", "reason": "BackOff", "verdict": "kept"}
UNJUDGED = {name: kind for name, kind in OCCURRENCES.items() if name not in {"shadowed", "kept_by"}}


def judged(*rules: FilterRule, row: Any = None, critical: Any = (), **others: Any) -> tuple[str, str, str]:
    """Verdict, names of shadow rules, and the rule that kept it."""
    rows = filter_rows(frame(UNJUDGED, [ROW | (row or {})]), Filter(rules, **others), critical=critical)
    (found,) = rows.select("verdict", "shadowed", "kept_by").collect().rows()
    return found


def rule(name: str, action: Action, *reasons: str) -> FilterRule:
    return FilterRule(name, action, Match(reasons=reasons))


def test_without_rules_every_row_stays_as_it_is() -> None:
    assert judged() == ("kept", "", "")
    assert judged(row={"verdict": "unmapped"}) == ("unmapped", "", "")


def test_a_row_that_is_dropped_has_the_rule_in_its_verdict_wherever_it_was_mapped() -> None:
    noise = rule("noise", DROP, "BackOff")
    assert judged(noise) == ("filtered:noise", "", "")
    assert judged(noise, row={"verdict": "unmapped"}) == ("filtered:noise", "", "")
    assert judged(noise, row={"reason": "Failed"}) == ("kept", "", "")


def test_a_rule_without_a_match_is_for_all() -> None:
    assert judged(FilterRule("all", DROP)) == ("filtered:all", "", "")


def test_the_first_rule_in_the_file_s_order_decides() -> None:
    one, other, keep = rule("z", DROP, "Back*"), rule("a", DROP, "BackOff"), rule("k", KEEP, "BackOff")
    assert judged(one, other)[0] == "filtered:z"
    assert judged(other, one)[0] == "filtered:a"
    assert judged(keep, one) == ("kept", "", "k")
    assert judged(one, keep) == ("filtered:z", "", "")


def test_a_keep_rule_says_that_it_kept_and_an_unmapped_row_stays_unmapped() -> None:
    assert judged(rule("k", KEEP, "*"), row={"verdict": "unmapped"}) == ("unmapped", "", "k")


def test_a_shadow_rule_changes_nothing_and_the_search_goes_on() -> None:
    shadow, drop = rule("s", SHADOW, "*"), rule("d", DROP, "BackOff")
    assert judged(shadow) == ("kept", "s", "")
    assert judged(shadow, rule("t", SHADOW, "*"), drop) == ("filtered:d", "s,t", "")
    assert judged(shadow, rule("k", KEEP, "*")) == ("kept", "s", "k")


def test_a_shadow_rule_behind_one_that_decided_is_not_asked() -> None:
    shadow = rule("s", SHADOW, "*")
    assert judged(rule("d", DROP, "BackOff"), shadow) == ("filtered:d", "", "")
    assert judged(rule("k", KEEP, "BackOff"), shadow) == ("kept", "", "k")
    assert judged(rule("d", DROP, "Other"), shadow) == ("kept", "s", "")


@pytest.mark.parametrize(
    ("said", "row", "expected"),
    [
        ({"minimum": "normal"}, {"type": "Normal"}, "kept"),
        ({"minimum": "warning"}, {"type": "Normal", "reason": "Pulled"}, "filtered:minimumSeverity"),
        ({"minimum": "warning"}, {"type": "Warning"}, "kept"),
        ({"minimum": "warning"}, {"type": "Fatal"}, "filtered:minimumSeverity"),
        ({"minimum": "warning"}, {"type": "", "reason": ""}, "filtered:minimumSeverity"),
        ({"minimum": "warning"}, {"type": "Normal", "reason": "NodeNotReady"}, "kept"),
        ({"minimum": "critical"}, {"type": "Warning"}, "filtered:minimumSeverity"),
        ({"minimum": "critical"}, {"type": "Warning", "reason": "OOMKilling"}, "kept"),
        ({"exclude_types": ("Normal",)}, {"type": "Normal"}, "filtered:excludeTypes"),
        ({"exclude_types": ("normal",)}, {"type": "Normal"}, "filtered:excludeTypes"),
        ({"exclude_types": ("Normal",)}, {"type": "Fatal"}, "kept"),
        ({"include_types": ("Warning",)}, {"type": "Warning"}, "kept"),
        ({"include_types": ("warning",)}, {"type": "Warning"}, "kept"),
        ({"include_types": ("Warning",)}, {"type": "Fatal"}, "filtered:includeTypes"),
        ({"include_types": ("Warning",)}, {"type": None}, "filtered:includeTypes"),
        ({"include_types": ("Warning",), "exclude_types": ("Warning",)}, {}, "filtered:excludeTypes"),
        ({"include_types": ("Warning",), "minimum": "critical"}, {"type": "x"}, "filtered:includeTypes"),
    ],
)
def test_the_short_settings_drop_what_no_rule_decided(said: Any, row: Any, expected: str) -> None:
    assert judged(row=row, **said)[0] == expected


def test_a_keep_rule_keeps_also_what_the_short_settings_would_drop_and_a_drop_rule_goes_before_them() -> None:
    said: Any = {"minimum": "critical", "exclude_types": ("Warning",), "include_types": ("Normal",)}
    assert judged(rule("k", KEEP, "BackOff"), **said) == ("kept", "", "k")
    assert judged(rule("d", DROP, "BackOff"), **said) == ("filtered:d", "", "")
    assert judged(rule("s", SHADOW, "BackOff"), **said) == ("filtered:excludeTypes", "s", "")


def test_reasons_that_the_configuration_calls_critical_pass() -> None:
    assert judged(minimum="critical", critical=["BackOff"])[0] == "kept"


def test_no_row_column_or_type_is_lost_and_nothing_but_the_named_columns_is_added() -> None:
    rows = frame(UNJUDGED, [ROW, ROW | {"reason": "x"}])
    for said in (Filter(), Filter((rule("n", DROP, "x"), rule("s", SHADOW, "x")))):
        found = filter_rows(rows, said).collect()
        assert found.drop("matched").schema == OCCURRENCES
        assert_frame_equal(found.select(*UNJUDGED).drop("verdict"), rows.drop("verdict").collect())


def test_every_rule_that_matches_is_named_asked_or_not() -> None:
    said = Filter((rule("s", SHADOW, "*"), rule("d", DROP, "B*"), rule("e", DROP, "BackOff"), rule("f", DROP, "x")))
    found = filter_rows(frame(UNJUDGED, [ROW]), said._replace(exclude_types=("Warning",))).collect()
    assert found["matched"].to_list() == ["s,d,e,excludeTypes"]


def test_five_hundred_rules_are_no_trouble() -> None:
    rules = [rule(f"r{n}", (SHADOW, DROP)[n % 2], f"Back{n}") for n in range(499)]
    assert judged(*rules, rule("last", DROP, "BackOff"))[0] == "filtered:last"


def test_a_name_in_a_verdict_is_told_from_its_kind() -> None:
    verdicts = pl.DataFrame({"verdict": ["kept", "filtered:noise", "archive-only", "filtered:minimumSeverity"]})
    found = verdicts.select(kind_of_verdict()).to_series().to_list()
    assert found == ["kept", "filtered", "archive-only", "filtered"]


texts = st.sampled_from(["", "a", "b", "ab", "Ä", "Fatal", "Normal", "Warning"])
rows_ = st.lists(
    st.fixed_dictionaries({"type": texts, "reason": texts, "namespace": texts, "message": texts,
                           "verdict": st.sampled_from(["kept", "unmapped"])}),
    max_size=8,
)  # fmt: skip
globs = st.lists(st.sampled_from(["*", "a", "a*", "?", "Ä", "b"]), max_size=2).map(tuple)
found_in = st.sampled_from(["", "a", "^b", "[äÄ]"])
matches_ = st.tuples(globs, globs, globs, found_in).map(
    lambda each: Match(reasons=each[0], namespaces=each[1], types=each[2], message=each[3])
)
rules_ = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(Action), matches_), max_size=5, unique_by=lambda each: each[0]
).map(lambda found: tuple(FilterRule(*each) for each in found))
filters = st.builds(
    Filter,
    rules_,
    st.sampled_from(["normal", "warning", "critical"]),
    st.sampled_from([(), ("Warning",), ("Normal", "Fatal")]),
    st.sampled_from([(), ("Fatal",)]),
)  # fmt: skip


def filtered(rows: list[dict[str, Any]], said: Filter) -> pl.DataFrame:
    numbered = [row | {"position": n} for n, row in enumerate(rows)]
    return filter_rows(frame(UNJUDGED, numbered), said).collect()


@given(rows_, filters)
def test_verdicts_partition_the_rows(rows: list[dict[str, Any]], said: Filter) -> None:
    found = filtered(rows, said)
    dropping = {f"filtered:{case.name}" for case in cases(said) if case.action is DROP}
    assert len(found) == len(rows)
    assert set(found["verdict"]) <= {"kept", "unmapped"} | dropping
    for before, after in zip(rows, found.iter_rows(named=True), strict=True):
        assert after["verdict"] == before["verdict"] or after["verdict"] in dropping
        assert not (after["kept_by"] and after["verdict"].startswith("filtered"))
    assert None not in found["shadowed"].to_list() + found["kept_by"].to_list() + found["matched"].to_list()


@given(rows_, filters, st.data())
def test_the_order_of_rows_and_where_they_are_cut_change_nothing(
    rows: list[dict[str, Any]], said: Filter, data: st.DataObject
) -> None:
    whole = filtered(rows, said)
    order = data.draw(st.permutations(range(len(rows))))
    cut = data.draw(st.integers(0, len(rows)))
    shuffled = filter_rows(frame(UNJUDGED, [rows[n] | {"position": n} for n in order]), said).collect()
    assert_frame_equal(shuffled.sort("position"), whole)
    parts = [filtered(rows[:cut], said), filtered(rows[cut:], said)]
    assert_frame_equal(pl.concat(parts).drop("position"), whole.drop("position"))


@given(rows_, filters, matches_, st.integers(0, 5))
def test_a_shadow_rule_more_changes_no_verdict(
    rows: list[dict[str, Any]], said: Filter, match: Match, place: int
) -> None:
    rules = [*said.rules[:place], FilterRule("more", SHADOW, match), *said.rules[place:]]
    more = filtered(rows, said._replace(rules=tuple(rules)))
    assert_frame_equal(more.select("verdict", "kept_by"), filtered(rows, said).select("verdict", "kept_by"))


@given(rows_, filters)
def test_the_verdict_is_that_of_a_loop_that_asks_one_rule_after_the_other(
    rows: list[dict[str, Any]], said: Filter
) -> None:
    alone = {case.name: filtered(rows, Filter((FilterRule(case.name, SHADOW, case.match),))) for case in cases(said)}
    for number, found in enumerate(filtered(rows, said).iter_rows(named=True)):
        verdict, kept_by, shadowed = rows[number]["verdict"], "", []
        for case in cases(said):
            if (alone[case.name]["shadowed"][number] == "") is not case.negated:
                continue
            if case.action is SHADOW:
                shadowed.append(case.name)
                continue
            verdict, kept_by = (verdict, case.name) if case.action is KEEP else (f"filtered:{case.name}", "")
            break
        assert (found["verdict"], found["kept_by"], found["shadowed"]) == (verdict, kept_by, ",".join(shadowed))
