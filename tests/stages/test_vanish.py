"""A list that was completed takes away the namespaces that it does not have."""

from collections.abc import Sequence

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.schema import CLAIMS, LISTINGS, LISTS
from batcher.stages.vanish import begun_lists, under_way, vanish
from tests.stages.rows import at, frame

Line = tuple[str, str]
"""What it is (``listed``, ``watched``, ``gone``, or ``complete``) and the namespace."""


def play(*batches: Sequence[Line]) -> list[tuple[int, str, bool]]:
    """(position, namespace, whether it is gone) of every claim, after ``batches``."""
    known, listings, position, rows = frame(CLAIMS, []), frame(LISTINGS, []), 0, []
    for batch in batches:
        told, lists, began = [], [], None
        for position, (what, name) in enumerate(batch, position + 1):  # noqa: B020  counts on from the batch before
            if what == "complete":
                lists.append({"cluster_uid": "us", "first": began, "end": position, "received_at": at(position)})
                began = None
                continue
            began = (began or position) if what == "listed" else began
            gone = at(position) if what == "gone" else None
            told.append({"cluster_uid": "us", "namespace": name, "position": position, "gone_at": gone})
        if began:
            lists.append({"cluster_uid": "us", "first": began, "end": None, "received_at": None})
        begun = begun_lists(frame(LISTS, lists), listings)
        all_told = vanish(known, frame(CLAIMS, told), begun).collect()
        rows += all_told.select("position", "namespace", gone=pl.col("gone_at").is_not_null()).rows()
        newest = pl.concat([known.collect(), all_told]).sort("position").group_by("namespace", maintain_order=True)
        known = newest.last().select(*CLAIMS).lazy()
        still = listings.join(begun, on="cluster_uid", how="anti")
        listings = pl.concat([still, under_way(begun)]).collect().lazy()
    return rows


WATCHED: list[Line] = [("listed", "a"), ("listed", "b"), ("complete", ""), ("watched", "c")]
AGAIN: list[Line] = [("listed", "b"), ("listed", "c"), ("complete", "")]


def test_what_a_later_list_does_not_have_was_deleted_when_that_list_was_complete() -> None:
    assert play(WATCHED, AGAIN)[3:] == [(5, "b", False), (6, "c", False), (7, "a", True)]


def test_a_list_that_spans_batches_takes_away_no_namespace_of_its_first_page() -> None:
    assert play(WATCHED, AGAIN[:1], AGAIN[1:2], AGAIN[2:]) == play(WATCHED, AGAIN)


def test_a_list_that_is_not_complete_takes_nothing_away_and_one_that_was_begun_again_has_both_parts() -> None:
    assert [gone for *_, gone in play(WATCHED, [("listed", "a")])] == [False] * 4
    assert [gone for *_, gone in play(WATCHED, [("listed", "a")], AGAIN)] == [False] * 6


def test_what_is_gone_goes_once() -> None:
    assert play(WATCHED, AGAIN, AGAIN)[3:] == [
        (5, "b", False), (6, "c", False), (7, "a", True), (8, "b", False), (9, "c", False),
    ]  # fmt: skip
    deleted: list[Line] = [*WATCHED, ("gone", "a")]
    assert play(deleted, AGAIN)[3:] == [(5, "a", True), (6, "b", False), (7, "c", False)]


def test_one_that_comes_right_behind_the_list_is_there_and_the_list_of_another_cluster_changes_nothing() -> None:
    begun = begun_lists(frame(LISTS, [{"cluster_uid": "us", "first": 5, "end": 6}]), frame(LISTINGS, []))
    known = frame(CLAIMS, [{"cluster_uid": "us", "namespace": "a", "position": 1, "gone_at": None},
                           {"cluster_uid": "eu", "namespace": "b", "position": 1, "gone_at": None}])  # fmt: skip
    told = frame(CLAIMS, [{"cluster_uid": "us", "namespace": "a", "position": 6, "gone_at": None}])
    assert vanish(known, told, begun).select("namespace", "position", "gone_at").collect().rows() == [("a", 6, None)]


lines = st.lists(
    st.tuples(st.sampled_from(["listed", "listed", "watched", "gone", "complete"]), st.sampled_from(["a", "b", "c"])),
    max_size=12,
)


@given(lines, st.integers(0, 12), st.integers(0, 12))
def test_the_same_are_gone_wherever_batches_are_cut(story: list[Line], one: int, other: int) -> None:
    first, second = sorted((one, other))
    whole, cut = play(story), play(story[:first], story[first:second], story[second:])
    schema = ["position", "namespace", "gone"]
    frames = [pl.DataFrame(rows, schema=schema, orient="row") for rows in (cut, whole)]
    assert_frame_equal(*frames, check_dtypes=False)
