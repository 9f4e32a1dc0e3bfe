"""Settings that decide which rows are one summary change between two batches: all ends, nothing is counted twice."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from batcher.decode import decode
from batcher.pipeline import Rules, State, advance, empty_state, run
from batcher.stages.settle import OUTCOMES
from tests.test_splitting import (
    MINUTE,
    NOTHING,
    START,
    Delivery,
    Frames,
    _time,
    cuts,
    frames,
    histories,
    histories_of,
    parts_of,
)
from tests.test_splitting import RULES as EXAMPLE

RULES = replace(EXAMPLE, hold=timedelta(days=30))
"""What has no workspace waits for one, so that every summary is seen in the state at least once."""
OTHERS = {
    "shorter window": replace(RULES, window=timedelta(minutes=2)),
    "longer window": replace(RULES, window=timedelta(hours=2)),
    "shorter slots": replace(RULES, longest=timedelta(minutes=7)),
    "objects": replace(RULES, owner=False),
    "whatever is said": replace(RULES, by_template=False),
}
SAME = {
    "no prefix": replace(RULES, prefix=False),
    "longer hold": replace(RULES, hold=timedelta(days=40)),
    "labels": replace(RULES, labels={"a": "b"}),
}


class Played(NamedTuple):
    """What became of a history."""

    occurrences: pl.DataFrame
    slots: pl.DataFrame
    open_slots: pl.DataFrame
    told: dict[str, int]
    """The last total of each summary that ever was."""
    open: pl.DataFrame
    ended: dict[str, int]
    """By the batch's number, how many ended in it though they had not been silent."""


def play(parts: Sequence[tuple[Frames, Rules]], *, publish: bool = False) -> Played:
    """One batch a part, with the rules of the part; with ``publish`` every summary is written after each batch."""
    state, outcomes = empty_state(), NOTHING
    occurrences, slots = [], []
    told: dict[str, int] = {}
    ended: dict[str, int] = {}
    for number, (part, rules) in enumerate(parts, 1):
        now = _time(part[-1][1][0].received_at) if part else START
        before = state["open_summaries"].filter(~pl.col("closed"), pl.col("last_at") >= now - rules.window)
        result = run(decode(part), outcomes, state, batch=number, now=now, rules=rules)
        told |= _totals(result.changes["open_summaries"].put)
        state = advance(state, result.changes)
        told |= _totals(state["open_summaries"])
        still = state["open_summaries"].filter(~pl.col("closed"))
        ended[str(number)] = len(before.join(still, on="summary", how="anti"))
        occurrences.append(result.tables["occurrences"].drop("batch"))
        slots.append(result.tables["summaries"].drop("batch", "closed_at"))
        outcomes = written(state, now) if publish else NOTHING
    return Played(
        pl.concat(occurrences),
        pl.concat(slots).sort("summary", "slot"),
        state["open_slots"].sort("summary", "slot"),
        told,
        state["open_summaries"].drop("version", "written_version", "writes", "written_at", "resource_version"),
        ended,
    )


def _totals(summaries: pl.DataFrame) -> dict[str, int]:
    return dict(summaries.select("summary", "occurrences").iter_rows())


def written(state: State, now: datetime) -> pl.DataFrame:
    rows = [(s, v, "1", True, "", now) for s, v in state["open_summaries"].select("summary", "version").iter_rows()]
    return pl.DataFrame(rows, schema=OUTCOMES, orient="row")


def spread(
    history: list[Delivery], at: int, where: list[float], first: Rules, then: Rules
) -> list[tuple[Frames, Rules]]:
    """The history, cut at these places as well, with other rules from the delivery ``at`` on."""
    whole = frames(history)
    place = min(at, len(whole))
    return [(part, first) for part in parts_of(whole[:place], where) if part] + [
        (part, then) for part in parts_of(whole[place:], where) if part
    ]


deliveries = histories_of(0, 0, 0, 1).map(
    lambda history: [(*first, minutes or 1, incarnation) for *first, minutes, incarnation in history]
)
any_place = st.integers(0, 11)
any_others = st.sampled_from(sorted(OTHERS)).map(OTHERS.__getitem__)
any_rules = st.sampled_from(sorted(OTHERS | SAME)).map((OTHERS | SAME).__getitem__)


