"""What an event costs when there is much already: rows in the archive, identities in the state.

Protects two decisions: a batch adds files to the archive and never reads it, and registers them once a minute; what
was seen is two hashes and two numbers an Event, joined as one table. The service is the real one; it catches up with
60,000 events on a data directory that has gone on for long. Ten million archived rows are in :mod:`benchmarks.larger`.
"""

import functools
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import polars as pl

from batcher.archive import Deliverer, check_owner
from batcher.batch import DataDirectory
from batcher.batch.records import NOTHING, Snapshot
from batcher.clock import now, to_micros
from batcher.pipeline import empty_state
from batcher.staging import StagedFile, stage
from benchmarks.answering import Servers, answering
from benchmarks.archiving import DAY, FIRST, rows
from benchmarks.catching import FEW, Caught, catch_up
from benchmarks.measure import Figure, between, figure
from benchmarks.restart import identities

LITTLE = (10_000, 1_000)
ROWS_A_DAY = 1_000_000
ROWS_A_BATCH = 50_000


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the cost of an event with little, with a million rows in the archive, and with as many seen."""
    million = 100_000 if quick else 1_000_000
    more = {"archived": (million, LITTLE[1]), "seen": (LITTLE[0], million)}
    with answering() as servers:
        yield from compared(servers, more, runs=1 if quick else 2)


def compared(servers: Servers, more: Mapping[str, tuple[int, int]], *, runs: int) -> Iterator[Figure]:
    """Yield the cost of an event with little, then with each of ``more`` (archived, seen), and how they differ.

    Runs take turns, so that what else the machine does meets all.
    """
    cases = {"": LITTLE, **more}
    caught: dict[str, list[Caught]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory() as folder:
        for name, there in cases.items():
            _make(Path(folder) / f"with-{name}", *there)
        for _, (name, there) in itertools.product(range(runs), cases.items()):
            prepare = functools.partial(_copied, Path(folder) / f"with-{name}", there[0])
            caught[name].append(catch_up(servers, FEW, prepare=prepare))
    for name, there in cases.items():
        beside = between(*(each.reference for each in caught[name]))
        told = f"with {there[0]:,} archived, {there[1]:,} seen"
        yield figure(told, "µs CPU an event", [each.micros for each in caught[name]], beside)
        if name:
            which = 0 if name == "archived" else 1
            ratios = [_fair(ours, least) for ours, least in zip(caught[name], caught[""], strict=True)]
            told = f"cost of an event, {there[which]:,} {name} ÷ {LITTLE[which]:,}"
            yield figure(told, "times as much", ratios)


def _fair(ours: Caught, least: Caught) -> float:
    return (ours.micros / ours.reference.cpu) / (least.micros / least.reference.cpu)


def _make(folder: Path, archived: int, seen: int) -> None:
    """Make a data directory that has ``seen`` so many identities, and an archive of ``archived`` rows."""
    directory = DataDirectory(folder / "data")
    with directory.owned():
        batch = _archive(folder / "archive", directory, archived)
        commit = msgspec.structs.replace(NOTHING, batch=batch, now=to_micros(now()), first=batch)
        directory.write_snapshot(Snapshot(commit, empty_state() | {"seen": identities(seen)}))


def _copied(made: Path, archived: int, folder: Path) -> int:
    """Let a service have what was made: it changes no file of the archive, and so they need not be copied."""
    shutil.copytree(made / "data", folder / "data")
    shutil.copytree(made / "archive", folder / "archive", copy_function=os.link)
    return archived


def _archive(root: Path, directory: DataDirectory, count: int) -> int:
    """Deliver ``count`` rows, each day's in one transaction; return the last batch."""
    check_owner(root, directory.id)
    deliverer, batch = Deliverer(root, directory.staged, directory.id), 0
    for day, first in enumerate(range(0, count, ROWS_A_DAY)):
        files: list[StagedFile] = []
        for some in rows(FIRST + day * DAY, min(ROWS_A_DAY, count - first)).iter_slices(ROWS_A_BATCH):
            batch += 1
            told = some.with_columns(batch=pl.lit(batch, pl.Int64))
            files += stage(directory.staged, "occurrences", told, batch=batch, owner=directory.id)
        deliverer.deliver(files)
        shutil.rmtree(directory.staged / "occurrences")
    return batch
