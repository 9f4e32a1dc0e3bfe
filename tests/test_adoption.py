"""What happened before anybody knew whose it was: adopted by the first target, once, wherever batches are cut."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.decode import Decoded, decode
from batcher.pipeline import Rules, State, advance, empty_state, run
from batcher.schema import CLAIMS, completed
from batcher.spool.position import Place
from batcher.stages.locate import Trust
from batcher.stages.route import Route, Where
from batcher.stages.rule import Rule
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


SAID = [name for name in CLAIMS if not name.startswith(("was_", "has_", "since"))]
"""What a line says; the rest is what comes of it."""

ROUTED = replace(RULES, routes=(Route("sre", mapped=True, elsewhere=(Where("root:sre"), Where("", "ops"))),))


FOLDED = replace(RULES, max_keys=1)
FOLDED_ALL = replace(ROUTED, max_keys=0, max_live=9)


class Claimed(NamedTuple):
    """A Namespace's line: its uid, and the workspace that it says; empty: none."""

    uid: str
    workspace: str
    flaw: str = ""
    gone: bool = False
    """Whether the line says that it was deleted."""
    name: str = "web"


Happening = tuple[float, Claimed | str]
"""A minute, and a claim or the name of an Event that comes, behind its namespace if that is not ``web``."""


def decoded(happenings: Sequence[Happening], first: int) -> Decoded:
    frames, claims = [], []
    for index, (minute, what) in enumerate(happenings, first + 1):
        received_at = MICROS + int(minute * 60_000_000)
        if isinstance(what, str):
            namespace, _, name = what.rpartition("/")
            namespace = namespace or "web"
            metadata = {
                "name": f"{name}.{index}",
                "namespace": namespace,
                "uid": f"uid-{index}",
                "resourceVersion": f"{index}",
            }
            line = event(name, index, namespace=namespace, metadata=metadata)
            section = msgspec.structs.replace(watched(line), received_at=received_at)
            frames.append((Place(1, index), [section]))
        else:
            claims.append(_claim(what, Place(1, index).line(0), minute))
    said = pl.DataFrame(claims, schema=CLAIMS).select(SAID)
    return decode(frames)._replace(claims=completed(said, CLAIMS))


def _claim(said: Claimed, position: int, minute: float) -> dict[str, Any]:
    where = {"cluster_uid": "uid-us", "cluster": "us-west1", "position": position}
    name = {"namespace": said.name, "uid": f"{said.name}-{said.uid}"}
    target = {"workspace": said.workspace, "target_namespace": "shop" if said.workspace else "", "sync_target": ""}
    when = {"received_at": at(minute), "gone_at": at(minute) if said.gone else None}
    return {**where, **name, **target, **when, "flaw": said.flaw}


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


def test_a_namespace_that_comes_back_with_an_old_uid_is_not_the_next_tenants() -> None:
    restored: list[Happening] = [(0, A), (1, Claimed("u2", "")), (2, NOBODY), (3, "p"), (4, B)]
    assert told(after(restored)) == told(after(*([step] for step in restored))) == [("", 1)]


def test_a_namespace_created_again_for_another_tenant_gives_it_only_what_comes_after_it_says_so() -> None:
    story: list[Happening] = [(0, A), (1, A._replace(gone=True)), (2, Claimed("u2", "")), (3, "p"),
                              (4, Claimed("u2", "root:b")), (5, "p")]  # fmt: skip
    assert told(after(story)) == told(after(*([step] for step in story))) == [("", 1), ("root:b", 1)]


def test_one_that_was_deleted_is_forgotten_when_its_events_cannot_come_again_wherever_batches_are_cut() -> None:
    rules = replace(RULES, mapping=(Rule("*", "web", "root:ruled"),))
    deleted: list[Happening] = [(0, A), (1, A._replace(gone=True)), (121, "p"), (121.5, "q")]
    once = told(after(deleted, rules=rules))
    assert once == told(after(*([step] for step in deleted), rules=rules)) == [("root:a", 1), ("root:ruled", 1)]
    again: list[Happening] = [*deleted[:2], (122, Claimed("u2", "")), (123, "p"), (124, Claimed("u2", "root:b"))]
    early: list[Happening] = [(0, NOBODY), (1, NOBODY._replace(gone=True)), (122, "p"), (123, Claimed("u2", "root:b"))]
    for story in (again, early):
        assert told(after(story)) == told(after(*([step] for step in story))) == [("root:b", 1)]


