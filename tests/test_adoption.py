"""What happened before anybody knew whose it was: adopted by the first target, once, wherever batches are cut."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.decode import Decoded, decode
from batcher.pipeline import Rules, State, advance, empty_state, run
from batcher.schema import CLAIMS
from batcher.spool.position import Place
from batcher.stages.locate import Rule, Trust
from batcher.stages.route import Route, Where
from batcher.stages.settle import OUTCOMES
from tests.sections import event, watched
from tests.test_pipeline import MICROS, at

RULES = Rules(
    mapping=(),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(hours=9),
    prefix=True,
    owner=True,
    trust=Trust(locators=True),
    hold=timedelta(hours=10),
)


ROUTED = replace(RULES, routes=(Route("sre", mapped=True, elsewhere=(Where("root:sre"), Where("", "ops"))),))


class Claimed(NamedTuple):
    """A Namespace's line: its uid, and the workspace that it says; empty: none."""

    uid: str
    workspace: str
    flaw: str = ""


Happening = tuple[float, Claimed | str]
"""A minute, and a claim or the name of an Event that comes."""


def decoded(happenings: Sequence[Happening], first: int) -> Decoded:
    frames, claims = [], []
    for index, (minute, what) in enumerate(happenings, first + 1):
        received_at = MICROS + int(minute * 60_000_000)
        if isinstance(what, str):
            metadata = {
                "name": f"{what}.{index}",
                "namespace": "web",
                "uid": f"uid-{index}",
                "resourceVersion": f"{index}",
            }
            section = msgspec.structs.replace(watched(event(what, index, metadata=metadata)), received_at=received_at)
            frames.append((Place(1, index), [section]))
        else:
            claims.append(_claim(what, Place(1, index).line(0), minute))
    return decode(frames)._replace(claims=pl.DataFrame(claims, schema=CLAIMS))


def _claim(said: Claimed, position: int, minute: float) -> dict[str, Any]:
    where = {"cluster_uid": "uid-us", "cluster": "us-west1", "namespace": "web", "uid": said.uid, "position": position}
    target = {"workspace": said.workspace, "target_namespace": "shop" if said.workspace else "", "sync_target": ""}
    return {**where, **target, "received_at": at(minute), "flaw": said.flaw, "was_workspace": "", "was_namespace": ""}


def after(*batches: Sequence[Happening], rules: Rules = RULES, until: float | None = None) -> State:
    """The state after ``batches``, the last of them as of ``until``."""
    state, first = empty_state(), 0
    nothing = pl.DataFrame(schema=OUTCOMES)
    for number, happenings in enumerate(batches, 1):
        now = happenings[-1][0] if happenings else 0
        if until is not None and number == len(batches):
            now = until
        result = run(decoded(happenings, first), nothing, state, batch=number, now=at(now), rules=rules)
        state, first = advance(state, result.changes), first + len(happenings)
    return state


def told(state: State) -> list[tuple[str, int]]:
    """(workspace, occurrences) of each summary that goes on, in order of their beginning."""
    rows = state["open_summaries"].sort("began_at", "workspace").select("workspace", "occurrences").rows()
    return [(workspace, count) for workspace, count in rows]


A, B, NOBODY = Claimed("u1", "root:a"), Claimed("u1", "root:b"), Claimed("u1", "")


def test_what_came_before_its_namespace_was_known_is_published_by_its_workspace() -> None:
    story: list[Happening] = [(0, "p"), (1, "q"), (2, A), (3, "r")]
    assert told(after(story)) == [("root:a", 1), ("root:a", 1), ("root:a", 1)]
    one: list[Happening] = [(0, "p"), (1, A), (2, "p")]
    assert told(after(one)) == told(after(one[:1], one[1:2], one[2:])) == [("root:a", 2)]


def test_a_namespace_that_says_nothing_at_first_is_waited_for() -> None:
    assert told(after([(0, "p")], [(1, NOBODY)], [(2, A)])) == [("root:a", 1)]


def test_a_target_that_comes_too_late_adopts_nothing() -> None:
    rules = replace(RULES, hold=timedelta(minutes=9))
    assert told(after([(0, "p")], [(9, A)], rules=rules)) == [("root:a", 1)]
    assert told(after([(0, "p")], [(9.1, A)], rules=rules)) == []
    assert told(after([(0, "p"), (9.1, A)], rules=rules)) == []


def test_a_mapping_that_flaps_doubles_nothing() -> None:
    story: list[Happening] = [(0, A), (1, "p"), (2, NOBODY), (3, "p"), (4, A), (5, "p")]
    assert told(after(story)) == [("root:a", 1), ("root:a", 2)]


def test_what_lies_between_two_tenants_is_neithers_however_often_the_second_is_told() -> None:
    story: list[Happening] = [(0, A), (1, NOBODY), (2, "p"), (3, B), (4, B), (5, A), (6, B)]
    assert told(after(*([step] for step in story))) == told(after(story)) == [("", 1)]


def test_a_namespace_created_again_adopts_nothing_of_the_one_before() -> None:
    other = Claimed("u2", "root:a")
    assert told(after([(0, NOBODY)], [(1, "p")], [(2, other)])) == [("", 1)]


def test_a_flawed_claim_adopts_nothing() -> None:
    assert told(after([(0, "p")], [(1, Claimed("u1", "root:a", "other-name"))])) == [("", 1)]


