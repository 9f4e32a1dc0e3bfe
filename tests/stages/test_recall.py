import polars as pl

from batcher.schema import CLOCKS, SEEN, empty
from batcher.stages.recall import KNOWN, heard_now, recall
from tests.history import START_AT

CLOCK = pl.DataFrame([[9, "us-west1", START_AT, 700]], schema=CLOCKS, orient="row")
LINE = pl.DataFrame(
    {"identity_high": [1, 1], "identity_low": [2, 2], "cluster_key": [9, 9]},
    schema={name: SEEN[name] for name in ("identity_high", "identity_low", "cluster_key")},
)


def seen(*rows: tuple[int, ...]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=SEEN, orient="row")


def known(*rows: tuple[int, ...]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=KNOWN, orient="row")


def lines() -> pl.LazyFrame:
    return heard_now(LINE.lazy(), CLOCK.lazy())


def test_a_line_is_heard_when_its_cluster_was_heard_last() -> None:
    assert lines().collect()["heard"].to_list() == [700, 700]
    assert heard_now(LINE.lazy(), empty(CLOCKS).lazy()).collect()["heard"].to_list() == [0, 0]


def test_a_forgotten_identity_is_known_again_as_if_touched_just_now() -> None:
    found = recall(seen((3, 4, 9, 0, 1, 1, 5)), known((1, 2, 1, 30, 8)), lines()).collect()
    assert found.rows() == [(3, 4, 9, 0, 1, 1, 5), (1, 2, 9, 1, 30, 8, 700)]


def test_what_the_state_knows_comes_before_what_the_archive_says() -> None:
    found = recall(seen((1, 2, 9, 0, 40, 9, 5)), known((1, 2, 1, 30, 8)), lines()).collect()
    assert found.rows() == [(1, 2, 9, 0, 40, 9, 700)]


def test_others_stay_as_they_are() -> None:
    assert recall(seen((3, 4, 9, 0, 1, 1, 5)), known((7, 7, 0, 1, 1)), lines()).collect().rows() == [
        (3, 4, 9, 0, 1, 1, 5)
    ]