def test_the_state_is_told_of_no_namespace_in_which_nothing_changed() -> None:
    state, nothing = after([(0, A), (0, B._replace(name="copy"))]), pl.DataFrame(schema=OUTCOMES)

    def put(happened: list[Happening], rules: Rules) -> list[str]:
        result = run(decoded(happened, 5), nothing, state, batch=2, now=at(3), rules=rules)
        return result.changes["claims"].put["namespace"].to_list()

    assert put([(1, "p")], RULES) == []
    assert put([(1, "p"), (2, A)], RULES) == ["web"]
    assert put([], replace(RULES, trust=Trust(locators=True, allowed=("^root:b$",)))) == ["web"]


def test_what_is_forgotten_leaves_the_state() -> None:
    assert len(after([(0, A), (1, A._replace(gone=True))], [], until=121)["claims"]) == 1
    assert len(after([(0, A), (1, A._replace(gone=True))], [], until=121.1)["claims"]) == 0
    used = ruled("root:a")
    assert len(after([(0, "p")], [], rules=used, until=719)["served"]) == 1
    assert len(after([(0, "p")], [], rules=used, until=721)["served"]) == 0


def test_a_flawed_claim_adopts_nothing() -> None:
    assert told(after([(0, "p")], [(1, Claimed("u1", "root:a", "other-name"))])) == [("", 1)]


def test_a_rule_that_the_configuration_has_since_adopts_what_waits() -> None:
    nothing = pl.DataFrame(schema=OUTCOMES)
    state = after([(0, "p")])
    rules = replace(RULES, mapping=(Rule("*", "web", "root:ruled"),))
    result = run(decoded([], 1), nothing, state, batch=2, now=at(1), rules=rules)
    assert told(advance(state, result.changes)) == [("root:ruled", 1)]


Step = tuple[list[Happening], Rules]


def as_configured(*steps: Step) -> State:
    """The state after a batch a step, each with a configuration of its own."""
    state, first, nothing = empty_state(), 0, pl.DataFrame(schema=OUTCOMES)
    for number, (happened, rules) in enumerate(steps, 1):
        result = run(decoded(happened, first), nothing, state, batch=number, now=at(number), rules=rules)
        state, first = advance(state, result.changes), first + len(happened)
    return state


def ruled(workspace: str = "", *, locators: bool = True) -> Rules:
    mapping = (Rule("*", "web", workspace, "shop"),) if workspace else ()
    return replace(RULES, mapping=mapping, trust=Trust(locators=locators))


