"""Which summaries get the label of which incident, and which of them wait for one."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from batcher.schema import OPEN_SUMMARIES
from batcher.stages.correlate import STAGED
from batcher.stages.enlist import alone, enlist, enlisted
from tests.stages.rows import at, frame

WINDOW = timedelta(minutes=10)
CARRIED = OPEN_SUMMARIES | {"is_new": pl.Boolean, "end": pl.String}


def member(incident: str, summary: str, **changes: Any) -> dict[str, Any]:
    return {"incident": incident, "summary": summary, "is_formed": True, "formed_by": 5} | changes


def new(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = enlisted(frame(STAGED, before), frame(STAGED, after), window=WINDOW)
    return sorted(found.collect().rows())


def test_members_are_enlisted_when_their_incident_is_formed_and_when_they_join_it_later() -> None:
    candidate, one, two = member("i", "one", is_formed=False), member("i", "one"), member("i", "two")
    assert new([], [candidate]) == []
    assert new([candidate], [one, two]) == [("one", "i"), ("two", "i")]
    assert new([one, two], [one, two]) == []
    assert new([one], [one, two]) == [("two", "i")]


@pytest.mark.parametrize(("first", "formed_by", "expected"), [(1, 9, "old"), (1, 3, "new"), (11, 3, "old")])
def test_of_two_incidents_the_one_counts_that_it_became_a_member_of_last(
    first: int, formed_by: int, expected: str
) -> None:
    old = member("old", "s", formed_by=formed_by, first_position=first)
    other = member("new", "s", formed_by=5, first_position=4)
    assert new([], [old, other]) == [("s", expected)]


def test_what_was_silent_for_the_window_when_the_second_cluster_came_gets_no_label() -> None:
    at_formation = {"formed_at": at(20)}
    assert new([], [member("i", "in", last_at=at(10), **at_formation)]) == [("in", "i")]
    assert new([], [member("i", "late", last_at=at(9.9), **at_formation)]) == []
    spoke_again = member("i", "late", last_at=at(21), **at_formation)
    assert new([member("i", "late", last_at=at(9.9), **at_formation)], [spoke_again]) == [("late", "i")]


def test_what_is_alone_waits_until_it_was_silent_or_its_candidate_is_over() -> None:
    candidate = {"is_formed": False, "last_at": at(0)}
    members = frame(
        STAGED,
        [member("i", "in"), member("c", "one", **candidate), member("d", "two", is_over=True, **candidate),
         member("d", "both", is_over=True, **candidate), member("c", "both", **candidate)],
    )  # fmt: skip
    found = {
        minute: alone(members, now=at(minute), window=WINDOW).sort("summary").collect().rows() for minute in (10, 11)
    }
    assert found[10] == [("both", True), ("one", True), ("two", False)]
    assert found[11] == [("both", False), ("one", False), ("two", False)]


def carried(**row: Any) -> dict[str, Any]:
    told = frame(CARRIED, [{"summary": "s", "version": 3, "end": "published", "incident": "old"} | row])
    joined = frame({"summary": pl.String(), "enlisted": pl.String()}, [{"summary": "s", "enlisted": "i"}])
    waiting = frame({"summary": pl.String(), "waits": pl.Boolean()}, [{"summary": "w", "waits": True}])
    (found,) = enlist(told, joined, waiting, batch=7).collect().to_dicts()
    return {name: found[name] for name in ("incident", "version", "end")}


def test_what_is_enlisted_is_written_again_with_its_label_and_does_not_end_before() -> None:
    assert carried() == {"incident": "i", "version": 7, "end": None}


def test_what_waits_does_not_end_published_but_ends_all_the_same_when_it_is_refused() -> None:
    assert carried(summary="w") == {"incident": "old", "version": 3, "end": None}
    assert carried(summary="w", end="dead_lettered") == {"incident": "old", "version": 3, "end": "dead_lettered"}
    assert carried(summary="x") == {"incident": "old", "version": 3, "end": "published"}
