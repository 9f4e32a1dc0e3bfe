from datetime import timedelta

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.schema import OCCURRENCES, PRESENCE
from batcher.stages.reach import clusters_of, outdated, reach
from tests.stages.rows import at, frame

DAY = 24 * 60
Row = tuple[int, str, str]
"""Minutes since the row before, cluster, workspace."""

rows_of = st.lists(
    st.tuples(st.integers(0, DAY // 3), st.sampled_from("ab"), st.sampled_from(["v", "w", ""])), max_size=8
)


def seen(rows: list[Row], *, known: pl.LazyFrame | None = None, begin: int = 0) -> pl.DataFrame:
    """What the state has after ``rows``, the first of them ``begin`` minutes after the start."""
    before = frame(PRESENCE, []) if known is None else known
    made, minute = [], begin
    for position, (wait, cluster, workspace) in enumerate(rows):
        minute += wait
        made.append({"position": position + 1000 * begin, "received_at": at(minute), "cluster": cluster,
                     "cluster_uid": f"uid-{cluster}", "workspace": workspace})  # fmt: skip
    found = reach(before, frame(OCCURRENCES, made))
    kept = before.join(found, on=("workspace", "cluster_uid"), how="anti")
    return pl.concat([kept, found]).sort("workspace", "cluster_uid").collect()


def test_a_cluster_is_known_from_its_first_event_of_a_workspace_to_its_last() -> None:
    found = seen([(0, "a", "v"), (5, "a", "v"), (5, "a", ""), (5, "b", "v")])
    assert found.rows() == [
        ("v", "uid-a", "a", at(0), at(5)), ("v", "uid-b", "b", at(15), at(15)),
    ]  # fmt: skip
    assert found.schema == PRESENCE


def test_one_that_was_not_seen_for_a_day_is_new_again() -> None:
    once = seen([(0, "a", "v")])
    assert seen([(DAY, "a", "v")], known=once.lazy())["first_at"].to_list() == [at(0)]
    assert seen([(DAY + 1, "a", "v")], known=once.lazy())["first_at"].to_list() == [at(DAY + 1)]
    assert outdated(once.lazy(), at(DAY)).collect().is_empty()
    assert outdated(once.lazy(), at(DAY + 1)).collect().rows() == [("v", "uid-a")]


def test_one_that_was_not_seen_for_a_day_is_new_again_also_in_one_batch() -> None:
    found = seen([(0, "b", "v"), (DAY, "a", "v"), (1, "b", "v"), (5, "b", "v")])
    assert found.rows() == [
        ("v", "uid-a", "a", at(DAY), at(DAY)), ("v", "uid-b", "b", at(DAY + 1), at(DAY + 6)),
    ]  # fmt: skip


@given(rows_of, st.integers(0, 8))
@example([(0, "b", "w"), (0, "a", "v"), (480, "a", "v"), (480, "a", "v"), (481, "b", "w")], 1)
def test_where_clusters_are_is_the_same_wherever_rows_are_cut(rows: list[Row], cut: int) -> None:
    first = seen(rows[:cut])
    begin = sum(wait for wait, *_ in rows[:cut])
    assert_frame_equal(seen(rows[cut:], known=first.lazy(), begin=begin), seen(rows))


def test_a_cluster_whose_namespaces_claim_a_workspace_is_one_of_it_without_any_event() -> None:
    claimed = frame(
        PRESENCE,
        [{"workspace": "v", "cluster_uid": "uid-b", "cluster": "b", "first_at": at(9)},
         {"workspace": "v", "cluster_uid": "uid-a", "cluster": "a", "first_at": at(-9)}],
    )  # fmt: skip
    found = clusters_of(seen([(0, "a", "v")]).lazy(), claimed).sort("cluster").collect()
    assert found.rows() == [("v", "uid-a", "a", at(-9)), ("v", "uid-b", "b", at(9))]
    assert timedelta(minutes=DAY) == timedelta(days=1)
