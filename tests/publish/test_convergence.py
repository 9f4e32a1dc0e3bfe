"""Whatever offers, faults and restarts come in whatever order: the newest totals, and never lower ones."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from batcher.publish import Publisher, Result, Write
from tests.publish.kcp import AWAY, FORBIDDEN, INVALID, LOST, TEAM_A, UNREACHED, Fault, Kcp, publishing, where, write
from tests.virtual_time import in_virtual_time

SUMMARIES = {"web.1": "root:shop", "web.2": "root:shop", "jobs.1": TEAM_A}
FAULTS = [
    LOST,
    UNREACHED,
    Fault(late=0.2),
    Fault(late=40.0),
    AWAY,
    Fault(429, retry_after="2"),
    Fault(500, done=True),
    FORBIDDEN,
    Fault(200, content=b"<html>", done=True),
]


@dataclass
class Known:
    """What committed state has of a summary."""

    total: int = 0
    handled: int = 0
    resource_version: str | None = None


@dataclass
class State:
    """Committed state, as the batches keep it: totals, and the outcomes that were taken."""

    known: dict[str, Known] = field(default_factory=lambda: {name: Known() for name in SUMMARIES})

    def dirty(self) -> list[Write]:
        return [
            write(name, known.total, workspace=SUMMARIES[name], known=known.resource_version)
            for name, known in self.known.items()
            if known.total > known.handled
        ]

    def learn(self, publisher: Publisher) -> None:
        for outcome in publisher.take_outcomes():
            known = self.known[outcome.summary.rpartition("/")[2]]
            known.handled = max(known.handled, outcome.version)
            if outcome.result is Result.WRITTEN:
                known.resource_version = outcome.resource_version


@dataclass
class World:
    kcp: Kcp
    state: State
    publisher: Publisher


Step = Callable[[World], object]


def happened(name: str) -> Step:
    def step(world: World) -> None:
        world.state.known[name].total += 1

    return step


def failing(fault: Fault | None) -> Step:
    return lambda world: world.kcp.faults.append(fault)


def touched(name: str) -> Step:
    def step(world: World) -> None:
        if where(name, SUMMARIES[name]) in world.kcp.objects:
            world.kcp.touch(where(name, SUMMARIES[name]))

    return step


def offered(world: World) -> None:
    world.publisher.offer(world.state.dirty())


def batched(world: World) -> None:
    world.state.learn(world.publisher)


def passing(seconds: float) -> Step:
    return lambda _: seconds


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from(sorted(SUMMARIES)).map(happened),
    st.sampled_from([None, *FAULTS]).map(failing),
    st.sampled_from(sorted(SUMMARIES)).map(touched),
    st.sampled_from([offered, batched]),
    st.sampled_from([0.1, 0.6, 1.0, 90.0]).map(passing),
)
LIVES = st.lists(st.lists(STEPS, max_size=12), min_size=1, max_size=4)
"""The steps of each life of the publisher; it forgets everything in between, requests in flight included."""


async def live(kcp: Kcp, state: State, steps: list[Step]) -> None:
    async with publishing(kcp) as publisher:
        world = World(kcp, state, publisher)
        for step in steps:
            seconds = step(world)
            await asyncio.sleep(seconds if isinstance(seconds, float) else 0)


async def settle(kcp: Kcp, state: State) -> None:
    """Let the faults be over, and everything that is on its way arrive."""
    kcp.faults.clear()
    await asyncio.sleep(60)
    async with publishing(kcp) as publisher:
        publisher.offer(state.dirty())
        assert await publisher.drain(600)
        state.learn(publisher)
        assert publisher.status.pending == 0


@given(LIVES)
def test_every_history_ends_with_the_newest_totals_and_never_shows_lower_ones(lives: list[list[Step]]) -> None:
    @in_virtual_time
    async def play() -> None:
        kcp, state = Kcp(latency=0.5), State()
        for steps in lives:
            await live(kcp, state, steps)
        await settle(kcp, state)
        assert kcp.told == {name: known.total for name, known in state.known.items() if known.total}
        assert all(totals == sorted(totals) for totals in kcp.totals.values())
        assert kcp.overlaps == []
        assert all(version for _, method, _, version in kcp.asked if method == "PUT")

    play()


@given(LIVES)
def test_every_write_ends_in_at_most_one_outcome(lives: list[list[Step]]) -> None:
    @in_virtual_time
    async def play() -> None:
        kcp = Kcp(latency=0.5)
        for steps in lives:
            state, seen = State(), []
            async with publishing(kcp) as publisher:
                world = World(kcp, state, publisher)
                for step in [*steps, failing(INVALID), offered, passing(5.0)]:
                    seconds = step(world)
                    await asyncio.sleep(seconds if isinstance(seconds, float) else 0)
                    seen += [(o.summary, o.version) for o in publisher.take_outcomes()]
            assert len(seen) == len(set(seen))

    play()
