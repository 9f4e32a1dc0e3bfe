from datetime import timedelta
from typing import Any

import pytest

from batcher.schema import OPEN_SUMMARIES
from batcher.stages.settle import OUTCOMES, due, ending, settle
from tests.stages.rows import at, frame

SUMMARY = {"summary": "s", "workspace": "root:shop", "version": 5, "written_at": None, "resource_version": None}


def settled(summary: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    told = frame(OUTCOMES, [{"summary": "s", "at": at(1), **outcome}])
    (row,) = settle(frame(OPEN_SUMMARIES, [SUMMARY | summary]), told).collect().to_dicts()
    return row


def end(**summary: Any) -> str | None:
    found: str | None = (
        frame(OPEN_SUMMARIES, [SUMMARY | summary]).select(ending(at(10), timedelta(minutes=10))).collect().item()
    )
    return found


def is_due(now: float, **summary: Any) -> bool:
    chosen = due(
        frame(OPEN_SUMMARIES, [SUMMARY | summary]),
        now=at(now),
        rewrite_after=timedelta(seconds=30),
        rewrite_most=timedelta(minutes=10),
    )
    return len(chosen.collect()) == 1


def test_a_written_version_is_remembered_with_its_resource_version() -> None:
    row = settled({"writes": 2, "refusal": "Invalid"}, {"version": 5, "written": True, "resource_version": "77"})
    assert (row["written_version"], row["resource_version"], row["writes"], row["refusal"]) == (5, "77", 3, "")
    assert row["written_at"] == at(1)


def test_a_refused_version_counts_as_handled_and_keeps_the_resource_version_of_the_last_write() -> None:
    row = settled({"resource_version": "66", "writes": 2}, {"version": 5, "refusal": "Invalid"})
    assert (row["written_version"], row["resource_version"], row["writes"], row["refusal"]) == (5, "66", 2, "Invalid")


def test_an_outcome_that_comes_late_takes_nothing_back() -> None:
    assert settled({"written_version": 9}, {"version": 5, "written": True})["written_version"] == 9


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ({"closed": False, "written_version": 5}, None),
        ({"closed": True, "written_version": 4}, None),
        ({"closed": True, "written_version": 5}, "published"),
        ({"closed": True, "written_version": 5, "refusal": "Invalid"}, "dead_lettered"),
        ({"closed": True, "workspace": "", "last_at": at(-0.1)}, "archived"),
        ({"closed": True, "workspace": "", "last_at": at(0)}, None),
        ({"closed": True, "workspace": "", "last_at": at(0), "unmapped_uid": "-"}, "archived"),
        ({"closed": False, "workspace": ""}, None),
    ],
)
def test_a_summary_ends_once_it_is_closed_and_its_last_totals_are_handled(
    summary: dict[str, Any], expected: str | None
) -> None:
    assert end(**summary) == expected


def test_the_first_write_and_the_last_are_due_at_once() -> None:
    assert is_due(0)
    assert is_due(0, written_at=at(0), written_version=4, writes=9, closed=True)


def test_nothing_is_due_that_is_there_already_or_has_no_workspace() -> None:
    assert not is_due(99, written_version=5)
    assert not is_due(99, workspace="")


@pytest.mark.parametrize(("writes", "minutes"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 10), (50, 10)])
def test_a_rewrite_waits_twice_as_long_each_time_up_to_ten_minutes(writes: int, minutes: float) -> None:
    written = {"written_at": at(0), "written_version": 4, "writes": writes}
    assert not is_due(minutes - 0.01, **written)
    assert is_due(minutes, **written)
