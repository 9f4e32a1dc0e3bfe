"""Writing summaries into workspaces: what the publisher costs, and whom a flood delays.

Protects two decisions: one worker a workspace that chooses, spends a token, sends and judges one write at a time,
against a bare aiohttp loop that only sends PUTs, as many at a time, to the same server in another process, in turns
with it; a workspace waits for its own writes only, however many another has. Every summary is in its workspace before
a turn, so that both send PUTs, and no budget holds the publisher back.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from batcher import clock
from batcher.connect import Connection, connect
from batcher.publish import Delivery, Identities, Publisher, Result, Way, Write
from batcher.publish.addresses import item
from batcher.sandbox import Sandbox
from benchmarks.load import START
from benchmarks.measure import Figure, figure
from benchmarks.serving import NAMESPACE, Served, serving

WORKSPACES = tuple(f"root:team-{n}" for n in range(10))
FLOODED, OTHER = WORKSPACES[:2]
TURNS = 5
"""In each run, and each of both: what else the machine does meets one as the other."""
UNLIMITED = 1e9
"""Writes a second and workspace: more than any server takes."""
FLOOD = 2_000
"""New summaries of one workspace at once."""


class Turn(NamedTuple):
    """What a number of writes took."""

    writes: float
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Return the writes a second."""
        return self.writes / self.seconds

    @property
    def micros(self) -> float:
        """Return the CPU microseconds a write, of this process."""
        return self.cpu / self.writes * 1e6


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the rates of both and their ratio, and the delay by a flood."""
    runs, each = (3, 20) if quick else (5, 60)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), Served(workspaces=WORKSPACES)) as kubeconfig:
        pairs, delays = asyncio.run(_measured(kubeconfig, runs, each))
    ours, bare = zip(*pairs, strict=True)
    yield figure("publisher, 10 workspaces", "writes a second", [turn.rate for turn in ours])
    yield figure("bare aiohttp PUT loop, 10 at a time", "writes a second", [turn.rate for turn in bare])
    yield figure("ratio of the two, run by run", "times better", [a.rate / b.rate for a, b in pairs])
    yield figure("publisher, 10 workspaces", "µs CPU a write", [turn.micros for turn in ours])
    yield figure("bare aiohttp PUT loop, 10 at a time", "µs CPU a write", [turn.micros for turn in bare])
    yield figure(f"first write to a workspace while {FLOOD:,} wait for another", "ms", delays)


async def _measured(kubeconfig: Path, runs: int, each: int) -> tuple[list[tuple[Turn, Turn]], list[float]]:
    """Let both take turns with ``each`` summaries a workspace, ``runs`` times, and then be flooded as often."""
    connection = connect(name="kcp", kubeconfig=kubeconfig, context=FLOODED)
    connection.server = connection.server.partition("/clusters/")[0]
    headers = {"Authorization": f"Bearer {Sandbox.token}", "Content-Type": "application/json"}
    async with _publishing(connection) as publisher, aiohttp.ClientSession(connection.server, headers=headers) as http:
        turns = range(TURNS * runs + 1)
        ours, bare = zip(
            *[(await _publish(publisher, each, turn), await _put(http, each, turn)) for turn in turns], strict=True
        )
        delays = [await _delayed(publisher, version) for version in range(runs)]
    await connection.close()
    return list(zip(_runs(ours), _runs(bare), strict=True)), delays


def _runs(turns: Sequence[Turn]) -> list[Turn]:
    """Add up the turns of each run, without the first of all, which created what the others update."""
    runs = [turns[first : first + TURNS] for first in range(1, len(turns), TURNS)]
    return [Turn(*(sum(numbers) for numbers in zip(*run, strict=True))) for run in runs]


@asynccontextmanager
async def _publishing(connection: Connection) -> AsyncIterator[Publisher]:
    delivery = Delivery(Identities([Way("root:*", connection)]))
    publisher = Publisher(delivery, now=clock.now, per_second=UNLIMITED)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(publisher.run())
        yield publisher
        running.cancel()


async def _publish(publisher: Publisher, each: int, version: int) -> Turn:
    """Write ``version`` of ``each`` summaries a workspace."""
    writes = [_write(workspace, f"ours-{n}", version) for workspace in WORKSPACES for n in range(each)]
    began, cpu = time.perf_counter(), time.process_time()
    publisher.offer(writes)
    while publisher.status.pending:  # noqa: ASYNC110  as a service that runs: nobody waits for each write
        await asyncio.sleep(0.002)
    turn = Turn(len(writes), time.perf_counter() - began, time.process_time() - cpu)
    assert _written(publisher) == {write.summary for write in writes}
    return turn


def _written(publisher: Publisher) -> set[str]:
    return {outcome.summary for outcome in publisher.take_outcomes() if outcome.result is Result.WRITTEN}


async def _put(http: aiohttp.ClientSession, each: int, version: int) -> Turn:
    """Put as many Events of the same size by nothing but aiohttp: a loop a workspace, encoded before it begins."""
    writes = [[_write(workspace, f"bare-{n}", version) for n in range(each)] for workspace in WORKSPACES]
    encoded = [[(item(write), msgspec.json.encode(write.event)) for write in some] for some in writes]
    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for requests in encoded:
            group.create_task(_one_by_one(http, requests))
    return Turn(each * len(WORKSPACES), time.perf_counter() - began, time.process_time() - cpu)


async def _one_by_one(http: aiohttp.ClientSession, requests: list[tuple[str, bytes]]) -> None:
    for path, body in requests:
        async with http.put(URL(path, encoded=True), data=body) as response:
            await response.read()
            assert response.status in {200, 201}


async def _delayed(publisher: Publisher, version: int) -> float:
    """Return the milliseconds from the offer of a first write until it is there, in the middle of a flood."""
    publisher.offer(_write(FLOODED, f"flood-{version}-{n}", version) for n in range(FLOOD))
    while len(_written(publisher)) == 0:  # noqa: ASYNC110  another task's outcomes
        await asyncio.sleep(0)
    first = _write(OTHER, f"first-{version}", version)
    began = time.perf_counter()
    publisher.offer([first])
    while first.summary not in _written(publisher):  # noqa: ASYNC110  another task's outcomes
        await asyncio.sleep(0)
    delay = (time.perf_counter() - began) * 1000
    assert publisher.status.pending > FLOOD / 2
    assert await publisher.drain(seconds=600)
    publisher.take_outcomes()
    return delay


def _write(workspace: str, name: str, version: int) -> Write:
    """Return version ``version`` of a summary as it is rendered."""
    at = START.strftime("%Y-%m-%dT%H:%M:%SZ")
    event: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"us-west1-{name}.18a2f3c4d5e6f701",
            "namespace": NAMESPACE,
            "labels": {"kcp.io/sync-target": "us-west1", "batcher.kcp.io/kind": "summary"},
            "annotations": {
                "kcp.io/source-cluster": "us-west1",
                "kcp.io/workspace-path": workspace,
                "kcp.io/synced-at": at,
                "batcher.kcp.io/occurrences": str(version + 1),
                "batcher.kcp.io/first-seen": "2026-11-23T17:51:00.120000Z",
                "batcher.kcp.io/last-seen": "2026-11-23T18:45:40.120000Z",
            },
        },
        "involvedObject": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": NAMESPACE, "name": "web"},
        "related": {"apiVersion": "v1", "kind": "Pod", "namespace": NAMESPACE, "name": "web-7c5d8f9b6d-x2hjz"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "[us-west1] Back-off restarting failed container app in pod web-7c5d8f9b6d-x2hjz (3 pods)",
        "source": {"component": "us-west1/kubelet"},
        "reportingComponent": "kubelet",
        "reportingInstance": "batcher",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": version + 1,
    }
    return Write(
        f"{workspace}/{name}", version, workspace, NAMESPACE, event["metadata"]["name"], event, resource_version=None
    )
