"""Objects that a whole list did not show are gone."""

import itertools
from collections.abc import Sequence
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.schema import CLAIMS, OBJECT_LISTS, OBJECTS
from batcher.stages.locate import Trust
from batcher.stages.miss import miss
from batcher.stages.own import hear, judge_objects, objects_now
from tests.stages.rows import at, frame

ABOUT = {"cluster_uid": "c", "object_group": "apps", "object_kind": "Deployment"}
DAY = timedelta(days=1)


def said(position: int, name: str = "web", *, listed: bool = False, **changes: object) -> dict[str, object]:
    line = {"namespace": "n", "object_name": name, "uid": name, "position": position, "is_listing": listed}
    return ABOUT | line | {"gone_at": None, "received_at": at(position)} | changes


def ended(position: int, scope: str = "", **changes: str) -> dict[str, object]:
    return ABOUT | {"scope": scope, "position": position, "received_at": at(position)} | changes


@pytest.mark.parametrize(
    ("lines", "lists", "gone"),
    [
        ([said(5)], [], []),
        ([said(5)], [ended(5)], []),
        ([said(5)], [ended(4), ended(6), ended(7)], [6]),
        ([said(5, listed=True)], [ended(6)], []),
        ([said(5, listed=True)], [ended(6), ended(9)], [9]),
        ([said(5), said(7)], [ended(8)], [8]),
        ([said(5), said(7)], [ended(6), ended(9)], [6, 9]),
        ([said(5), said(6)], [ended(6)], []),
        ([said(5)], [ended(6, "n")], [6]),
        ([said(5)], [ended(6, "other")], []),
        ([said(5)], [ended(6, object_kind="Job")], []),
        ([said(5)], [ended(6, cluster_uid="d")], []),
        ([said(5, gone_at=at(5))], [ended(6)], []),
        ([said(5), said(4, "api")], [ended(6)], [6, 6]),
    ],
    ids=["no-list", "before-it", "watched", "listed", "listed-and-missed", "told-again", "twice", "told-behind-it",
         "scope", "other-scope", "other-kind", "other-cluster", "deleted", "two"],
)  # fmt: skip
def test_what_a_list_does_not_show_is_gone_when_it_ends(
    lines: Sequence[dict[str, object]], lists: Sequence[dict[str, object]], gone: Sequence[int]
) -> None:
    found = miss(frame(OBJECTS, lines).sort("position"), frame(OBJECT_LISTS, lists)).sort("position").collect()
    assert found.select("position", "received_at", "gone_at").rows() == [(p, at(p), at(p)) for p in gone]
    assert found.schema == OBJECTS


steps = st.lists(
    st.one_of(st.tuples(st.sampled_from(["listed", "watched"]), st.sampled_from(["web", "api"])), st.just(("end", ""))),
    min_size=1, max_size=10,
)  # fmt: skip


@given(steps, st.sets(st.integers(1, 9)))
def test_what_is_gone_is_the_same_wherever_batches_are_cut(steps: list[tuple[str, str]], cuts: set[int]) -> None:
    story = list(enumerate(steps, 1))
    edges = [0, *sorted(cut for cut in cuts if cut < len(story)), len(story)]
    parts = [story[start:end] for start, end in itertools.pairwise(edges)]
    assert after(parts) == after([story])


HAD = {**dict.fromkeys(("cluster_uid", "namespace", "had_workspace", "had_namespace"), pl.String), "position": pl.Int64}
NONE = (frame(CLAIMS, []), pl.LazyFrame(schema=HAD))


def after(batches: Sequence[Sequence[tuple[int, tuple[str, str]]]]) -> list[tuple[object, ...]]:
    known = frame(OBJECTS, []).collect()
    for batch in batches:
        told = [said(p, name, listed=how == "listed") for p, (how, name) in batch if how != "end"]
        lists = frame(OBJECT_LISTS, [ended(p) for p, (how, _) in batch if how == "end"])
        heard = hear(known.lazy(), frame(OBJECTS, told), lists)
        judged = judge_objects(heard, *NONE, rules=(), trust=Trust(), remembered=DAY)
        known = objects_now(judged, lists, at(20), remembered=DAY).collect()
    return known.sort("object_name").select("object_name", "position", "gone_at", "is_listing").rows()
