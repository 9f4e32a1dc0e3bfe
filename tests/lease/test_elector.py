"""Who leads, and when that ends: client-go's rules. In virtual time, against the Leases of the simulated API server."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import Unavailable
from batcher.lease import Elector, Terms
from batcher.sandbox.api import Api, Place
from batcher.sandbox.resources import LEASES
from batcher.sandbox.status import Refused
from batcher.sandbox.store import Store
from batcher.sandbox.tenancy import open_namespaces
from tests.virtual_time import VirtualLoop, in_virtual_time

BEGIN = datetime(2026, 11, 25, 20, tzinfo=UTC)


class Answered:
    def __init__(self, status: int, content: bytes) -> None:
        self.status = status
        self._content = content

    async def read(self) -> bytes:
        return self._content


def _api() -> Api:
    api = Api(Store(history=1000), now=lambda: BEGIN, event_ttl=timedelta(hours=1), workspaces=None)
    open_namespaces(api, "")
    return api


@dataclass
class Server:
    """The Leases of one cluster; whoever is ``cut`` off gets no answer."""

    api: Api = field(default_factory=_api)
    cut: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    """Who is served and gets no answer."""
    status: int = 0
    """What every request gets instead of being served."""
    latency: float = 0.01
    reloads: int = 0
    asked: list[tuple[float, str, str]] = field(default_factory=list)

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.api.get(Place(LEASES, "", "default", "batcher")).object["spec"]
        return spec


class Way:
    """One candidate's connection to the server."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self._name = name

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,  # noqa: ARG002  as Requests has it
        body: bytes | None = None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  as Requests has it
    ) -> AsyncIterator[Answered]:
        server = self._server
        server.asked.append((asyncio.get_running_loop().time(), self._name, method))
        await asyncio.sleep(server.latency)
        if self._name in server.cut | server.deaf:
            if self._name not in server.cut:
                self._answer(method, path, body)
            await asyncio.sleep((timeout.total or 0) - server.latency)
            message = "lease: no answer in time"
            raise Unavailable(message)
        yield self._answer(method, path, body)

    def _answer(self, method: str, path: str, body: bytes | None) -> Answered:
        if self._server.status:
            return Answered(self._server.status, b"{}")
        parts = path.split("/")
        place = Place(LEASES, "", parts[5], parts[7] if len(parts) > 7 else "")
        content = msgspec.json.decode(body) if body else None
        try:
            verb = getattr(self._server.api, {"GET": "get", "POST": "create", "PUT": "replace"}[method])
            return Answered(200, (verb(place, content) if body else verb(place)).body)
        except Refused as refused:
            return Answered(refused.status.code, msgspec.json.encode(refused.status.body()))

    async def reload(self) -> None:
        self._server.reloads += 1


def candidate(server: Server, name: str, seed: int = 0) -> Elector:
    loop = asyncio.get_running_loop()
    terms = Terms("default", "batcher", name)
    rng = random.Random(seed)  # noqa: S311  jitter
    return Elector(Way(server, name), terms, now=lambda: BEGIN + timedelta(seconds=loop.time()), rng=rng)


@asynccontextmanager
async def tasks() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]]:
    """Yield what starts a task; those that still run at the end are cancelled."""
    started: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:

        def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            started.append(group.create_task(work))
            return started[-1]

        yield start
        for task in started:
            task.cancel()


@in_virtual_time
async def test_the_first_one_makes_the_lease_and_writes_what_client_go_writes() -> None:
    server = Server()
    first = candidate(server, "one")
    await first.acquire()
    assert (first.leading, first.holder) == (True, "one")
    assert server.spec == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-25T20:00:00.010000Z",
        "renewTime": "2026-11-25T20:00:00.010000Z",
        "leaseTransitions": 0,
    }


@in_virtual_time
async def test_a_leader_renews_every_two_seconds_and_keeps_the_time_at_which_it_began() -> None:
    server = Server()
    async with tasks() as start:
        first = candidate(server, "one")
        await first.acquire()
        renewing = start(first.renew())
        await asyncio.sleep(7)
        renewing.cancel()
        assert [round(at) for at, _, method in server.asked if method == "PUT"] == [2, 4, 6]
        assert [method for _, _, method in server.asked] == ["GET", "POST", "PUT", "PUT", "PUT"]
        assert (server.spec["acquireTime"], server.spec["renewTime"]) == (
            "2026-11-25T20:00:00.010000Z",
            "2026-11-25T20:00:06.040000Z",
        )


@in_virtual_time
async def test_who_waits_takes_over_15_seconds_after_it_saw_the_last_renewal_and_not_before() -> None:
    server = Server()
    async with tasks() as start:
        first, second = candidate(server, "one"), candidate(server, "two")
        await first.acquire()
        renewing = start(first.renew())
        waiting = start(second.acquire())
        await asyncio.sleep(60)
        assert not second.leading
        renewing.cancel()
        stopped = asyncio.get_running_loop().time()
        await waiting
        waited = asyncio.get_running_loop().time() - stopped
        assert 12 < waited < 15 + 2 * 4.4 + 1, waited
        assert (server.spec["holderIdentity"], server.spec["leaseTransitions"]) == ("two", 1)


