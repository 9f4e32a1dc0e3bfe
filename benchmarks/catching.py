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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from batcher.archive import scan
from batcher.sandbox import Chunking
from benchmarks.answering import NAMES, Servers, Told, answering
from benchmarks.fleet import lines
from benchmarks.measure import Figure, cpu_seconds, figure, reference
from benchmarks.process import Service, configured, service

MIB = 2**20
QUIET: dict[str, Any] = {"publish": {"perWorkspacePerSecond": 0.001}}
CHUNKS = {Chunking.BLOCK: "64 KiB a chunk", Chunking.LINE: "one line a chunk"}
SETTLE_SECONDS = 1.0


class Caught(NamedTuple):
    """What it took to catch up."""

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
    reference: float
    """CPU seconds an event that decoding to dict takes, of the same lines, right after."""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield what an event costs when 60,000, or a million, wait, in both chunkings, without publishing and with."""
    runs, count = (1, 60_000) if quick else (5, 1_000_000)
    with answering() as servers:
        yield from _shown(servers, f"{count:,} events", count, runs)
        if not quick:
            yield from _shown(servers, "60,000 events", 60_000, 3)


def _shown(servers: Servers, of: str, count: int, runs: int) -> Iterator[Figure]:
    """Yield all figures of the usual case, and the cost of an event in the others."""
    caught = [catch_up(servers, count) for _ in range(runs)]
    yield from _cost(f"catching up with {of}", count, caught)
    yield figure(f"catching up with {of}: until all is committed", "s", [each.committed for each in caught])
    yield figure(f"catching up with {of}: until all is archived", "s", [each.archived for each in caught])
    yield figure(f"catching up with {of}: rate", "events a second", [count / each.committed for each in caught])
    yield figure(f"catching up with {of}: peak memory", "MiB", [each.peak / MIB for each in caught])
    yield figure(f"catching up with {of}: steady memory", "MiB", [each.steady / MIB for each in caught])
    yield figure(f"catching up with {of}: written", "bytes an event", [each.written / count for each in caught])


def _cost(name: str, count: int, caught: list[Caught]) -> Iterator[Figure]:
    yield figure(name, "µs CPU an event", [each.cpu / count * 1e6 for each in caught])
    yield figure(f"{name}: events a CPU second", "events", [count / each.cpu for each in caught])
    yield figure("reference: msgspec to dict, same lines", "µs CPU an event", [each.reference * 1e6 for each in caught])


def catch_up(servers: Servers, count: int, chunking: Chunking = Chunking.BLOCK, *, publish: bool = False) -> Caught:
    """Let a new service catch up with ``count`` events. AssertionError if the archive has not each of them."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        servers.tell(Told.BEGIN, folder)
        servers.tell(Told.PREPARE, count, chunking)
        with service(configured(folder, **({} if publish else QUIET))) as running:
            _settle(servers, running)
            before, began = running.spent, time.monotonic()
            servers.tell(Told.SEND)
            running.until(count)
            committed = time.monotonic()
            spent = running.end()
            ended = time.monotonic()
        rows = scan(folder / "archive", "occurrences").select(pl.len()).collect().item()
        assert rows == count, f"{rows} of {count} archived"
        return Caught(
            cpu=spent.cpu - before.cpu,
            committed=committed - began,
            archived=ended - began,
            peak=running.peak,
            steady=statistics.median(resident for at, resident in running.resident if at > (began + committed) / 2),
            written=spent.written - before.written,
            writes=servers.seen.writes,
            reference=decoded(),
        )


def _settle(servers: Servers, running: Service) -> None:
    """Wait until every cluster is watched, and nothing is left of the start."""
    while servers.seen.watches < len(NAMES):
        running.look()
        time.sleep(0.01)
    time.sleep(SETTLE_SECONDS)


def decoded(count: int = 20_000) -> float:
    """Return the CPU seconds a line of :func:`benchmarks.measure.reference`."""
    raw = [line.raw for line in lines(count)]
    reference(raw)
    return statistics.median(cpu_seconds(lambda: reference(raw)) / count for _ in range(3))
