from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from batcher import schema
from batcher.stages.deduplicate import deduplicate, forgotten, remember
from tests.stages.rows import at, frame

COLUMNS: schema.Columns = {
    "position": pl.Int64, "cluster": pl.String, "cluster_key": pl.UInt64, "heard": pl.Int64, "incarnation": pl.Int64,
    "identity_high": pl.UInt64, "identity_low": pl.UInt64, "resource_version": pl.Int64, "count": pl.Int64,
    "created_at": schema.TIME, "first_at": schema.TIME, "last_at": schema.TIME,
}  # fmt: skip
HOUR = pl.lit(timedelta(hours=1))
MINUTE = 60_000_000
"""Of a cluster's clock."""


def grown(versions: list[tuple[int, int]], seen: list[dict[str, Any]] | None = None, **fields: Any) -> list[int]:
    """What each (resourceVersion, count) of one identity adds, in the order of delivery."""
    rows = [{"position": p, "resource_version": v, "count": c, **fields} for p, (v, c) in enumerate(versions)]
    known = frame(schema.SEEN, seen or [])
    found: list[int] = deduplicate(frame(COLUMNS, rows), known, event_ttl=HOUR).collect()["grew"].to_list()
    return found


@pytest.mark.parametrize(
    ("versions", "grew"),
    [
        ([(1, 1)], [1]),
        ([(1, 3)], [3]),
        ([(1, 1), (2, 50)], [1, 49]),
        ([(1, 5), (1, 5), (1, 5)], [5, 0, 0]),
        ([(2, 5), (1, 4)], [5, 0]),
        ([(1, 5), (2, 3), (3, 6)], [5, 0, 1]),
        ([(5, 5), (3, 9), (6, 9)], [5, 0, 4]),
    ],
    ids=[
        "new",
        "first-seen-late",
        "in-place",
        "repeats",
        "older-version",
        "count-falls",
        "an-older-version-counts-not",
    ],
)
def test_a_revision_adds_what_its_cumulative_count_grew_by(versions: list[tuple[int, int]], grew: list[int]) -> None:
    assert grown(versions) == grew


def test_what_the_state_has_seen_adds_nothing_again() -> None:
    seen = [{"resource_version": 7, "count": 10}]
    assert grown([(7, 10), (8, 12)], seen) == [0, 2]


def test_an_expired_event_that_is_created_again_with_its_old_count_adds_one() -> None:
    assert grown([(1, 50), (2, 52)], created_at=at(60), first_at=at(0)) == [1, 2]
    assert grown([(1, 50)], created_at=at(59), first_at=at(0)) == [50]


def test_a_known_event_that_is_created_again_adds_its_growth() -> None:
    seen = [{"resource_version": 7, "count": 50}]
    assert grown([(8, 51)], seen, created_at=at(90), first_at=at(0)) == [1]


def test_the_order_of_the_rows_does_not_matter_only_their_position() -> None:
    rows = [{"position": p, "resource_version": p + 1, "count": 2 * p + 1} for p in range(5)]
    there = deduplicate(frame(COLUMNS, rows), frame(schema.SEEN, []), event_ttl=HOUR).collect()
    back = deduplicate(frame(COLUMNS, rows[::-1]), frame(schema.SEEN, []), event_ttl=HOUR).collect()
    assert there.equals(back)


def test_growth_is_dated_from_the_first_time_only_when_all_of_it_was_counted() -> None:
    rows = [{"position": p, "resource_version": p + 1, "count": p + 1, "first_at": at(0), "last_at": at(p)}
            for p in range(2)]  # fmt: skip
    found = deduplicate(frame(COLUMNS, rows), frame(schema.SEEN, []), event_ttl=HOUR).collect()
    assert found["since_at"].to_list() == [at(0), at(1)]


def test_the_growth_of_what_was_created_again_is_dated_and_flagged_as_that() -> None:
    row = {"resource_version": 1, "count": 50, "created_at": at(60), "first_at": at(0), "last_at": at(60)}
    found = deduplicate(frame(COLUMNS, [row]), frame(schema.SEEN, []), event_ttl=HOUR).collect()
    assert found.select("grew", "recreated", "since_at").row(0) == (1, True, at(60))


def test_the_largest_version_and_count_are_remembered() -> None:
    rows = [{"position": p, "resource_version": v, "count": c, "heard": p} for p, (v, c) in
            enumerate([(3, 3), (9, 8), (4, 99)])]  # fmt: skip
    known = frame(schema.SEEN, [{"resource_version": 1, "count": 1}])
    (row,) = remember(deduplicate(frame(COLUMNS, rows), known, event_ttl=HOUR)).collect().to_dicts()
    assert (row["resource_version"], row["count"], row["touched"]) == (9, 8, 2)


