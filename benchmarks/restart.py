"""What a million seen identities cost: a snapshot in the middle of batches, and a restart.

Protects two decisions: the state is kept whole in memory and written whole every twenty minutes; a restart reads
the newest snapshot and scans the spool that no batch has read, here ten minutes at 1,000 events a second. Wall
clock, because a batch waits for it.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import polars as pl

from batcher.batch import Batches, DataDirectory, Work
from batcher.batch.process import SNAPSHOT_EVERY
from batcher.batch.records import NOTHING, Commit, Snapshot
from batcher.clock import to_micros
from batcher.pipeline import empty_state
from batcher.schema import SEEN
from batcher.spool import Kind, Section, Stream
from batcher.spool.log import Log, Recovered
from batcher.spool.position import Place
from benchmarks.load import START, events, frames, lines
from benchmarks.measure import Figure, figure
from benchmarks.stages import RULES

SEEN_ROWS = 1_000_000
SPOOLED = 600_000
BATCH = 5_000
FULL = 50_000
"""``batch.maxRows``: catching up is batches of so many rows, back to back."""
NOW = START + timedelta(hours=1)


def figures(
    *, quick: bool, seen: int = SEEN_ROWS, spooled: int = SPOOLED, changes: int = SNAPSHOT_EVERY - 1
) -> Iterator[Figure]:
    """Yield the longest batch without and with a snapshot, then the parts of a restart and the whole."""
    runs = 3 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        directory = DataDirectory(Path(folder))
        with directory.owned():
            directory.write_snapshot(Snapshot(_commit(1), empty_state() | {"seen": identities(seen)}))
            raw = lines(BATCH)
            yield from _batches(directory, raw, runs, seen, changes)
            yield from _restart(directory, runs, spooled)


def identities(rows: int) -> pl.DataFrame:
    """Return ``rows`` of :data:`batcher.schema.SEEN` as they are: hashes, which nothing compresses."""
    numbers = pl.DataFrame({"n": pl.int_range(rows, eager=True)})
    return numbers.select(
        identity_high=pl.col("n").hash(1),
        identity_low=pl.col("n").hash(2),
        cluster_key=pl.col("n") % 100,
        incarnation=0,
        resource_version=pl.col("n") * 7,
        count=pl.col("n") % 50 + 1,
        touched=pl.col("n") % 3_600_000,
    ).cast(pl.Schema(SEEN))


def _commit(batch: int) -> Commit:
    return Commit(batch, 0, (1, 0), {}, NOTHING.totals, {}, [], "")


def _batches(directory: DataDirectory, raw: list[bytes], runs: int, seen: int, changes: int) -> Iterator[Figure]:
    with_log = _Spooled(directory, raw)
    for every, what in ((1_000_000, "without a snapshot"), (1, "with a snapshot")):
        batches = Batches(directory, with_log.log.read, RULES, snapshot_every=every)
        batches.load()
        assert len(batches.state["seen"]) >= seen
        with_log.batch(batches)
        yield figure(
            f"batch of {BATCH:,} rows, a million seen, {what}", "s", [with_log.batch(batches) for _ in range(runs)]
        )
    batches = Batches(directory, with_log.log.read, RULES, snapshot_every=1_000_000)
    batches.load()
    for _ in range(changes):
        with_log.batch(batches)
    with_log.log.close()


class _Spooled:
    """A spool to which a batch's lines are appended again and again."""

    def __init__(self, directory: DataDirectory, raw: list[bytes]) -> None:
        self.log = Log(directory.spool, directory.quarantine)
        self.log.recover(Place(1, 0))
        self._frames = [sections for _, sections in frames(raw)]

    def batch(self, batches: Batches) -> float:
        """Append, and return the seconds of the batch alone."""
        for sections in self._frames:
            self.log.append(sections)
        began = time.perf_counter()
        batches.next(Work(self.log.end, to_micros(NOW), []))
        return time.perf_counter() - began


def _restart(directory: DataDirectory, runs: int, spooled: int) -> Iterator[Figure]:
    log = Log(directory.spool, directory.quarantine)
    batches = Batches(directory, log.read, RULES)
    batches.load()
    log.recover(batches.end)
    _append(log, spooled)
    log.close()
    parts: dict[str, list[float]] = {"state": [], "spool": [], "ready": []}
    found = Recovered(batches.end)
    for _ in range(runs):
        began = time.perf_counter()
        batches = Batches(directory, log.read, RULES)
        batches.load()
        loaded = time.perf_counter()
        found = log.recover(batches.end)
        ready = time.perf_counter()
        log.close()
        assert sum(frame.lines for frame in found.unplanned) == spooled
        for name, seconds in (("state", loaded - began), ("spool", ready - loaded), ("ready", ready - began)):
            parts[name].append(seconds)
    yield figure("restart: snapshot of a million seen, and 239 changes since", "s", parts["state"])
    yield figure(f"restart: scan of {spooled:,} spooled events", "s", parts["spool"])
    yield figure("restart: ready to read sockets", "s", parts["ready"])
    yield figure(f"after it: {spooled:,} events batched, once", "s", [_caught_up(batches, found)])


def _append(log: Log, count: int) -> None:
    """Append ``count`` events that are all revisions, 256 a frame."""
    made = events(count)
    stream = Stream("0c0ffee0-0000-4000-8000-000000000001", "events")
    at = to_micros(NOW)
    while piece := list(itertools.islice(made, 256)):
        body = b"".join(msgspec.json.encode({"type": kind, "object": event}) + b"\n" for kind, event in piece)
        log.append([Section(stream, "us-west1", Kind.WATCHED, "1", len(piece), body, received_at=at)])


def _caught_up(batches: Batches, found: Recovered) -> float:
    began = time.perf_counter()
    lines_in, end = 0, batches.end
    for number, frame in enumerate(found.unplanned, 1):
        lines_in, end = lines_in + frame.lines, frame.end
        if lines_in >= FULL - 256 or number == len(found.unplanned):
            batches.next(Work(end, to_micros(NOW), []))
            lines_in = 0
    assert batches.end == found.end
    return time.perf_counter() - began
