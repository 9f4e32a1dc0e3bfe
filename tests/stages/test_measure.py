from datetime import UTC, datetime

import pytest

from batcher.schema import LINES
from batcher.stages.measure import measure
from tests.stages.rows import START, frame

NONE = dict.fromkeys(("created", "first", "last", "event_time", "series_last", "count", "series_count"))


def measured(**fields: object) -> dict[str, object]:
    (row,) = measure(frame(LINES, [NONE | fields])).collect().to_dicts()
    return row


@pytest.mark.parametrize(
    ("fields", "count"),
    [({}, 1), ({"count": 0}, 1), ({"count": -5}, 1), ({"count": 7}, 7), ({"count": 7, "series_count": 3}, 3),
     ({"series_count": 0}, 1)],
)  # fmt: skip
def test_the_effective_count_is_the_series_else_the_count_and_at_least_one(fields: dict[str, int], count: int) -> None:
    assert measured(**fields)["count"] == count


def test_legacy_times_are_first_and_last() -> None:
    row = measured(created="2026-11-23T10:00:00Z", first="2026-11-23T09:00:00Z", last="2026-11-23T11:00:00Z")
    assert row["first_at"] == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert row["last_at"] == datetime(2026, 11, 23, 11, tzinfo=UTC)


def test_new_style_times_keep_their_microseconds() -> None:
    row = measured(event_time="2026-11-23T09:00:00.000250Z", series_last="2026-11-23T09:30:00.000001Z")
    assert row["first_at"] == datetime(2026, 11, 23, 9, 0, 0, 250, tzinfo=UTC)
    assert row["last_at"] == datetime(2026, 11, 23, 9, 30, 0, 1, tzinfo=UTC)


TIMES = {
    "first": "2026-11-23T05:00:00Z",
    "event_time": "2026-11-23T06:00:00.000000Z",
    "created": "2026-11-23T07:00:00Z",
    "last": "2026-11-23T08:00:00Z",
    "series_last": "2026-11-23T09:00:00.000000Z",
}


@pytest.mark.parametrize(
    ("absent", "hour"),
    [((), 5), (("first",), 6), (("first", "event_time"), 7), (("first", "event_time", "created"), 12)],
)
def test_the_first_time_is_the_first_else_the_event_time_else_the_creation(absent: tuple[str, ...], hour: int) -> None:
    assert measured(**TIMES | dict.fromkeys(absent))["first_at"] == datetime(2026, 11, 23, hour, tzinfo=UTC)


@pytest.mark.parametrize("newest", list(TIMES))
def test_the_last_time_is_the_newest_of_all(newest: str) -> None:
    assert measured(**TIMES | {newest: "2026-11-23T10:00:00Z"})["last_at"] == datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_times_of_all_years_and_offsets_are_read_in_utc() -> None:
    row = measured(first="0001-01-01T00:00:00Z", last="9999-12-31T23:59:59Z", created="2026-11-23T10:00:00+02:00")
    assert row["first_at"] == datetime(1, 1, 1, tzinfo=UTC)
    assert row["last_at"] == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert row["created_at"] == datetime(2026, 11, 23, 8, tzinfo=UTC)


def test_an_event_without_any_readable_time_happened_when_it_was_received() -> None:
    row = measured(first="yesterday")
    assert (row["created_at"], row["first_at"], row["last_at"]) == (START, START, START)
