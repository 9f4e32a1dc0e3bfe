"""A flood in one namespace, batch after batch: what is told of it, what the state holds, and what adds up."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import msgspec
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.decode import decode
from batcher.pipeline import Result, State, advance, run
from batcher.schema import MEASURES, NODES, SLOT, empty
from batcher.spool import Section
from batcher.spool.position import Place
from batcher.stages.render import render
from tests.sections import event, watched
from tests.test_pipeline import MICROS, NOTHING, RULES, START, Story, at, counts

FEW = replace(RULES, max_keys=2, longest=timedelta(hours=1))
FOLDED = pl.col("kind") == "folded"


Frame = tuple[Place, list[Section]]


class Hours(Story):
    """A story whose batches may hold what was received at several times."""

    def batch_of(self, frames: Sequence[Frame]) -> Result:
        self.number += 1
        micros = frames[-1][1][0].received_at
        now = START + timedelta(microseconds=micros - MICROS)
        result = run(decode(frames), NOTHING, self.state, batch=self.number, now=now, rules=self.rules)
        self.state = advance(self.state, result.changes)
        return result


def frame(section: Section, number: int, minute: float) -> Frame:
    """The ``number``-th frame of the spool."""
    received_at = MICROS + int(minute * 60_000_000)
    return Place(1, number), [msgspec.structs.replace(section, received_at=received_at)]


def flood(*names: str, first: int = 1) -> Section:
    """Watch lines, in order; each of an object of its own."""
    return watched(*(event(name, number) for number, name in enumerate(names, first)))


def shown(story: Story, minute: float) -> list[str]:
    """The messages in the workspace, in order."""
    open_now = story.state["open_summaries"].lazy()
    events = render(open_now, empty(NODES).lazy(), now=at(minute), look=story.rules.look).collect()["event"]
    return sorted(json.loads(text)["message"] for text in events)


def test_what_is_beyond_the_first_is_one_event_that_says_how_much_it_is_of_how_many() -> None:
    story = Story(FEW)
    result = story.batch(flood(*"abcde"), minute=12)
    assert counts(result) == {"received": 5, "revisions": 5, "occurrences": 5, "kept": 5, "opened": 3, "folded": 3}
    assert shown(story, 12) == [
        "[us-west1] Back-off restarting failed container",
        "[us-west1] Back-off restarting failed container",
        (
            "[us-west1] BackOff x3 of 3 objects since 16:12Z, too many in one hour for an Event each: "
            "Back-off restarting failed container"
        ),
    ]


def test_later_batches_of_the_hour_go_on_where_the_one_before_ended() -> None:
    story = Story(FEW)
    story.batch(flood("a"), minute=0)
    story.batch(flood("b", "c", first=2), minute=20)
    result = story.batch(watched(event("a", 9, count=3), event("c", 10, count=5), event("d", 11)), minute=50)
    assert counts(result)["folded"] == 2
    (folded,) = story.state["open_summaries"].filter(FOLDED).to_dicts()
    assert (folded["occurrences"], folded["objects"], folded["began_at"]) == (6, 2, at(20))


def test_a_folded_summary_ends_with_its_hour_and_not_with_a_silence() -> None:
    story = Story(FEW)
    story.batch(flood(*"abc"), minute=1)
    story.batch(minute=59, told=story.told([True, True, True]))
    assert story.state["open_summaries"].select("kind", "closed").rows() == [("folded", False)]
    last = story.batch(minute=60)
    assert counts(last) == {"published": 1, "slots": 1}
    assert last.tables["summaries"].select("kind", "template", "occurrences", "objects").rows() == [
        ("folded", "2026-11-23T16Z", 1, 1)
    ]
    assert story.state["open_slots"].is_empty()


def of_hours(state: State) -> pl.DataFrame:
    """The places without those of a limit, which are of a minute."""
    return state["places"].filter(~pl.col("level").is_in(["sources", "passing"]))


def test_places_are_forgotten_when_their_hour_is_over() -> None:
    story = Story(FEW)
    story.batch(flood(*"abc"), minute=1)
    assert len(story.state["places"]) > 0
    assert set(of_hours(story.state)["until"]) == {at(60)}
    story.batch(minute=60)
    assert story.state["places"].is_empty()


def test_a_batch_that_catches_up_over_hours_folds_as_if_it_had_not_and_keeps_the_places_of_the_last_alone() -> None:
    received = ((10, "abc"), (70, "cab"), (130, "xyz"))
    frames = [frame(flood(*names, first=minute), minute, minute) for minute, names in received]
    often, once = Hours(FEW), Hours(FEW)
    for one in frames:
        often.batch_of([one])
    once.batch_of(frames)
    assert_same(once, often)
    assert set(of_hours(once.state)["until"]) == {at(180)}


def test_delivering_a_flood_again_folds_nothing_and_takes_no_place() -> None:
    story = Story(FEW)
    story.batch(flood(*"abc"), minute=1)
    again = story.batch(flood(*"abc"), minute=2)
    assert counts(again) == {"received": 3, "repeats": 3}
    assert again.changes["places"].put.is_empty()


Happening = tuple[int, str, str, int]
"""Minutes since the one before, an object, the type, and how often it happened."""

happened = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 6, 20, 60]), st.sampled_from("abcd"), st.sampled_from(["Normal", "Warning"]),
        st.integers(1, 3),
    ),
    min_size=1, max_size=10,
)  # fmt: skip
stories = settings(max_examples=max(5, settings().max_examples // 5))
"""A batch of 50 ms a happening, and twice: a fifth of the examples of other properties."""


def assert_same(one: Story, other: Story) -> None:
    """What goes on after the same rows is the same; which batch changed it is not."""
    for table, keys, varies in (("open_summaries", ["summary"], ["version"]), ("places", ["level", "key"], [])):
        here, there = (story.state[table].drop(varies).sort(keys) for story in (one, other))
        assert_frame_equal(here, there)


def played(happenings: Sequence[Happening], cuts: Sequence[int]) -> tuple[Story, pl.DataFrame, int]:
    """The story after all of them, cut into batches, its archived slots, and how many rows were folded."""
    minute, counted, frames = 0.0, dict[str, int](), list[Frame]()
    for number, (wait, name, kind, growth) in enumerate(happenings, 1):
        minute += wait + 0.001
        counted[name] = counted.get(name, 0) + growth
        frames.append(frame(watched(event(name, number, count=counted[name], type=kind)), number, minute))
    story = Hours(replace(RULES, max_keys=1, max_live=48))
    edges = sorted({0, *(min(cut, len(frames)) for cut in cuts), len(frames)})
    results = [story.batch_of(frames[first:last]) for first, last in pairwise(edges)]
    results.append(story.batch(minute=minute + 1))
    slots = pl.concat([result.tables["summaries"] for result in results])
    return story, slots.select(*SLOT, *MEASURES).sort(SLOT), sum(result.sums["folded"] for result in results)


@stories
@given(happened, st.lists(st.integers(0, 10), max_size=3))
def test_wherever_batches_are_cut_the_same_is_folded_and_every_occurrence_counted(
    happenings: list[Happening], cuts: list[int]
) -> None:
    whole, slots, folded = played(happenings, [])
    cut, cut_slots, cut_folded = played(happenings, cuts)
    assert_same(cut, whole)
    assert_frame_equal(cut_slots, slots)
    assert cut_folded == folded
    told = [*slots["occurrences"], *whole.state["open_slots"]["occurrences"]]
    assert sum(told) == sum(growth for *_, growth in happenings)