@in_virtual_time
async def test_times_that_another_clock_wrote_decide_nothing() -> None:
    server = Server()
    for at in ("1999-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"):
        spec = {"holderIdentity": "other", "leaseDurationSeconds": 15, "acquireTime": at, "renewTime": at}
        metadata = {"name": "batcher", "namespace": "default"}
        server.api.replace(Place(LEASES, "", "default", "batcher"), {"metadata": metadata, "spec": spec})
        began = asyncio.get_running_loop().time()
        await candidate(server, f"of-{at[:4]}").acquire()
        assert 15 <= asyncio.get_running_loop().time() - began < 20


@in_virtual_time
async def test_a_leader_that_cannot_renew_ends_after_10_seconds_before_another_may_begin() -> None:
    server = Server()
    async with tasks() as start:
        first, second = candidate(server, "one"), candidate(server, "two")
        await first.acquire()
        ended: list[float] = []

        async def lead() -> None:
            await first.renew()
            ended.append(asyncio.get_running_loop().time())

        leading, waiting = start(lead()), start(second.acquire())
        await asyncio.sleep(10)
        server.cut = {"one"}
        await waiting
        began = asyncio.get_running_loop().time()
        await leading
        assert not first.leading
        assert 18 <= ended[0] <= 20.1
        assert ended[0] < began
        assert first.trouble == "lease: no answer in time"
        assert first.failures == 1


@in_virtual_time
async def test_a_leader_that_finds_the_lease_anothers_ends_at_once() -> None:
    server = Server()
    async with tasks() as start:
        first = candidate(server, "one")
        await first.acquire()
        renewing = start(first.renew())
        await asyncio.sleep(5)
        metadata = {"name": "batcher", "namespace": "default"}
        spec = {"holderIdentity": "thief", "leaseDurationSeconds": 15}
        server.api.replace(Place(LEASES, "", "default", "batcher"), {"metadata": metadata, "spec": spec})
        await renewing
        assert (first.leading, first.holder) == (False, "thief")
        assert asyncio.get_running_loop().time() < 7
        assert server.spec["holderIdentity"] == "thief"


@in_virtual_time
async def test_a_lease_that_is_given_up_is_taken_at_the_next_try() -> None:
    server = Server()
    async with tasks() as start:
        first, second = candidate(server, "one"), candidate(server, "two")
        await first.acquire()
        waiting = start(second.acquire())
        await asyncio.sleep(3)
        await first.release()
        assert (server.spec["holderIdentity"], server.spec["leaseDurationSeconds"]) == ("", 1)
        released = asyncio.get_running_loop().time()
        await waiting
        assert asyncio.get_running_loop().time() - released < 2 + 2 * 1.2 + 0.1
        await first.release()
        assert server.spec["holderIdentity"] == "two"


@in_virtual_time
async def test_a_renewal_with_a_version_that_is_not_the_newest_is_not_written_over_what_is_there() -> None:
    server = Server()
    async with tasks() as start:
        first = candidate(server, "one")
        await first.acquire()
        renewing = start(first.renew())
        await asyncio.sleep(1)
        found = server.api.get(Place(LEASES, "", "default", "batcher")).object
        found["metadata"]["labels"] = {"touched": "yes"}
        server.api.replace(Place(LEASES, "", "default", "batcher"), found)
        await asyncio.sleep(2)
        renewing.cancel()
        assert first.leading
        assert [method for _, _, method in server.asked] == ["GET", "POST", "PUT", "GET", "PUT"]


@pytest.mark.parametrize(("status", "reloads"), [(403, 0), (500, 0), (401, 1)])
@in_virtual_time
async def test_who_is_refused_waits_and_says_why(status: int, reloads: int) -> None:
    server = Server(status=status)
    async with tasks() as start:
        one = candidate(server, "one")
        waiting = start(one.acquire())
        await asyncio.sleep(1)
        assert (one.leading, one.trouble) == (False, f"the Lease default/batcher: HTTP {status} for GET")
        assert (server.reloads, one.failures) == (reloads, 1)
        server.status = 0
        await waiting
        assert one.trouble == ""


FAULTS = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["cut", "deaf"]), st.sampled_from(["one", "two", "three"])),
    max_size=8,
)
"""At which tenth of a second who is cut off, or is not any more."""


@given(faults=FAULTS, seed=st.integers(0, 1000), latency=st.floats(0.001, 1.5))
def test_whoever_is_cut_off_and_whenever_there_are_never_two_leaders(
    faults: list[tuple[int, str, str]], seed: int, latency: float
) -> None:
    async def play() -> None:
        server = Server(latency=latency)
        electors = [candidate(server, name, seed + i) for i, name in enumerate(("one", "two", "three"))]

        async def lead(elector: Elector) -> None:
            while True:
                await elector.acquire()
                await elector.renew()

        async with tasks() as start:
            for elector in electors:
                start(lead(elector))
            pending = sorted(faults)
            for step in range(800):
                while pending and pending[0][0] <= step:
                    _, kind, name = pending.pop(0)
                    getattr(server, kind).symmetric_difference_update({name})
                await asyncio.sleep(0.1)
                assert sum(elector.leading for elector in electors) <= 1

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())
