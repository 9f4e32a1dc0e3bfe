"""Which summaries get the label of which incident, and which of them wait for one."""

from typing import Any

import polars as pl
import pytest

from batcher.schema import OPEN_SUMMARIES
from batcher.stages.correlate import STAGED
from batcher.stages.enlist import alone, enlist, enlisted
from tests.stages.rows import frame

CARRIED = OPEN_SUMMARIES | {"is_new": pl.Boolean, "end": pl.String}


def member(incident: str, summary: str, **changes: Any) -> dict[str, Any]:
    return {"incident": incident, "summary": summary, "is_formed": True, "formed_by": 5} | changes


def new(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = enlisted(frame(STAGED, before), frame(STAGED, after))
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


def test_what_is_alone_waits_and_is_let_go_when_its_candidate_is_over() -> None:
    members = frame(
        STAGED,
        [member("i", "in"), member("c", "waits", is_formed=False), member("d", "free", is_formed=False, is_over=True)],
    )
    assert alone(members, over=False).collect()["summary"].to_list() == ["waits"]
    assert alone(members, over=True).collect()["summary"].to_list() == ["free"]


def carried(**row: Any) -> dict[str, Any]:
    told = frame(CARRIED, [{"summary": "s", "version": 3, "end": "published", "incident": "old"} | row])
    joined = frame({"summary": pl.String(), "enlisted": pl.String()}, [{"summary": "s", "enlisted": "i"}])
    waiting = frame({"summary": pl.String()}, [{"summary": "w"}])
    (found,) = enlist(told, joined, waiting, batch=7).collect().to_dicts()
    return {name: found[name] for name in ("incident", "version", "end")}


def test_what_is_enlisted_is_written_again_with_its_label_and_does_not_end_before() -> None:
    assert carried() == {"incident": "i", "version": 7, "end": None}


def test_what_waits_does_not_end_published_but_ends_all_the_same_when_it_is_refused() -> None:
    assert carried(summary="w") == {"incident": "old", "version": 3, "end": None}
    assert carried(summary="w", end="dead_lettered") == {"incident": "old", "version": 3, "end": "dead_lettered"}
    assert carried(summary="x") == {"incident": "old", "version": 3, "end": "published"}
