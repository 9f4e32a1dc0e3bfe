"""Ended summaries wait for their workspace for so long, and so many of them, and no longer."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from batcher.schema import OPEN_SUMMARIES
from batcher.stages.expire import EXPIRED, Bounds, crowded_out, expire, is_overdue
from tests.stages.rows import at, frame

BOUNDS = Bounds(timedelta(minutes=5), timedelta(hours=1), max_age=timedelta(hours=1), max_pending=2)
WAITS = {
    "summary": "s", "workspace": "root:shop", "version": 5, "written_version": 4, "closed": True, "last_at": at(0),
    "written_at": None,
}  # fmt: skip


def summaries(*rows: dict[str, Any]) -> pl.LazyFrame:
    return frame(OPEN_SUMMARIES, [WAITS | row for row in rows])


def overdue(minutes: float, **summary: Any) -> bool:
    found: bool = summaries(summary).select(is_overdue(at(minutes), BOUNDS)).collect().item()
    return found


def test_an_ended_summary_waits_for_an_hour_after_its_session_was_over() -> None:
    assert not overdue(65)
    assert overdue(65.1)


def test_its_time_begins_anew_with_its_last_outcome() -> None:
    assert not overdue(80, written_at=at(20))
    assert overdue(80.1, written_at=at(20))


@pytest.mark.parametrize(
    "waits_for_nothing", [{"closed": False}, {"workspace": ""}, {"written_version": 5}, {"written_version": 6}]
)
def test_what_goes_on_or_has_no_workspace_or_was_handled_is_never_overdue(waits_for_nothing: dict[str, Any]) -> None:
    assert not overdue(10_000, **waits_for_nothing)


def test_of_too_many_that_wait_the_oldest_are_given_up() -> None:
    rows = [{"summary": name, "last_at": at(minute)} for name, minute in (("a", 2), ("b", 1), ("c", 3), ("d", 1))]
    others = [{"summary": "goes-on", "closed": False}, {"summary": "told", "written_version": 5}]
    found = crowded_out(summaries(*rows, *others), BOUNDS).collect()["summary"].to_list()
    assert sorted(found) == ["b", "d"]


def test_what_is_given_up_is_refused_as_expired_and_all_else_is_as_it_was() -> None:
    rows = summaries(
        {"summary": "late"}, {"summary": "crowded", "last_at": at(60)}, {"summary": "in-time", "last_at": at(60)}
    )
    crowded = pl.LazyFrame({"summary": ["crowded"]})
    found = expire(rows, crowded, now=at(66), bounds=BOUNDS).select("summary", "refusal", "written_version").collect()
    assert set(found.rows()) == {("late", EXPIRED, 5), ("crowded", EXPIRED, 5), ("in-time", "", 4)}


def test_nothing_expires_unless_it_is_told_to() -> None:
    forever = Bounds(timedelta(minutes=5))
    assert not summaries({}).select(is_overdue(at(1_000_000), forever)).collect().item()
    assert crowded_out(summaries({}), forever).collect().is_empty()