def test_an_identity_is_forgotten_after_two_ttls_of_contact_with_its_cluster() -> None:
    seen = frame(schema.SEEN, [
        {"identity_low": 1, "touched": 0}, {"identity_low": 2, "touched": MINUTE},
        {"identity_low": 3, "touched": 0, "cluster_key": 7},
    ])  # fmt: skip
    clocks = frame(schema.CLOCKS, [{"heard": 120.5 * MINUTE}, {"heard": 60 * MINUTE, "cluster_key": 7}])
    assert forgotten(seen, clocks, event_ttl=HOUR).collect()["identity_low"].to_list() == [1]


def test_an_identity_of_a_short_ttl_is_kept_over_the_one_step_that_an_outage_adds_to_the_clock() -> None:
    ttl = pl.lit(timedelta(minutes=2))
    seen = frame(schema.SEEN, [{"identity_low": 1, "touched": 0}])
    for minutes, gone in ((7, []), (8, [1])):
        clocks = frame(schema.CLOCKS, [{"heard": minutes * MINUTE}])
        assert forgotten(seen, clocks, event_ttl=ttl).collect()["identity_low"].to_list() == gone


def test_an_identity_that_was_silent_for_longer_than_it_is_kept_begins_anew_in_or_out_of_the_state() -> None:
    def rows(*minutes: int) -> list[dict[str, Any]]:
        return [{"position": p, "resource_version": 7, "count": 3, "heard": m * MINUTE} for p, m in enumerate(minutes)]

    def grew(found: pl.LazyFrame) -> list[int]:
        return found.collect()["grew"].to_list()

    nothing = frame(schema.SEEN, [])
    held = frame(schema.SEEN, [{"resource_version": 7, "count": 3, "touched": 0}])
    assert grew(deduplicate(frame(COLUMNS, rows(0, 120, 241)), nothing, event_ttl=HOUR)) == [3, 0, 3]
    assert grew(deduplicate(frame(COLUMNS, rows(121)), held, event_ttl=HOUR)) == [3]
    assert grew(deduplicate(frame(COLUMNS, rows(120)), held, event_ttl=HOUR)) == [0]


def test_only_the_newest_generation_is_remembered() -> None:
    rows = [{"position": 0, "resource_version": 9, "count": 8, "heard": 0},
            {"position": 1, "resource_version": 2, "count": 1, "heard": 200 * MINUTE}]  # fmt: skip
    (row,) = remember(deduplicate(frame(COLUMNS, rows), frame(schema.SEEN, []), event_ttl=HOUR)).collect().to_dicts()
    assert (row["resource_version"], row["count"], row["touched"]) == (2, 1, 200 * MINUTE)


@pytest.mark.parametrize(
    ("deliveries", "grew"),
    [
        ([(0, 100, 80), (1, 60, 81)], [80, 1]),
        ([(0, 100, 80), (1, 60, 50), (1, 61, 81)], [80, 0, 1]),
        ([(0, 100, 80), (1, 60, 81), (1, 60, 81)], [80, 1, 0]),
        ([(0, 100, 80), (1, 60, 81), (0, 101, 99)], [80, 1, 0]),
        ([(0, 100, 80), (1, 60, 81), (2, 60, 90)], [80, 1, 9]),
    ],
    ids=["goes-on", "relisted-as-it-was", "repeat", "of-the-old", "restored-twice"],
)
def test_a_restored_cluster_begins_its_versions_anew_and_keeps_its_counts(
    deliveries: list[tuple[int, int, int]], grew: list[int]
) -> None:
    """Each (incarnation, resourceVersion, count); delivered at once, or one a batch."""
    rows = [{"position": p, "incarnation": i, "resource_version": v, "count": c} for p, (i, v, c) in
            enumerate(deliveries)]  # fmt: skip
    nothing = frame(schema.SEEN, [])
    assert deduplicate(frame(COLUMNS, rows), nothing, event_ttl=HOUR).collect()["grew"].to_list() == grew
    seen, one_by_one = nothing, []
    for row in rows:
        found = deduplicate(frame(COLUMNS, [row]), seen, event_ttl=HOUR)
        one_by_one += found.collect()["grew"].to_list()
        seen = remember(found)
    assert one_by_one == grew