@histories
@given(deliveries, any_place, cuts, any_others)
def test_every_occurrence_is_in_one_slot_and_one_summary_whenever_rules_change(
    history: list[Delivery], at: int, where: list[float], then: Rules
) -> None:
    played = play(spread(history, at, where, RULES, then))
    grew = played.occurrences["grew"].sum()
    assert pl.concat([played.slots["occurrences"], played.open_slots["occurrences"]]).sum() == grew
    assert not pl.concat([played.slots.select("summary", "slot"),
                          played.open_slots.select("summary", "slot")]).is_duplicated().any()  # fmt: skip
    assert sum(played.told.values()) == grew


@histories
@given(deliveries, any_place, cuts, any_rules)
def test_where_batches_are_cut_changes_nothing_but_where_the_rules_do(
    history: list[Delivery], at: int, where: list[float], then: Rules
) -> None:
    in_two, in_many = (play(spread(history, at, cut, RULES, then)) for cut in ([], where))
    assert in_two.occurrences.equals(in_many.occurrences)
    assert in_two.told == in_many.told
    assert in_two.open.sort("summary").equals(in_many.open.sort("summary"))
    assert in_two.slots.equals(in_many.slots)
    assert in_two.open_slots.equals(in_many.open_slots)


@histories
@given(deliveries, any_place, cuts, any_others)
def test_totals_are_the_same_when_summaries_are_written_and_forgotten_in_between(
    history: list[Delivery], at: int, where: list[float], then: Rules
) -> None:
    parts = spread(history, at, where, RULES, then)
    assert play(parts, publish=True).told == play(parts).told


def going_on(count: int) -> list[Delivery]:
    """The same thing, once a minute; every second version says something else."""
    return [("a", "web.1", 2 * number, number, 1, 0) for number in range(1, count + 1)]


def test_all_that_is_open_ends_with_the_first_batch_of_another_definition_and_what_goes_on_begins_anew() -> None:
    whole = frames(going_on(6))
    for then in OTHERS.values():
        played = play([(whole[:2], RULES), (whole[2:4], then), (whole[4:], then)])
        assert played.ended == {"1": 0, "2": 1, "3": 0}
        assert sorted(played.told.values()) == [2, 4]
        assert played.slots.filter(pl.col("occurrences") == 2).height == 1


def test_what_decides_no_summary_ends_none() -> None:
    whole = frames(going_on(6))
    for then in SAME.values():
        played = play([(whole[:2], RULES), (whole[2:4], then), (whole[4:], RULES)])
        assert played.ended == {"1": 0, "2": 0, "3": 0}
        assert list(played.told.values()) == [6]


def test_a_batch_without_a_line_ends_them_too_and_a_written_one_is_forgotten() -> None:
    whole = frames(going_on(2))
    first = run(decode(whole), NOTHING, empty_state(), batch=1, now=_time(whole[-1][1][0].received_at), rules=RULES)
    state = advance(empty_state(), first.changes)
    later = _time(whole[-1][1][0].received_at + MINUTE)
    second = run(decode([]), written(state, later), state, batch=2, now=later, rules=OTHERS["objects"])
    assert (second.sums["published"], second.sums["slots"]) == (1, 1)
    assert len(advance(state, second.changes)["open_summaries"]) == 0


def test_a_state_of_an_older_version_says_nothing_of_definitions_and_nothing_ends() -> None:
    whole = frames(going_on(3))
    first = run(decode(whole[:2]), NOTHING, empty_state(), batch=1, now=_time(whole[1][1][0].received_at), rules=RULES)
    state = advance(empty_state(), first.changes)
    older = state | {"definitions": state["definitions"].clear()}
    second = run(
        decode(whole[2:]), NOTHING, older, batch=2, now=_time(whole[2][1][0].received_at), rules=OTHERS["objects"]
    )
    (total,) = advance(older, second.changes)["open_summaries"]["occurrences"]
    assert total == 3
    assert sorted(second.changes["definitions"].put["name"]) == [
        "aggregation.key", "aggregation.maxDuration", "aggregation.window", "transform.regarding",
    ]  # fmt: skip