@pytest.mark.parametrize("locators", [True, False], ids=["a namespace that says nothing", "no namespace heard of"])
def test_what_lies_between_two_configurations_is_neither_tenants_and_is_the_firsts_if_it_comes_back(
    locators: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    said: list[Happening] = [(0, NOBODY)] if locators else []
    a, b, none = (ruled(workspace, locators=locators) for workspace in ("root:a", "root:b", ""))
    taken: list[Step] = [([*said, (0.5, "p")], a), ([(1.5, "q")], none)]
    assert told(as_configured(*taken, ([], b))) == [("root:a", 1), ("", 1)]
    assert told(as_configured(*taken, ([], none), ([], b), ([], a))) == [("root:a", 1), ("", 1)]
    assert told(as_configured(*taken, ([], none), ([], a))) == [("root:a", 1), ("root:a", 1)]
    never: list[Step] = [([*said, (0.5, "p")], none)]
    assert told(as_configured(*never, ([], b))) == [("root:b", 1)]


def test_a_namespace_that_says_another_target_than_it_was_configured_to_gives_it_nothing_of_between() -> None:
    story: list[Step] = [([(0, NOBODY), (0.5, "p")], ruled("root:a")), ([(1.5, "q")], ruled()), ([(2.5, B)], ruled())]
    assert told(as_configured(*story)) == [("root:a", 1), ("", 1)]


def test_a_namespace_that_was_configured_before_it_was_heard_of_gives_nothing_of_between_either() -> None:
    doubtful = Claimed("u1", "root:b", "unreadable")
    story: list[Happening] = [(0, "p"), (1, doubtful), (2, "q"), (3, B)]
    for batches in ([story], [[step] for step in story], [story[:1], story[1:]]):
        assert told(after(*batches, rules=ruled("root:a"))) == [("root:a", 1), ("", 1)]


def test_what_a_name_was_used_for_at_first_is_not_what_it_had_last() -> None:
    doubtful = Claimed("u1", "root:a", "unreadable")
    story: list[Happening] = [(0, "p"), (1, B), (2, doubtful), (3, "q"), (4, A)]
    for batches in ([story], [[step] for step in story]):
        assert told(after(*batches, rules=ruled("root:a"))) == [("root:a", 1), ("", 1)]


def test_a_rule_of_today_takes_nothing_of_a_namespace_that_was_created_again_since() -> None:
    story: Step = ([(0, NOBODY), (0.5, "p"), (1, Claimed("u2", ""))], ruled())
    assert told(as_configured(story, ([], ruled("root:b")))) == [("", 1)]
    assert told(as_configured(story, ([(1.5, "q")], ruled("root:b")))) == [("", 1), ("root:b", 1)]


def test_no_rule_takes_what_waits_of_a_namespace_that_was_doubtful_when_its_word_is_replaced() -> None:
    doubtful = Claimed("u1", "root:a", "unreadable")
    story: list[list[Happening]] = [[(0, doubtful)], [(1, "p")], [(2, doubtful)], []]
    assert told(after(*story, rules=ruled("root:b"), until=3)) == [("", 1)]


COPY = A._replace(name="copy")


def test_a_namespace_that_says_what_another_said_before_waits_until_that_one_is_gone() -> None:
    story: list[Happening] = [(0, A), (1, COPY), (2, "copy/p"), (3, "p")]
    assert told(after(story)) == told(after(*([step] for step in story))) == [("", 1), ("root:a", 1)]
    story += [(4, A._replace(gone=True)), (5, "copy/p")]
    assert told(after(story)) == told(after(*([step] for step in story))) == [("root:a", 2), ("root:a", 1)]


def test_a_namespace_that_waited_for_a_place_and_was_anothers_before_gives_it_nothing_of_between() -> None:
    story: list[Happening] = [(0, A), (1, B._replace(name="copy")), (2, COPY), (3, "copy/p"), (4, NOBODY)]
    assert told(after(story)) == told(after(*([step] for step in story))) == [("", 1)]


def test_what_was_folded_is_adopted_and_then_about_the_namespace_of_its_workspace() -> None:
    story: list[Happening] = [(0, "p"), (1, "q"), (2, "r"), (3, A), (4, "q")]
    names = ["kind", "workspace", "regarding_kind", "regarding_name", "occurrences", "objects"]
    for batches in ([story], [[step] for step in story]):
        state = after(*batches, rules=FOLDED)
        assert state["open_summaries"].sort("kind", "regarding_name").select(names).rows() == [
            ("", "root:a", "Pod", "p", 1, 0),
            ("", "root:a", "Pod", "q", 1, 0),
            ("folded", "root:a", "Namespace", "shop", 2, 2),
        ]
    assert after(story[:3], rules=FOLDED)["open_summaries"]["regarding_name"].sort().to_list() == ["p", "web"]


def test_slots_go_with_their_summary() -> None:
    state = after([(0, "p")], [(1, A)])
    assert state["open_slots"]["summary"].to_list() == state["open_summaries"]["summary"].to_list()
    assert state["open_slots"]["workspace"].to_list() == ["root:a"]


happenings = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 4.0, 6.0, 121.0]),
        st.one_of(st.sampled_from(["p", "q", "copy/p"]),
                  st.builds(Claimed, st.sampled_from(["u1", "u1", "u2"]), st.sampled_from(["", "root:a", "root:b"]),
                            st.sampled_from(["", "", "unreadable"]), st.sampled_from([False, False, True]),
                            st.sampled_from(["web", "web", "copy"]))),
    ),
    min_size=1, max_size=9,
)  # fmt: skip


