"""What objects say of themselves: Events go to the workspace of their object, once, wherever batches are cut."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import polars as pl
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.decode import Decoded, decode
from batcher.pipeline import Rules, State, advance, empty_state, run
from batcher.schema import CLAIMS, OBJECT, OBJECTS, Columns, completed
from batcher.spool.position import Place
from batcher.stages.attribute import ObjectKind
from batcher.stages.locate import Trust
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES
from tests.sections import event, watched
from tests.test_pipeline import MICROS, at

DEPLOYMENTS = Trust(objects=(ObjectKind("apps", "Deployment"),))
OBJECTS_FIRST = DEPLOYMENTS._replace(locators=True)
LOCATORS_FIRST = OBJECTS_FIRST._replace(objects_after=1)
RULES = Rules(
    mapping=(),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(hours=9),
    prefix=True,
    owner=True,
    trust=DEPLOYMENTS,
    hold=timedelta(hours=10),
)
POD = "api-7c5d8f9b6-x2z4t"


class Object(NamedTuple):
    """A line about Deployment ``api``: its uid, and the workspace that it says; empty: none."""

    uid: str
    workspace: str
    flaw: str = ""
    gone: bool = False
    """Whether the line says that it was deleted."""


class Namespace(NamedTuple):
    """A line about Namespace ``web``, always the same one."""

    workspace: str
    flaw: str = ""


class Event(NamedTuple):
    """An Event about a ``kind`` of that Deployment, and the uid that it tells of the object; empty: none."""

    kind: str = "Pod"
    uid: str = ""


Happening = tuple[float, Object | Namespace | Event]


def decoded(happenings: Sequence[Happening], first: int) -> Decoded:
    frames, claims, objects = [], [], []
    for index, (minute, what) in enumerate(happenings, first + 1):
        if isinstance(what, Event):
            section = msgspec.structs.replace(watched(_event(what, index)), received_at=MICROS + int(minute * 60e6))
            frames.append((Place(1, index), [section]))
        elif isinstance(what, Namespace):
            claims.append(_said(what, Place(1, index).line(0), minute) | {"uid": "n1"})
        else:
            about = dict(zip(OBJECT, ("apps", "Deployment", "api"), strict=True))
            name = f"mine-in-{what.workspace}" if what.workspace else ""
            gone = at(minute) if what.gone else None
            said = {"uid": what.uid, "target_name": name, "gone_at": gone}
            objects.append(_said(what, Place(1, index).line(0), minute) | about | said)
    return decode(frames)._replace(claims=_frame(claims, CLAIMS), objects=_frame(objects, OBJECTS))


def _said(what: Object | Namespace, position: int, minute: float) -> dict[str, Any]:
    where = {"cluster_uid": "uid-us", "cluster": "us-west1", "namespace": "web", "position": position}
    target = {"workspace": what.workspace, "target_namespace": "shop" if what.workspace else "", "flaw": what.flaw}
    return where | target | {"received_at": at(minute), "gone_at": None}


def _frame(rows: list[dict[str, Any]], columns: Columns) -> pl.DataFrame:
    said = {name: columns[name] for name in (rows[0] if rows else columns)}
    return completed(pl.DataFrame(rows, schema=said), columns)


def _event(said: Event, index: int) -> bytes:
    metadata = {"name": f"e.{index}", "namespace": "web", "uid": f"uid-{index}", "resourceVersion": f"{index}"}
    of = {"Deployment": ("apps/v1", "api"), "Pod": ("v1", POD), "Other": ("v1", "other")}
    version, name = of[said.kind]
    about = {"apiVersion": version, "kind": said.kind, "namespace": "web", "name": name, "uid": said.uid}
    return event("e", index, metadata=metadata, involvedObject=about, message=f"of {said.uid}")


def after(*batches: Sequence[Happening], rules: Rules = RULES, until: float | None = None) -> State:
    """The state after ``batches``, the last of them as of ``until``."""
    state, first = empty_state(), 0
    for number, happenings in enumerate(batches, 1):
        now = happenings[-1][0] if happenings else 0
        now = until if until is not None and number == len(batches) else now
        result = run(
            decoded(happenings, first), pl.DataFrame(schema=OUTCOMES), state, batch=number, now=at(now), rules=rules
        )
        state, first = advance(state, result.changes), first + len(happenings)
    return state


def one_by_one(story: Sequence[Happening], rules: Rules = RULES) -> State:
    return after(*([step] for step in story), rules=rules)


def told(state: State) -> list[tuple[str, str, int]]:
    """(workspace, object, occurrences) of each summary that goes on, in order of their beginning."""
    columns = ("workspace", "regarding_name", "occurrences")
    return state["open_summaries"].sort("began_at", "workspace").select(columns).rows()


A, B, NOBODY = Object("u1", "root-a"), Object("u1", "root-b"), Object("u1", "")
POD_EVENT, EVENT = Event(), Event("Deployment", "u1")


def test_the_events_of_an_object_and_of_its_pods_are_told_to_its_workspace_under_the_name_that_it_has_there() -> None:
    story: list[Happening] = [(0, A), (1, EVENT), (2, POD_EVENT), (3, Event("Other"))]
    expected = [("root-a", "mine-in-root-a", 1), ("root-a", "mine-in-root-a", 1), ("", "other", 1)]
    assert told(one_by_one(story)) == told(after(story)) == expected


def test_what_came_before_its_object_was_known_is_published_by_its_workspace() -> None:
    story: list[Happening] = [(0, EVENT), (1, POD_EVENT), (2, A)]
    assert told(one_by_one(story)) == told(after(story)) == [("root-a", "mine-in-root-a", 1)] * 2


def test_slots_are_adopted_with_their_summary() -> None:
    state = after([(0, EVENT)], [(1, A)])
    columns = ("summary", "workspace", "target_namespace", "regarding_name")
    assert state["open_slots"].select(columns).rows() == state["open_summaries"].select(columns).rows()


def test_a_pod_that_is_told_of_itself_keeps_its_name_in_the_workspace_of_its_owner() -> None:
    rules = replace(RULES, owner=False)
    assert told(one_by_one([(0, POD_EVENT), (1, A), (2, POD_EVENT)], rules)) == [("root-a", POD, 2)]
    assert told(one_by_one([(0, A), (1, EVENT)], rules)) == [("root-a", "mine-in-root-a", 1)]


def test_an_object_created_again_gets_nothing_of_the_one_before() -> None:
    story: list[Happening] = [(0, Object("u2", "root-b")), (1, EVENT), (2, Event("Deployment", "u2"))]
    assert told(one_by_one(story)) == told(after(story)) == [("", "api", 1), ("root-b", "mine-in-root-b", 1)]
    assert told(after([(0, EVENT)], [(1, Object("u2", "root-b"))])) == [("", "api", 1)]


def test_what_lies_between_two_workspaces_is_neithers() -> None:
    story: list[Happening] = [(0, A), (1, NOBODY), (2, EVENT), (3, B), (4, A)]
    assert told(one_by_one(story)) == told(after(story)) == [("", "api", 1)]


def test_a_flawed_object_is_nobodys_though_its_namespace_and_a_rule_have_a_workspace() -> None:
    flawed = Object("u1", "", "unreadable")
    rules = replace(RULES, trust=OBJECTS_FIRST, mapping=(Rule("*", "*", "root-p"),))
    assert told(one_by_one([(0, flawed), (1, Namespace("root-n")), (2, EVENT)], rules)) == [("", "api", 1)]
    assert told(one_by_one([(0, flawed), (1, EVENT), (2, Namespace("root-n"))], rules)) == [("", "api", 1)]


def test_what_a_namespace_had_before_is_not_shown_to_its_object_s_first_workspace() -> None:
    rules = replace(RULES, trust=OBJECTS_FIRST)
    story: list[Happening] = [(0, Namespace("root-n")), (1, Namespace("")), (2, EVENT), (3, A)]
    assert told(one_by_one(story, rules)) == told(after(story, rules=rules)) == [("", "api", 1)]


def test_a_namespace_adopts_what_its_object_has_said_nothing_of_yet() -> None:
    rules = replace(RULES, trust=OBJECTS_FIRST)
    story: list[Happening] = [(0, EVENT), (1, Namespace("root-n")), (2, A), (3, EVENT)]
    expected = [("root-n", "api", 1), ("root-a", "mine-in-root-a", 1)]
    assert told(one_by_one(story, rules)) == told(after(story, rules=rules)) == expected


def test_a_namespace_adopts_again_when_its_object_is_long_gone() -> None:
    rules, gone = replace(RULES, trust=OBJECTS_FIRST), Object("u1", "", "unreadable", gone=True)
    for minute, workspace in ((121, ""), (121.5, "root-n")):
        story: list[Happening] = [
            (0, gone._replace(gone=False)),
            (1, gone),
            (100, EVENT),
            (minute, Namespace("root-n")),
        ]
        assert told(one_by_one(story, rules)) == told(after(story, rules=rules)) == [(workspace, "api", 1)]


def test_what_its_object_has_spoken_of_is_not_adopted_by_its_namespace_when_the_word_is_replaced() -> None:
    rules = replace(RULES, trust=OBJECTS_FIRST)
    story: list[Happening] = [(0, EVENT), (1, Object("u2", "")), (2, Namespace("root-n")), (3, Object("u2", "root-b")),
                              (4, Event("Other"))]  # fmt: skip
    expected = [("", "api", 1), ("root-n", "other", 1)]
    assert told(one_by_one(story, rules)) == told(after(story, rules=rules)) == expected


def test_a_target_that_only_follows_from_a_later_word_of_its_namespace_adopts_nothing() -> None:
    rules = replace(RULES, trust=LOCATORS_FIRST)
    story: list[Happening] = [(0, EVENT), (1, Namespace("", "unreadable")), (2, A), (3, Namespace("")), (4, EVENT)]
    expected = [("", "api", 1), ("root-a", "mine-in-root-a", 1)]
    assert told(one_by_one(story, rules)) == told(after(story, rules=rules)) == expected


def test_a_workspace_outside_the_allowed_ones_is_never_told() -> None:
    rules = replace(RULES, trust=DEPLOYMENTS._replace(allowed=("^root-b$",)))
    story: list[Happening] = [(0, EVENT), (1, A), (2, EVENT), (3, POD_EVENT)]
    assert {workspace for workspace, _, _ in told(one_by_one(story, rules))} == {""}


def test_what_is_folded_while_nobody_knows_whose_it_is_is_nobodys_and_later_ones_are_told() -> None:
    rules = replace(RULES, max_keys=1)
    story: list[Happening] = [(0, Event("Other")), (1, EVENT), (2, POD_EVENT), (3, A), (4, EVENT), (5, POD_EVENT)]
    for state in (one_by_one(story, rules), after(story, rules=rules)):
        found = state["open_summaries"].sort("began_at").select("workspace", "unmapped_uid", "kind", "occurrences")
        assert found.rows() == [
            ("", "", "", 1),
            ("", "-", "folded", 2),
            ("root-a", "", "", 1),
            ("root-a", "", "folded", 1),
        ]


def test_a_kind_that_is_not_trusted_says_nothing() -> None:
    rules = replace(RULES, trust=Trust(locators=True))
    assert told(one_by_one([(0, A), (1, EVENT)], rules)) == [("", "api", 1)]


def test_an_object_that_was_deleted_is_forgotten_after_two_ttls_wherever_batches_are_cut() -> None:
    story: list[Happening] = [(0, A), (1, A._replace(gone=True)), (121, POD_EVENT), (121.5, EVENT)]
    assert told(one_by_one(story)) == told(after(story)) == [("root-a", "mine-in-root-a", 1), ("", "api", 1)]
    assert [len(after(story[:2], until=minute)["objects"]) for minute in (121, 121.1)] == [1, 0]


stories = settings(max_examples=max(6, settings().max_examples // 4))
"""A story is up to nine batches of 50 ms, often twice."""
OBJECT_LINES = st.builds(
    Object, st.sampled_from(["u1", "u1", "u2"]), st.sampled_from(["", "root-a", "root-b"]),
    st.sampled_from(["", "", "unreadable"]), st.sampled_from([False, False, True]),
)  # fmt: skip
EVENTS = st.one_of(
    st.just(POD_EVENT),
    st.builds(Event, st.just("Deployment"), st.sampled_from(["", "u1", "u2"])),
    st.just(Event("Other")),
)
NAMESPACE_LINES = st.builds(
    Namespace, st.sampled_from(["", "root-a", "root-n"]), st.sampled_from(["", "", "unreadable"])
)
happenings = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 4.0, 6.0, 121.0]), st.one_of(EVENTS, EVENTS, OBJECT_LINES, NAMESPACE_LINES)),
    min_size=1, max_size=9,
)  # fmt: skip
trusts = st.sampled_from([DEPLOYMENTS, OBJECTS_FIRST, LOCATORS_FIRST])


def timed(waits: Sequence[Happening]) -> list[Happening]:
    """One after the other; uids come and go, as those of a cluster that is restored from backups do."""
    minute, story = 0.0, list[Happening]()
    for wait, what in waits:
        minute += wait + 0.001
        story.append((minute, what))
    return story


@stories
@given(happenings, st.sets(st.integers(1, 8)), trusts, st.sampled_from([0, 1, 9]))
def test_summaries_are_the_same_wherever_batches_are_cut(
    waits: list[Happening], cuts: set[int], trust: Trust, most: int
) -> None:
    story, rules = timed(waits), replace(RULES, trust=trust, max_keys=most)
    edges = [0, *sorted(cut for cut in cuts if cut < len(story)), len(story)]
    parts = [story[start:end] for start, end in itertools.pairwise(edges)]
    until = story[-1][0] + 0.5
    columns = [
        "summary", "workspace", "regarding_name", "unmapped_uid", "unmapped_object", "occurrences", "last_at", "message"
    ]  # fmt: skip
    # Nobody's ends as soon as it is silent, whenever that is.
    whole, cut = (
        after(*batches, until=until, rules=rules)["open_summaries"]
        .filter(pl.col("unmapped_uid") != "-")
        .select(columns)
        for batches in ([story], parts)
    )
    assert_frame_equal(cut, whole, check_row_order=False)


@stories
@given(happenings, trusts)
def test_each_workspace_gets_exactly_what_was_its_own_or_nobody_elses(waits: list[Happening], trust: Trust) -> None:
    story = timed(waits)
    assume(not _is_forgotten_while_it_waits(story))
    state = one_by_one(story, replace(RULES, trust=trust))
    found = state["open_summaries"].group_by("workspace").agg(pl.sum("occurrences"))
    got = {workspace: count for workspace, count in found.rows() if workspace}
    assert got == _owed(story, trust)


def _is_forgotten_while_it_waits(story: Sequence[Happening]) -> bool:
    """Whether something waits for longer than its deleted object is remembered, which a ``hold`` above two TTLs allows:
    its Namespace, which it had to wait for no more, then adopts it after all. By default nothing waits for so long.
    """
    gone = [minute for minute, what in story if isinstance(what, Object) and what.gone]
    return bool(gone) and story[-1][0] - gone[0] > 120


UNREADABLE: list[Happening] = [
    (0.0, Event("Pod", "")), (0.0, Namespace("root-n", "")), (0.0, Object("u1", "", "unreadable", gone=True)),
    (0.0, Event("Deployment", "u1")), (121.0, Event("Deployment", "u1")),
]  # fmt: skip
"""What waits while its object cannot be read, and is its namespace's once that one is forgotten."""


