"""Catching up: the real service, from the watch of eight clusters to the archive, and what an event costs on the way.

Protects the decision that everything is one process: sockets, spool, polars and Parquet, with no queue and no broker in
between; and that a batch is 50,000 lines at most, so that memory does not know how much there is to catch up with. The
CPU is that of all threads and processes of ``batcher run``, from the first line until the archive has all and the
process has ended. "Without publishing" is a budget of one write in 17 minutes for each workspace: summaries are made,
and offered, and wait.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from kubernetes import client, config, watch

from batcher.archive import scan
from batcher.sandbox import Chunking
from benchmarks.answering import KUBECONFIG, NAMES, Servers, Told, answering
from benchmarks.measure import Figure, Reference, between, cpu_seconds, figure, referred
from benchmarks.process import Service, configured, service

MIB = 2**20
QUIET: dict[str, Any] = {"publish": {"perWorkspacePerSecond": 0.001}}
CHUNKS = {Chunking.BLOCK: "64 KiB a chunk", Chunking.LINE: "one line a chunk"}
FEW, MANY = 60_000, 1_000_000
SETTLE_SECONDS = 1.0
QUIET_SECONDS = 3.0
"""Without a write, after which nothing is left to be written: workspaces have a budget of 20 a second."""


class Caught(NamedTuple):
    """What it took to catch up."""

    events: int
    cpu: float
    """Seconds."""
    committed: float
    """Seconds that passed until the last batch was committed."""
    archived: float
    """Seconds that passed until the archive had it and the process had ended."""
    peak: int
    steady: float
    written: int
    writes: int
    """Writes to workspaces."""
    reference: Reference
    """Right after."""

    @property
    def micros(self) -> float:
        """Return the CPU microseconds an event."""
        return self.cpu / self.events * 1e6


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield what it takes when a million wait, then the cost of an event of 60,000, however they come and go."""
    with answering() as servers:
        few = [catch_up(servers, FEW) for _ in range(1 if quick else 2)]
        if not quick:
            many = [catch_up(servers, MANY) for _ in range(5)]
            yield from _whole(many)
            grows = max(each.peak for each in many) / max(each.peak for each in few)
            yield figure(f"peak memory with {MANY:,} events ÷ with {FEW:,}", "times as much", [grows])
        yield from _whole(few)
        yield from _against_the_client(servers, Chunking.BLOCK, few)
        if not quick:
            published = [catch_up(servers, FEW, publish=True) for _ in range(2)]
            yield from _cost(f"{FEW:,} events, with publishing", published)
            yield figure(f"{FEW:,} events, with publishing: writes", "writes", [each.writes for each in published])
            by_line = [catch_up(servers, FEW, Chunking.LINE) for _ in range(2)]
            yield from _cost(f"{FEW:,} events, {CHUNKS[Chunking.LINE]}", by_line)
            yield from _against_the_client(servers, Chunking.LINE, by_line)


def _whole(caught: list[Caught]) -> Iterator[Figure]:
    """Yield all figures of the usual case."""
    count, beside = caught[0].events, between(*(each.reference for each in caught))
    name = f"{count:,} events, {CHUNKS[Chunking.BLOCK]}"
    yield from _cost(name, caught)
    yield figure(f"{name}: until all is committed", "s", [each.committed for each in caught], beside)
    yield figure(f"{name}: until all is archived", "s", [each.archived for each in caught], beside)
    yield figure(f"{name}: committed", "events a second", [count / each.committed for each in caught], beside)
    yield figure(f"{name}: peak memory", "MiB", [each.peak / MIB for each in caught], beside)
    yield figure(f"{name}: memory in its second half", "MiB", [each.steady / MIB for each in caught], beside)
    yield figure(f"{name}: written to disk", "bytes an event", [each.written / count for each in caught], beside)


def _cost(name: str, caught: list[Caught]) -> Iterator[Figure]:
    beside = between(*(each.reference for each in caught))
    yield figure(name, "µs CPU an event", [each.micros for each in caught], beside)
    yield figure(name, "events a CPU second", [1e6 / each.micros for each in caught], beside)


def _against_the_client(servers: Servers, chunking: Chunking, caught: list[Caught]) -> Iterator[Figure]:
    """Yield what the official client's typed watch takes that only counts, of the same servers, and the ratio."""
    chunks = CHUNKS[chunking]
    taken = [_count_typed(servers, chunking) for _ in range(len(caught) + 1)][1:]
    yield figure(f"official client, typed watch, counted only, {chunks}", "µs CPU an event", taken)
    ratios = [theirs / ours.micros for theirs, ours in zip(taken, caught, strict=True)]
    yield figure(f"official client ÷ the whole path, CPU an event, {chunks}", "times better", ratios)


def _count_typed(servers: Servers, chunking: Chunking) -> float:
    """Return the CPU microseconds an event, of one of the clusters."""
    with tempfile.TemporaryDirectory() as folder:
        servers.tell(Told.BEGIN, Path(folder))
        servers.tell(Told.PREPARE, FEW, chunking)
        servers.tell(Told.SEND)
        config.load_kube_config(str(Path(folder) / KUBECONFIG), context=NAMES[0])
    count = FEW // len(NAMES) * 3 // 4
    return cpu_seconds(lambda: _counted(count)) / count * 1e6


def _counted(count: int) -> None:
    stream = watch.Watch()
    listing = client.CoreV1Api().list_event_for_all_namespaces
    for seen, _ in enumerate(stream.stream(listing, resource_version="1"), 1):
        if seen >= count:
            stream.stop()
            break


def catch_up(
    servers: Servers,
    count: int,
    chunking: Chunking = Chunking.BLOCK,
    *,
    publish: bool = False,
    prepare: Callable[[Path], int] = lambda _: 0,
) -> Caught:
    """Let a service catch up with ``count`` events; AssertionError if the archive has not each of them.

    ``prepare`` may put a data directory and an archive into the folder before, and says how many rows that has.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        there = prepare(folder)
        servers.tell(Told.BEGIN, folder)
        servers.tell(Told.PREPARE, count, chunking)
        with service(configured(folder, **({} if publish else QUIET))) as running:
            settle(servers, running)
            before, began = running.spent, time.monotonic()
            servers.tell(Told.SEND)
            running.until(count)
            committed = time.monotonic()
            if publish:
                _published(servers)
            spent = running.end()
            ended = time.monotonic()
        rows = scan(folder / "archive", "occurrences").select(pl.len()).collect().item()
        assert rows == there + count, f"{rows} of {there + count} archived"
        return Caught(
            events=count,
            cpu=spent.cpu - before.cpu,
            committed=committed - began,
            archived=ended - began,
            peak=running.peak,
            steady=statistics.median(resident for at, resident in running.resident if at > (began + committed) / 2),
            written=spent.written - before.written,
            writes=servers.seen.writes,
            reference=referred(),
        )


def _published(servers: Servers) -> None:
    """Wait until nothing is written any more: every summary has had its first write."""
    written = -1
    while written < (written := servers.seen.writes):
        time.sleep(QUIET_SECONDS)


def settle(servers: Servers, running: Service) -> None:
    """Wait until every cluster is watched, and nothing is left of the start."""
    while servers.seen.watches < len(NAMES):
        running.look()
        time.sleep(0.01)
    time.sleep(SETTLE_SECONDS)