def test_a_rule_that_the_configuration_has_since_adopts_what_waits() -> None:
    nothing = pl.DataFrame(schema=OUTCOMES)
    state = after([(0, "p")])
    rules = replace(RULES, mapping=(Rule("*", "web", "root:ruled"),))
    result = run(decoded([], 1), nothing, state, batch=2, now=at(1), rules=rules)
    assert told(advance(state, result.changes)) == [("root:ruled", 1)]


def test_slots_go_with_their_summary() -> None:
    state = after([(0, "p")], [(1, A)])
    assert state["open_slots"]["summary"].to_list() == state["open_summaries"]["summary"].to_list()
    assert state["open_slots"]["workspace"].to_list() == ["root:a"]


happenings = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 4.0, 6.0]),
        st.one_of(st.sampled_from(["p", "q"]),
                  st.builds(Claimed, st.sampled_from(["u1", "u1", "u2"]), st.sampled_from(["", "root:a", "root:b"]),
                            st.sampled_from(["", "", "unreadable"]))),
    ),
    min_size=1, max_size=9,
)  # fmt: skip


def timed(waits: Sequence[Happening]) -> list[Happening]:
    """One after the other; a Namespace that was created again keeps its new uid, for an old one never comes back."""
    minute, again, story = 0.0, False, list[Happening]()
    for wait, what in waits:
        minute += wait + 0.001
        again = again or (isinstance(what, Claimed) and what.uid == "u2")
        story.append((minute, what._replace(uid="u2") if again and isinstance(what, Claimed) else what))
    return story


@given(happenings, st.sets(st.integers(1, 8)), st.sampled_from([RULES, ROUTED]))
def test_summaries_are_the_same_wherever_batches_are_cut(waits: list[Happening], cuts: set[int], rules: Rules) -> None:
    story = timed(waits)
    edges = [0, *sorted(cut for cut in cuts if cut < len(story)), len(story)]
    parts = [story[start:end] for start, end in itertools.pairwise(edges)]
    until = story[-1][0] + 0.5
    columns = ["summary", "workspace", "unmapped_uid", "occurrences", "revisions", "last_at", "message"]
    # Nobody's ends as soon as it is silent, whenever that is.
    whole, cut = (
        after(*batches, until=until, rules=rules)["open_summaries"]
        .filter(pl.col("unmapped_uid") != "-")
        .select(columns)
        for batches in ([story], parts)
    )
    assert_frame_equal(cut, whole, check_row_order=False)


@given(happenings)
def test_each_workspace_gets_exactly_what_was_its_own_or_nobody_elses(waits: list[Happening]) -> None:
    story = timed(waits)
    state = after(*([step] for step in story))
    found = state["open_summaries"].group_by("workspace").agg(pl.sum("occurrences"))
    got = {workspace: count for workspace, count in found.rows() if workspace}
    assert got == _owed(story)


@given(happenings)
def test_a_route_elsewhere_is_told_every_event_once_and_changes_nothing_at_home(waits: list[Happening]) -> None:
    story = timed(waits)
    plain, routed = (after(*([step] for step in story), rules=rules)["open_summaries"] for rules in (RULES, ROUTED))
    columns = ["summary", "workspace", "occurrences", "revisions", "message"]
    home = routed.filter(pl.col("origin") == "").select(columns)
    assert_frame_equal(home, plain.select(columns), check_row_order=False)
    events = sum(isinstance(what, str) for _, what in story)
    there = routed.filter(pl.col("origin") != "", pl.col("target_namespace") == "default")
    assert (there["occurrences"].sum(), set(there["workspace"]) <= {"root:sre"}) == (events, True)


@given(happenings, st.lists(st.sampled_from(["root:a", "root:b", "root:evil", ""]), max_size=3))
def test_neither_a_claim_nor_a_route_reaches_a_workspace_that_is_not_allowed(
    waits: list[Happening], places: list[str]
) -> None:
    elsewhere = tuple(Where(place, "ops") for place in places)
    rules = replace(RULES, routes=(Route("any", mapped=True, elsewhere=elsewhere),))
    rules = replace(rules, trust=Trust(locators=True, allowed=("^root:a$",)))
    state = after(*([step] for step in timed(waits)), rules=rules)
    assert set(state["open_summaries"]["workspace"]) <= {"root:a", ""}


def _owed(story: Sequence[Happening]) -> dict[str, int]:
    """Said as simply as it can be: an Event is its target's, or the first one's after it if there was no other."""
    owed: dict[str, int] = {}
    for index, (_, what) in enumerate(story):
        if isinstance(what, str):
            owner = _owner(story, index)
            owed[owner] = owed.get(owner, 0) + 1
    return {workspace: count for workspace, count in owed.items() if workspace}


def _owner(story: Sequence[Happening], index: int) -> str:
    before = [claim for _, claim in story[:index] if isinstance(claim, Claimed)]
    later = [claim for _, claim in story[index:] if isinstance(claim, Claimed)]
    if before and _says(before[-1]):
        return _says(before[-1])
    uid = (before[-1:] + later)[0].uid if before or later else ""
    first = next((_says(claim) for claim in later if claim.uid == uid and _says(claim)), "")
    had = [_says(claim) for claim in before if claim.uid == uid and _says(claim)]
    return "" if had and had[-1] != first else first


def _says(claim: Claimed) -> str:
    return "" if claim.flaw else claim.workspace