@stories
@given(happenings, trusts, st.sets(st.integers(0, 8)))
@example(UNREADABLE, OBJECTS_FIRST, {0})
def test_what_is_delivered_again_adds_nothing(waits: list[Happening], trust: Trust, again: set[int]) -> None:
    story, rules = timed(waits), replace(RULES, trust=trust)
    state = one_by_one(story, rules)
    steps = [story[index] for index in sorted(again) if index < len(story)]
    for step in steps:
        index = story.index(step)
        repeated = decoded([step], index)
        events = repeated._replace(claims=pl.DataFrame(schema=CLAIMS))
        result = run(events, pl.DataFrame(schema=OUTCOMES), state, batch=99, now=at(story[-1][0]), rules=rules)
        assert result.sums["occurrences"] == 0
        after_it = advance(state, result.changes)["open_summaries"]
        assert after_it["occurrences"].sum() == state["open_summaries"]["occurrences"].sum()


@stories
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 6.0]), st.one_of(EVENTS, OBJECT_LINES)), min_size=1, max_size=9))
def test_no_object_s_text_is_read_outside_the_workspaces_that_it_said_and_that_are_allowed(
    waits: list[Happening],
) -> None:
    """``u1`` may say ``root-a`` and an outsider, ``u2`` only ``root-b``."""
    of = {"u1": {"root-a": "root-a", "root-b": "root-evil"}, "u2": dict.fromkeys(("root-a", "root-b"), "root-b")}
    said = [
        (wait, what._replace(workspace=of[what.uid].get(what.workspace, "")) if isinstance(what, Object) else what)
        for wait, what in waits
    ]
    rules = replace(RULES, trust=DEPLOYMENTS._replace(allowed=("^root-a$", "^root-b$")))
    found = one_by_one(timed(said), rules)["open_summaries"].filter(pl.col("workspace") != "")
    read = set(found.select("workspace", "message").rows())
    assert read <= {("root-a", "of u1"), ("root-b", "of u2"), ("root-a", "of "), ("root-b", "of ")}
    names = set(found.filter(regarding_kind="Deployment").select("workspace", "regarding_name").rows())
    assert names <= {("root-a", "mine-in-root-a"), ("root-b", "mine-in-root-b")}