def timed(waits: Sequence[Happening]) -> list[Happening]:
    """One after the other; uids come and go, as those of a cluster that is restored from backups do."""
    minute, story = 0.0, list[Happening]()
    for wait, what in waits:
        minute += wait + 0.001
        story.append((minute, what))
    return story


CONFIGURED = replace(RULES, mapping=(Rule("*", "web", "root:c"),))


histories = settings(max_examples=max(5, settings().max_examples // 5))  # a batch for each step of a story


@histories
@given(happenings, st.sets(st.integers(1, 8)), st.sampled_from([RULES, ROUTED, CONFIGURED, FOLDED, FOLDED_ALL]))
def test_summaries_are_the_same_wherever_batches_are_cut(waits: list[Happening], cuts: set[int], rules: Rules) -> None:
    story = timed(waits)
    edges = [0, *sorted(cut for cut in cuts if cut < len(story)), len(story)]
    parts = [story[start:end] for start, end in itertools.pairwise(edges)]
    until = story[-1][0] + 0.5
    columns = ["summary", "workspace", "unmapped_uid", "occurrences", "revisions", "last_at", "message", "objects"]
    # Nobody's ends as soon as it is silent, whenever that is.
    whole, cut = (
        after(*batches, until=until, rules=rules)["open_summaries"]
        .filter(pl.col("unmapped_uid") != "-")
        .select(columns)
        for batches in ([story], parts)
    )
    assert_frame_equal(cut, whole, check_row_order=False)


@histories
@given(happenings, st.sampled_from([RULES, FOLDED]))
def test_each_workspace_gets_exactly_what_was_its_own_or_nobody_elses(waits: list[Happening], rules: Rules) -> None:
    story = timed(waits)
    state = after(*([step] for step in story), rules=rules)
    found = state["open_summaries"].group_by("workspace").agg(pl.sum("occurrences"))
    got = {workspace: count for workspace, count in found.rows() if workspace}
    assert got == _owed(story)


@histories
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


@histories
@given(happenings, st.lists(st.sampled_from(["root:a", "root:b", "root:evil", ""]), max_size=3))
def test_neither_a_claim_nor_a_route_reaches_a_workspace_that_is_not_allowed(
    waits: list[Happening], places: list[str]
) -> None:
    elsewhere = tuple(Where(place, "ops") for place in places)
    rules = replace(RULES, routes=(Route("any", mapped=True, elsewhere=elsewhere),))
    rules = replace(rules, trust=Trust(locators=True, allowed=("^root:a$",)))
    state = after(*([step] for step in timed(waits)), rules=rules)
    assert set(state["open_summaries"]["workspace"]) <= {"root:a", ""}


steps = st.lists(
    st.one_of(
        st.just("p"), st.just("p"),
        st.builds(Claimed, st.sampled_from(["u1", "u1", "u2"]), st.sampled_from(["", "root:a", "root:b"]),
                  st.sampled_from(["", "", "unreadable"]), gone=st.sampled_from([False]), name=st.just("web")),
        st.builds(lambda workspace, locators: ruled(workspace, locators=locators),
                  st.sampled_from(["", "root:a", "root:b"]), st.booleans()),
    ),
    min_size=3, max_size=9,
)  # fmt: skip


@histories
@given(steps)
def test_whatever_is_said_or_configured_no_tenant_reads_what_may_be_anothers(
    story: list[str | Claimed | Rules],
) -> None:
    """Every step a batch. What an Event's namespace has then, or next if it had no other before, or nobody's.

    Before any Namespace was told of, what it had is known by its Events only.
    """
    rules, claim, batches = ruled(), None, list[Step]()
    targets, seen = list[str](), list[str]()
    for number, step in enumerate(story):
        rules = step if isinstance(step, Rules) else rules
        claim = step if isinstance(step, Claimed) else claim
        batches.append(([] if isinstance(step, Rules) else [(number, f"p{number}" if step == "p" else step)], rules))
        targets.append(_configured(claim, rules))
        seen.append(targets[-1] if claim or step == "p" else "")
    found = as_configured(*batches)["open_summaries"].filter(pl.col("workspace") != "")
    for workspace, name in found.select("workspace", "regarding_name").rows():
        number = int(name[1:])
        before = next((target for target in reversed(seen[:number]) if target), "")
        assert workspace == next(target for target in targets[number:] if target)
        assert targets[number] or before in {"", workspace}


def _configured(claim: Claimed | None, rules: Rules) -> str:
    """The target of ``web``."""
    ruled_to = rules.mapping[0].workspace if rules.mapping else ""
    if claim is None or not rules.trust.locators:
        return ruled_to
    return "" if claim.flaw else claim.workspace or ruled_to


def _owed(waits: Sequence[Happening]) -> dict[str, int]:
    """Said as simply as it can be: an Event is its target's, or the first one's after it if there was no other."""
    owed: dict[str, int] = {}
    for name in ("web", "copy"):
        story = [(minute, what) for minute, what in _contested(waits) if _namespace(what) == name]
        for index, (_, what) in enumerate(story):
            if isinstance(what, str):
                owner = _owner(story, index)
                owed[owner] = owed.get(owner, 0) + 1
    return {workspace: count for workspace, count in owed.items() if workspace}


def _namespace(what: Claimed | str) -> str:
    return what.name if isinstance(what, Claimed) else what.rpartition("/")[0] or "web"


def _contested(story: Sequence[Happening]) -> list[Happening]:
    """The story with a flaw for whoever is not the first that says the same, and a line for who becomes it."""
    lines: list[Happening] = []
    queue: list[Claimed] = []
    for minute, what in story:
        if not isinstance(what, Claimed):
            lines.append((minute, what))
            continue
        before = [claim for claim in queue if claim.name == what.name]
        heads = {_first(queue, claim).name for claim in queue}
        stays = bool(before) and before[0] == what._replace(gone=False)
        is_first = not queue or (_first(queue, what).name == what.name if stays else not _rivals(queue, what))
        if not stays or what.gone:
            queue = [claim for claim in queue if claim.name != what.name]
        if not stays and not what.gone and _says(what):
            queue.append(what)
        lines.append((minute, what if is_first or not _says(what) else what._replace(flaw="duplicate")))
        lines += [(minute, claim) for claim in queue
                  if claim.name not in {*heads, what.name} and _first(queue, claim) == claim]  # fmt: skip
    return lines


def _rivals(queue: Sequence[Claimed], what: Claimed) -> list[Claimed]:
    return [claim for claim in queue if claim.workspace == what.workspace and claim.name != what.name]


def _first(queue: Sequence[Claimed], what: Claimed) -> Claimed:
    return next((claim for claim in queue if claim.workspace == what.workspace), what)


def _owner(story: Sequence[Happening], index: int) -> str:
    minute = story[index][0]
    before = [(when, claim) for when, claim in story[:index] if isinstance(claim, Claimed)]
    later = [(when, claim) for when, claim in story[index:] if isinstance(claim, Claimed)]
    if before and not _forgotten(before[-1], minute):
        newest = before[-1][1]
        if _says(newest):
            return _says(newest)
        uid = newest.uid
    else:
        uid = later[0][1].uid if later else ""
    for place, (_, claim) in enumerate(later):
        if claim.uid == uid and _says(claim):
            return _says(claim) if _had([*before, *later[: place + 1]]) in {"", _says(claim)} else ""
    return ""


def _had(claims: Sequence[tuple[float, Claimed]]) -> str:
    """The last target before the last of ``claims``, since one was forgotten."""
    had = ""
    for (when, claim), (following, _) in itertools.pairwise(claims):
        had = "" if _forgotten((when, claim), following) else _says(claim) or had
    return had


def _forgotten(claimed: tuple[float, Claimed], minute: float) -> bool:
    return claimed[1].gone and minute - claimed[0] > 120


def _says(claim: Claimed) -> str:
    return "" if claim.flaw else claim.workspace
