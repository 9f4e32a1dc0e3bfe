from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from batcher import schema
from batcher.stages.listen import as_of, last_clocks, lifetime, listen, run_clocks
from tests.stages.rows import at, frame

MINUTE = 60_000_000


def contacts(*minutes: float, key: int = 0, scope: str = "") -> pl.LazyFrame:
    rows = [{"cluster_key": key, "cluster": f"c{key}", "scope": scope, "received_at": at(m)} for m in minutes]
    return frame(schema.CONTACTS, rows)


def heard(clocks: pl.LazyFrame) -> list[float]:
    return [each / MINUTE for each in clocks.sort("cluster_key", "received_at").collect()["heard"].to_list()]


NOTHING = frame(schema.CLOCKS, [])


def test_a_clock_runs_while_its_cluster_is_heard_of_at_least_every_few_minutes() -> None:
    assert heard(run_clocks(contacts(0, 1, 3, 8), NOTHING)) == [0, 1, 3, 8]


def test_a_silence_adds_no_more_than_the_longest_step() -> None:
    assert heard(run_clocks(contacts(0, 600, 601), NOTHING)) == [0, 5, 6]


def test_a_silence_of_more_than_a_month_counts_in_full() -> None:
    month = 30 * 24 * 60
    assert heard(run_clocks(contacts(0, month), NOTHING)) == [0, 5]
    assert heard(run_clocks(contacts(0, month + 1), NOTHING)) == [0, month + 1]


def test_a_clock_goes_on_without_a_contact_once_its_cluster_is_gone_and_never_beyond_what_the_next_one_finds() -> None:
    month = 30 * 24 * 60
    for now, said, found in ((10, 10, 10), (99, 10, 15), (month + 10, 10, 15), (month + 11, month + 11, month + 11)):
        clocks = last_clocks(run_clocks(contacts(0, 5, 10), NOTHING))
        assert as_of(clocks, at(now)).collect()["heard"].to_list() == [said * MINUTE]
        assert heard(run_clocks(contacts(now), clocks)) == [found]


def test_any_stream_of_a_cluster_keeps_its_clock_running_and_none_of_another_does() -> None:
    both = pl.concat([contacts(0, 8, scope="web"), contacts(4, 12, scope="jobs"), contacts(0, 20, key=7)])
    assert heard(run_clocks(both, NOTHING)) == [0, 4, 8, 12, 0, 5]


def test_a_line_has_the_clock_of_its_receipt() -> None:
    lines = frame({"cluster_key": pl.UInt64, "received_at": schema.TIME},
                  [{"received_at": at(3)}, {"received_at": at(1)}, {"received_at": at(99)}])  # fmt: skip
    found = listen(lines, run_clocks(contacts(0, 1, 3), NOTHING)).sort("received_at").collect()
    assert found["heard"].to_list() == [1 * MINUTE, 3 * MINUTE, 0]


def test_each_cluster_keeps_its_events_for_its_own_time() -> None:
    hour, day = timedelta(hours=1), timedelta(days=1)
    clusters = pl.DataFrame({"cluster": ["slow", "other"]})
    assert clusters.select(lifetime({"slow": day}, hour)).to_series().to_list() == [day, hour]
    assert clusters.select(pl.col("cluster"), x=lifetime({}, hour))["x"].to_list() == [hour, hour]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 1)), min_size=1, max_size=12), st.integers(0, 12))
def test_cutting_a_batch_anywhere_gives_the_same_clocks(moments: list[tuple[int, int]], cut: int) -> None:
    ordered = sorted(moments)

    def said(part: list[tuple[int, int]]) -> pl.LazyFrame:
        return pl.concat([contacts(), *(contacts(minute, key=key) for minute, key in part)])

    whole = run_clocks(said(ordered), NOTHING).collect()
    first = run_clocks(said(ordered[:cut]), NOTHING)
    second = run_clocks(said(ordered[cut:]), last_clocks(first))
    columns = ["cluster_key", "received_at", "heard"]
    in_two = pl.concat([first.collect(), second.collect()]).select(columns).unique().sort(columns)
    assert in_two.equals(whole.select(columns).unique().sort(columns))