def _owed(story: Sequence[Happening], trust: Trust) -> dict[str, int]:
    """Said as simply as it can be: an Event is its target's, or the first one's after it if there was no other."""
    owed: dict[str, int] = {}
    for index, (_, what) in enumerate(story):
        if isinstance(what, Event):
            owner = _Owner(story, trust).of(what, index)
            owed[owner] = owed.get(owner, 0) + 1
    return {workspace: count for workspace, count in owed.items() if workspace}


class _Owner(NamedTuple):
    story: Sequence[Happening]
    trust: Trust

    def of(self, event: Event, index: int) -> str:
        return self._located(event.kind, event.uid, index) or self._adopter(event, index)

    def _object(self, before: int, minute: float) -> Object | None:
        """The last word of an object before a place in the story, unless it was forgotten by then."""
        lines = [(when, what) for when, what in self.story[:before] if isinstance(what, Object)]
        return lines[-1][1] if lines and not (lines[-1][1].gone and minute - lines[-1][0] > 120) else None

    def _uid(self, event: Event, index: int) -> str:
        if event.kind == "Other" or event.uid:
            return event.uid
        before = self._object(index, self.story[index][0])
        later = [what.uid for _, what in self.story[index:] if isinstance(what, Object)]
        return before.uid if before else [*later, ""][0]

    def _located(self, kind: str, uid: str, index: int) -> str:
        """Whose an Event before ``index`` is: the first of whom is trusted that says anything."""
        spoken = self._object(index, self.story[min(index, len(self.story) - 1)][0]) if kind != "Other" else None
        namespaces = [what for _, what in self.story[:index] if isinstance(what, Namespace)]
        own = [spoken] if spoken and uid in {"", spoken.uid} else []
        words: list[Sequence[Object | Namespace]] = [own, namespaces[-1:] if self.trust.locators else []]
        for word in reversed(words) if self.trust.objects_after else words:
            for claim in word:
                if claim.flaw or claim.workspace:
                    return "" if claim.flaw else claim.workspace
        return ""

    def _adopter(self, event: Event, index: int) -> str:
        uid = self._uid(event, index)
        for place, (minute, what) in enumerate(self.story):
            if place < index or isinstance(what, Event):
                continue
            if isinstance(what, Object):
                to, had = self._told("Deployment", what.uid, place), self._object_had(place)
                counts = event.kind != "Other" and what.uid == uid
            else:
                to, had = self._told("Other", "", place), self._namespace_had(place)
                counts = event.kind == "Other" or self._object(place, minute) is None
            if counts and to:
                return to if had in {"", to} else ""
        return ""

    def _told(self, kind: str, uid: str, place: int) -> str:
        """The target that follows from the line at ``place``, when it is told."""
        return _Owner(self.story[: place + 1], self.trust)._located(kind, uid, place + 1)

    def _object_had(self, place: int) -> str:
        had, last, left = "", "", None
        for minute, what in self.story[: place + 1]:
            if not isinstance(what, Object):
                continue
            had = "" if left is not None and minute - left > 120 else had
            last, left = had, minute if what.gone else None
            had = what.workspace if what.workspace and not what.flaw else had
        return last or self._namespace_had(place)

    def _namespace_had(self, place: int) -> str:
        had = [self._told("Other", "", i) for i in range(place) if isinstance(self.story[i][1], Namespace)]
        return next((to for to in reversed(had) if to), "")
