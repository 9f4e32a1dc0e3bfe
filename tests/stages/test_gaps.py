from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.schema import CONTACTS
from batcher.stages.gaps import find_gaps, last_contacts

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = pl.lit(timedelta(hours=1))


def contacts(*minutes: float, cluster: str = "us-west1", scope: str = "") -> pl.LazyFrame:
    rows = [(0, f"uid-{cluster}", cluster, scope, 0, START + timedelta(minutes=at)) for at in minutes]
    return pl.LazyFrame(rows, schema=CONTACTS, orient="row")


def gaps(known: pl.LazyFrame, heard: pl.LazyFrame) -> list[tuple[str, float, float]]:
    found = find_gaps(heard, known, event_ttl=HOUR).sort("cluster", "from_at").collect()
    minute = timedelta(minutes=1)
    return [(row["cluster"], (row["from_at"] - START) / minute, (row["to_at"] - START) / minute)
            for row in found.iter_rows(named=True)]  # fmt: skip


def test_a_quiet_cluster_that_was_in_reach_leaves_no_gap() -> None:
    assert gaps(contacts(0), contacts(*range(1, 200))) == []


def test_a_silence_longer_than_the_ttl_is_a_gap_from_the_last_contact_to_the_next() -> None:
    assert gaps(contacts(0), contacts(10, 71, 72)) == [("us-west1", 10, 71)]


def test_a_silence_of_exactly_the_ttl_is_none() -> None:
    assert gaps(contacts(0), contacts(60)) == []


def test_the_first_contact_ever_is_no_gap() -> None:
    assert gaps(contacts(), contacts(500)) == []


def test_one_cluster_speaking_does_not_cover_another_that_is_silent() -> None:
    heard = pl.concat([contacts(*range(0, 200, 10)), contacts(150, cluster="eu")])
    assert gaps(contacts(0, cluster="eu"), heard) == [("eu", 0, 150)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_contacts_of_one_moment_the_latest_incarnation_is_kept(order: tuple[int, ...]) -> None:
    heard = pl.concat([contacts(1, 2).with_columns(incarnation=pl.lit(number, pl.Int64)) for number in order])
    assert last_contacts(heard).collect()["incarnation"].to_list() == [2]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=8, unique=True), st.integers(0, 8))
def test_cutting_a_batch_anywhere_finds_the_same_gaps(minutes: list[int], cut: int) -> None:
    minutes = sorted(minutes)
    first, second = contacts(*minutes[:cut]), contacts(*minutes[cut:])
    in_two = gaps(contacts(), first) + gaps(last_contacts(first), second)
    assert in_two == gaps(contacts(), contacts(*minutes))
