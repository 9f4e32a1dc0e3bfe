"""The first so many of a group, by position: held against the same said as simply as it can be."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.schema import PLACES, TIME, Columns
from batcher.stages.places import EVER, Level, hour, outdated, place, taken
from tests.stages.rows import at, frame

ROWS: Columns = {"received_at": TIME, "previous_at": TIME, "group": pl.UInt64, "key": pl.UInt64}
BY_KEY, BY_ROW, BY_SESSION = Level("key"), Level("row", EVER), Level("session", timedelta(minutes=5))
NOBODY = frame(PLACES, [])


class Row(NamedTuple):
    """A minute, who shares (None: asks for none), and who asks."""

    minute: float
    group: int | None
    key: int


def asked(rows: list[Row], level: Level, most: int, known: pl.LazyFrame = NOBODY) -> pl.DataFrame:
    """Rows of a batch, with their places; a key is of one group."""
    last: dict[int, datetime] = {}
    made: list[dict[str, Any]] = []
    for row in rows:
        key = row.key + 10 * (row.group or 0)
        made.append({"received_at": at(row.minute), "group": row.group, "key": key, "previous_at": last.get(key)})
        last[key] = at(row.minute)
    placed = place(frame(ROWS, made), known, level, group=pl.col("group"), key=pl.col("key"), most=most)
    return placed.with_columns(until=pl.lit(at(60)).cast(TIME)).collect()


def has(*rows: tuple[float, int | None, int], level: Level = BY_KEY, most: int = 2) -> list[bool | None]:
    return asked([Row(*row) for row in rows], level, most)[level.has].to_list()


def kept(placed: pl.DataFrame, known: pl.LazyFrame, level: Level) -> pl.LazyFrame:
    """The state after ``placed``."""
    new = taken(placed.lazy(), known, level, "until")
    return pl.concat([known.join(new, on=("level", "key"), how="anti"), new]).collect().lazy()


def test_the_first_keys_have_a_place_and_keep_it() -> None:
    assert has((0, 1, 1), (1, 1, 2), (2, 1, 3), (50, 1, 1), (51, 1, 3)) == [True, True, False, True, False]


def test_each_group_has_places_of_its_own_and_who_is_of_none_asks_for_none() -> None:
    assert has((0, 1, 1), (1, 2, 1), (2, None, 1), (3, 1, 2), (4, 2, 2), most=1) == [True, True, None, False, False]


def test_where_every_row_takes_a_place_a_key_may_take_all() -> None:
    assert has((0, 1, 1), (0, 1, 1), (0, 1, 1), (0, 1, 2), level=BY_ROW) == [True, True, False, False]


def test_a_key_that_was_silent_for_too_long_takes_another_place_or_has_none() -> None:
    rows = [(0, 1, 1), (5, 1, 1), (11, 1, 1), (12, 1, 1), (18, 1, 1), (19, 1, 1)]
    assert has(*rows, level=BY_SESSION) == [True, True, True, True, False, False]
    assert has(*rows, (19, 1, 2), level=BY_SESSION, most=3) == [True] * 6 + [False]


def test_the_state_knows_who_has_a_place_how_many_it_took_and_until_when() -> None:
    placed = asked([Row(0, 1, 1), Row(9, 1, 1), Row(10, 1, 2), Row(11, None, 3)], BY_SESSION, 2)
    assert kept(placed, NOBODY, BY_SESSION).collect().rows() == [("session", 1, 11, at(60), at(9), 2)]


def test_a_key_that_keeps_its_place_changes_nothing_in_the_state() -> None:
    known = kept(asked([Row(0, 1, 1)], BY_KEY, 1), NOBODY, BY_KEY)
    again = asked([Row(9, 1, 1), Row(9, 1, 2)], BY_KEY, 1, known)
    assert again["key"].len() == 2
    assert taken(again.lazy(), known, BY_KEY, "until").collect().is_empty()


def test_levels_know_nothing_of_each_other() -> None:
    known = kept(asked([Row(0, 1, 1)], BY_KEY, 1), NOBODY, BY_KEY)
    assert asked([Row(1, 1, 2)], BY_ROW, 1, known)["row_has"].to_list() == [True]


def test_places_are_outdated_when_their_period_is_over_and_not_before() -> None:
    known = frame(PLACES, [{"level": "l", "key": 1, "until": at(60)}, {"level": "l", "key": 2, "until": at(61)}])
    assert outdated(known, at(60)).collect().rows() == [("l", 1)]
    assert outdated(known, at(59.99)).collect().is_empty()


def test_an_hour_begins_on_the_clock() -> None:
    times = pl.DataFrame({"at": [at(0), at(59.9), at(60)]}, schema={"at": TIME})
    assert times.select(hour(pl.col("at"))).to_series().to_list() == [at(0), at(0), at(60)]


rows_ = st.lists(
    st.tuples(st.sampled_from([0, 1, 5, 6]), st.sampled_from([1, 1, 2, None]), st.integers(1, 3)), max_size=12
).map(lambda said: [Row(sum(row[0] for row in said[: n + 1]), *row[1:]) for n, row in enumerate(said)])
levels = pytest.mark.parametrize("level", [BY_KEY, BY_ROW, BY_SESSION], ids=lambda level: level.name)


def simply(rows: list[Row], silence: timedelta, most: int) -> list[bool | None]:
    """Who has a place, one row after the other."""
    last: dict[tuple[int, int], float] = {}
    used: dict[int, int] = {}
    found: list[bool | None] = []
    for row in rows:
        if row.group is None:
            found.append(None)
            continue
        who, minutes = (row.group, row.key), silence / timedelta(minutes=1)
        needs = who not in last or row.minute - last[who] > minutes or not minutes
        granted = not needs or used.get(row.group, 0) < most
        if granted:
            last[who] = row.minute
            used[row.group] = used.get(row.group, 0) + needs
        found.append(granted)
    return found


@levels
@given(rows_, st.integers(0, 3))
def test_who_has_a_place_is_who_would_have_it_one_row_after_the_other(level: Level, rows: list[Row], most: int) -> None:
    assert asked(rows, level, most)[level.has].to_list() == simply(rows, level.silence, most)


@levels
@given(rows_, st.integers(0, 3), st.integers(0, 12))
def test_wherever_rows_are_cut_the_same_have_a_place(level: Level, rows: list[Row], most: int, cut: int) -> None:
    first = asked(rows[:cut], level, most)
    known = kept(first, NOBODY, level)
    second = asked(rows[cut:], level, most, known)
    whole = asked(rows, level, most)
    assert [*first[level.has], *second[level.has]] == whole[level.has].to_list()
    after = kept(second, known, level).sort("key").collect()
    assert after.rows() == kept(whole, NOBODY, level).sort("key").collect().rows()
    assert all(used <= most for _, used in after.group_by("group").agg(pl.sum("taken")).iter_rows())
