"""A source that reports too much, batch after batch: what is told of it, and what adds up."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.schema import MEASURES, SLOT
from batcher.stages.route import Route, Where
from tests.sections import event, watched
from tests.test_folding import Frame, Hours, assert_same, frame, shown
from tests.test_pipeline import RULES, Story, at, counts

FEW = replace(RULES, limit=2, longest=timedelta(hours=1))
SUPPRESSED = pl.col("kind") == "suppressed"
ARCHIVED = "none lost, all are in the archive"
KEPT = "[us-west1] Back-off restarting failed container"


def test_what_is_held_back_is_archived_with_its_verdict_and_told_in_one_event() -> None:
    story = Story(FEW)
    names = watched(*(event(name, number, count=10) for number, name in enumerate("abcde", 1)))
    result = story.batch(names, minute=12)
    assert counts(result) == {
        "received": 5, "revisions": 5, "occurrences": 50, "kept": 2, "limited": 3, "opened": 3,
    }  # fmt: skip
    assert result.tables["occurrences"]["verdict"].to_list() == ["kept", "kept", "limited", "limited", "limited"]
    assert shown(story, 12) == [
        f"[us-west1] 30 Warning events of kubelet not shown since 16:12Z (limit 2 a minute); {ARCHIVED}",
        KEPT,
        KEPT,
    ]
    (told,) = story.state["open_summaries"].filter(SUPPRESSED).to_dicts()
    about = ["regarding_api_version", "regarding_kind", "regarding_name", "type", "reason", "component"]
    assert [told[name] for name in about] == ["v1", "Namespace", "shop", "Normal", "EventsSuppressed", "batcher"]


def test_a_new_minute_passes_again_and_the_hour_has_one_event_a_source_and_share() -> None:
    story = Story(FEW)
    story.batch(watched(*(event(f"a{n}", n) for n in range(1, 4))), minute=0)
    story.batch(watched(*(event(f"b{n}", n, type="Normal") for n in range(11, 14))), minute=0)
    story.batch(watched(*(event(f"c{n}", n) for n in range(21, 25))), minute=30)
    held = story.state["open_summaries"].filter(SUPPRESSED).sort("template").select("template", "occurrences")
    assert held.rows() == [("2026-11-23T16Z normal 2 kubelet", 1), ("2026-11-23T16Z warning 2 kubelet", 3)]


def test_the_minute_goes_on_in_the_next_batch_and_is_forgotten_when_it_is_over() -> None:
    story = Story(FEW)
    story.batch(watched(event("a", 1)), minute=0)
    assert counts(story.batch(watched(event("b", 2), event("c", 3)), minute=0.9))["limited"] == 1
    levels = {"passing", "sources"}
    assert levels <= set(story.state["places"]["level"])
    story.batch(minute=1)
    assert not levels & set(story.state["places"]["level"])


def test_delivering_what_was_held_back_again_adds_nothing() -> None:
    story, flood = Story(FEW), watched(*(event(f"a{n}", n) for n in range(1, 6)))
    story.batch(flood, minute=0)
    assert counts(story.batch(flood, minute=0.5)) == {"received": 5, "repeats": 5}


def test_who_is_told_elsewhere_is_told_there_what_is_not_shown() -> None:
    routes = (Route("sre", elsewhere=(Where("root:sre"),)),)
    story = Story(replace(FEW, routes=routes))
    story.batch(watched(*(event(f"a{n}", n) for n in range(1, 6))), minute=0)
    told = story.state["open_summaries"].filter(SUPPRESSED)
    assert told.select("workspace", "target_namespace", "origin", "occurrences").rows() == [
        ("root:sre", "default", "root:shop/shop", 3)
    ]


def test_an_event_of_a_cluster_that_says_events_suppressed_is_told_like_any_other() -> None:
    story = Story(FEW)
    story.batch(watched(event("a", 1, reason="EventsSuppressed", message="boo")), minute=0)
    assert story.state["open_summaries"].select("kind", "regarding_name").rows() == [("", "a")]
    assert shown(story, 0) == ["[us-west1] boo"]


def test_a_source_is_held_back_before_its_objects_are_folded() -> None:
    story = Story(replace(FEW, limit=3, max_keys=1))
    result = story.batch(watched(*(event(f"a{n}", n) for n in range(1, 6))), minute=0)
    assert (result.sums["limited"], result.sums["folded"]) == (2, 2)
    kinds = story.state["open_summaries"].sort("kind").select("kind", "occurrences")
    assert kinds.rows() == [("", 1), ("folded", 2), ("suppressed", 2)]


Happening = tuple[float, str, str, int]
"""Minutes since the one before, an object, the type, and how often it happened."""

happened = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0.3, 1, 6, 60]), st.sampled_from("abcd"), st.sampled_from(["Normal", "Warning"]),
        st.integers(1, 3),
    ),
    min_size=1, max_size=10,
)  # fmt: skip
stories = settings(max_examples=max(5, settings().max_examples // 5))
"""A batch of 50 ms a happening, and twice: a fifth of the examples of other properties."""


def played(happenings: Sequence[Happening], cuts: Sequence[int]) -> tuple[Story, pl.DataFrame, pl.DataFrame]:
    """The story after all of them, cut into batches, its archived slots, and its rows."""
    minute, counted, frames = 0.0, dict[str, int](), list[Frame]()
    for number, (wait, name, kind, growth) in enumerate(happenings, 1):
        minute += wait + 0.001
        counted[name] = counted.get(name, 0) + growth
        frames.append(frame(watched(event(name, number, count=counted[name], type=kind)), number, minute))
    story = Hours(replace(FEW, max_keys=2))
    edges = sorted({0, *(min(cut, len(frames)) for cut in cuts), len(frames)})
    results = [story.batch_of(frames[first:last]) for first, last in pairwise(edges)]
    results.append(story.batch(minute=minute + 0.5))
    slots = pl.concat([result.tables["summaries"] for result in results])
    rows = pl.concat([result.tables["occurrences"] for result in results])
    return story, slots.select(*SLOT, *MEASURES).sort(SLOT), rows.drop("batch")


@stories
@given(happened, st.lists(st.integers(0, 10), max_size=3))
def test_wherever_batches_are_cut_the_same_is_held_back_and_every_occurrence_counted(
    happenings: list[Happening], cuts: list[int]
) -> None:
    whole, slots, rows = played(happenings, [])
    cut, cut_slots, cut_rows = played(happenings, cuts)
    assert_same(cut, whole)
    assert_frame_equal(cut_slots, slots)
    assert_frame_equal(cut_rows, rows)
    every = pl.concat([slots, whole.state["open_slots"].select(*SLOT, *MEASURES)])
    assert sum(every["occurrences"]) == sum(growth for *_, growth in happenings)
    held = rows.filter(verdict="limited")["grew"]
    assert sum(every.filter(SUPPRESSED)["occurrences"]) == sum(held)


def test_a_catch_up_over_minutes_holds_back_in_each_what_is_beyond_its_limit() -> None:
    story = Hours(FEW)
    frames = [frame(watched(event(f"a{n}", n)), n, n / 4) for n in range(1, 13)]
    result = story.batch_of(frames)
    assert result.tables["occurrences"]["verdict"].to_list() == [
        "kept", "kept", "limited", "kept", "kept", "limited", "limited", "kept", "kept", "limited", "limited", "kept",
    ]  # fmt: skip
    assert set(story.state["places"].filter(level="passing")["until"]) == {at(4)}
