"""Whatever clusters claim and the configuration says, no workspace outside of ``kcp.workspaces`` is written to.

Two guards, each tried alone: what a batch computes offers no such write, and a publisher sends none of what it is
offered. Which patterns allow which names is written down here once more, name by name.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from batcher.claims import Claims
from batcher.decode import decode
from batcher.mapping.hashes import downstream_name
from batcher.pipeline import Rules, advance, empty_state, run
from batcher.publish import Write
from batcher.service.offering import offers
from batcher.settings import anchored
from batcher.spool import Section, Stream
from batcher.spool.position import Place
from batcher.stages.locate import Trust
from batcher.stages.match import Match
from batcher.stages.route import Route, Where
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES
from tests.publish.kcp import Kcp, publishing, write
from tests.sections import event, lines, watched
from tests.test_pipeline import MICROS, at
from tests.virtual_time import VirtualLoop

NAMESPACES = Stream("uid-us", "namespaces")
LOGICAL, OTHER = "1eiksweb95coe579", "2otherother00000"
ALLOWED = {
    "root:a": {"root:a"},
    "root:t:*": {"root:t:x"},
    "root:org:**": {"root:org:u", "root:org:u:v"},
    LOGICAL: {LOGICAL},
}
"""Each pattern, and all of :data:`NAMES` that it allows: the first five are those."""
NAMES = (
    "root:a", "root:t:x", "root:org:u", "root:org:u:v", LOGICAL, OTHER,
    "root:b", "root:ab", "x:root:a", "root:a:b", "root:t", "root:t:x:y", "root:org", "root:organ:u", "root",
    "", "*", "**", "root:*", "root:t:*", ".*", "root:a\n", "\nroot:a", "root:a ", "ROOT:A", "root:a/../root:b",
    "root:t:x/../../root:b", "root:t:", "root:t:x%2f..", "root.a", "röot:a",
)  # fmt: skip
RULES = Rules(
    mapping=(), event_ttl=timedelta(hours=1), window=timedelta(minutes=5), longest=timedelta(hours=1),
    prefix=True, owner=True, hold=timedelta(hours=1),
)  # fmt: skip


class Said(NamedTuple):
    """A Namespace of a source cluster, its annotation, and that an Event comes of it."""

    namespace: str
    annotations: dict[str, str]
    about_node: bool


names = st.sampled_from(NAMES[:5]) | st.sampled_from(NAMES)
patterns = st.lists(st.sampled_from(list(ALLOWED)), max_size=3, unique=True)


@st.composite
def said(draw: st.DrawFn) -> Said:
    """A locator of any form, with the name that is derived from it, a copied one, or none at all."""
    target = {"cluster": "root:org:ws", "name": "us-west1", "uid": "u"}
    workspace, namespace = draw(names), draw(st.sampled_from(["test", "kube-system"]))
    forms: dict[str, dict[str, Any]] = {
        "kcp.io/namespace-locator": {"syncTarget": target, "cluster": workspace},
        "kcp.dev/namespace-locator": {"syncTarget": target, "workspace": workspace},
        "kcp.dev/namespace-locator ": {"logical-cluster": workspace},
    }
    key = draw(st.sampled_from(list(forms)))
    text = json.dumps(forms[key] | {"namespace": namespace}, separators=(",", ":"), ensure_ascii=False)
    name = draw(st.sampled_from([downstream_name(text), downstream_name(text), "web", "jobs"]))
    return Said(name, draw(st.sampled_from([{key.strip(): text}, {}])), draw(st.booleans()))


rules = st.builds(
    Rule, st.sampled_from(["*", "us-*", "eu"]), st.sampled_from(["*", "web", "kcp-*"]), names,
    st.sampled_from(["{namespace}", "x-{namespace}", "shop"]), st.booleans(),
)  # fmt: skip


@st.composite
def route(draw: st.DrawFn) -> Route:
    places = st.lists(st.builds(Where, names, st.sampled_from(["default", "ops"])), min_size=1, max_size=4)
    chosen = st.sampled_from([(), (anchored("root:**"),), (".*",)])
    name, mapped = draw(st.sampled_from(["a", "b", "a-b"])), draw(st.booleans())
    return Route(name, Match(workspaces=draw(chosen)), mapped=mapped, elsewhere=tuple(draw(places)))


def sections(batch: Sequence[Said], first: int) -> list[Section]:
    """What a cluster delivers: each Namespace, then an Event of it or of a Node."""
    delivered: list[Section] = []
    for number, each in enumerate(batch, first):
        metadata = {"name": each.namespace, "uid": f"uid-{each.namespace}", "annotations": each.annotations}
        namespace = msgspec.json.encode({"type": "ADDED", "object": {"metadata": metadata}})
        about = {"kind": "Node", "namespace": "", "name": "node-1"} if each.about_node else {
            "kind": "Pod", "namespace": each.namespace, "name": "web-0"}  # fmt: skip
        happened = event(f"e{number}", number, namespace=each.namespace, involvedObject=about)
        delivered += [lines(namespace, stream=NAMESPACES, cursor="1"), watched(happened)]
    return delivered


def offered(batches: Sequence[Sequence[Said]], rules: Rules) -> list[Write]:
    """Every write that is offered after each of ``batches``."""
    state, made, first = empty_state(), list[Write](), 1
    for number, batch in enumerate(batches, 1):
        received_at = MICROS + number * 60_000_000
        received = [msgspec.structs.replace(each, received_at=received_at) for each in sections(batch, first)]
        claims, first = Claims(), first + len(batch)
        taken = decode(claims.passing([(Place(1, number), received)]))._replace(claims=claims.read)
        nothing = pl.DataFrame(schema=OUTCOMES)
        result = run(taken, nothing, state, batch=number, now=at(number), rules=rules)
        state = advance(state, result.changes)
        no_wait = timedelta(0)
        made += offers(state, now=at(number), look=rules.look, rewrite_after=no_wait, rewrite_most=no_wait)
    return made


@given(
    st.lists(st.lists(said(), min_size=3, max_size=6), min_size=1, max_size=2),
    st.lists(rules, min_size=1, max_size=4),
    st.lists(route(), min_size=1, max_size=3, unique_by=lambda each: each.name),
    patterns,
    st.integers(0, 2),
)
def test_no_locator_no_rule_and_no_route_offers_a_write_to_a_workspace_that_is_not_allowed(
    batches: list[list[Said]], mapping: list[Rule], routes: list[Route], allowed: list[str], first: int
) -> None:
    trust = Trust(locators=True, rules_first=first, allowed=tuple(anchored(pattern) for pattern in allowed))
    made = offered(batches, replace(RULES, mapping=tuple(mapping), routes=tuple(routes), trust=trust))
    assert {each.workspace for each in made} <= set().union(*(ALLOWED[pattern] for pattern in allowed))


@given(st.lists(names, min_size=6, max_size=12, unique=True), patterns, st.booleans())
def test_a_publisher_sends_nothing_of_what_it_is_offered_to_a_workspace_that_is_not_allowed(
    workspaces: list[str],
    allowed: list[str],
    named: bool,  # noqa: FBT001
) -> None:
    kcp = Kcp(names={"root:a": LOGICAL} if named else {})

    async def publish() -> None:
        async with publishing(kcp, workspaces=allowed) as publisher:
            for total in (1, 2):
                publisher.offer(write(total=total, workspace=workspace) for workspace in workspaces)
                assert await publisher.drain()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(publish())
    may = set().union(*(ALLOWED[pattern] for pattern in allowed))
    asked = {asked.path.split("/")[2] for asked in kcp.asked}
    assert {name for name in asked if name != LOGICAL or not named} <= may
    assert LOGICAL not in asked or {"root:a", LOGICAL} & may & set(workspaces)
    assert asked >= may & set(workspaces) - {LOGICAL}
