"""Batches run again from what was received, and compared with what they left, row by row.

A batch depends on its plan, its rules, its range of the spool and the state before it; where all are still
here it must give the same rows, sums and changes again. The state goes on by the committed changes, as it
does at a restart, so that each batch is judged alone. A batch that another version ran is left out: an
upgrade may count otherwise, and must not rewrite history.
"""

from collections.abc import Iterator
from itertools import islice

import msgspec
import polars as pl

import batcher
from batcher.archive.read import scan
from batcher.archive.removals import removals
from batcher.batch import Commit, DataDirectory, Plan
from batcher.batch.process import TAKE_OVER, compute, staged_paths
from batcher.batch.quarantine import collected, quarantined, retries, revivals
from batcher.batch.records import NOTHING, Snapshot, decode_changes
from batcher.errors import DataDirError
from batcher.pipeline import STATE_KEYS, Change, Result, State, advance, empty_state
from batcher.schema import LINKED
from batcher.spool.log import Log
from batcher.spool.position import Place
from batcher.staging import DATED_BY, DELIVERED
from batcher.store import Root
from batcher.verify.check import Check, first_difference
from batcher.verify.rows import difference

ROW_KEYS = {
    "occurrences": ("position",),
    "summaries": ("summary", "slot"),
    "incidents": ("incident",),
    "links": (*LINKED, "final_at"),
    "dead_letters": ("summary",),
    "gaps": ("cluster_uid", "scope", "from_at"),
    "batches": ("batch",),
    "quarantine": ("position",),
    "retries": ("position",),
    "revivals": ("summary",),
}
"""What names a row within a batch."""

BATCHES_AT_ONCE = 20
"""Rows of so many batches are held in memory: at most a million of those that a full one has."""

Difference = tuple[str, int, str]
"""What was compared, the batch, and how it differs."""


def check_recomputed(directory: DataDirectory, archive: Root) -> list[Check]:
    """Return a check for each table, and of sums and changes, over the batches that can be run again.

    The first says which those are.
    """
    run = _Run(directory, archive)
    found = list(run.differences())
    compared = [f"recomputed rows of {table} = those kept" for table in DATED_BY]
    compared += [SUMS_AGAIN, CHANGES_AGAIN, STATE_AGAIN, INPUTS]
    return [
        Check(run.told(), ok=True),
        *(first_difference(name, ((b, how) for what, b, how in found if what == name)) for name in compared),
    ]


SUMS_AGAIN = "recomputed sums = those committed"
CHANGES_AGAIN = "recomputed changes = those committed"
STATE_AGAIN = "state of each snapshot = the one before and the changes since"
INPUTS = "all that a batch depends on can be read"


class _Run:
    """One pass over the batches, and the account of which were computed."""

    def __init__(self, directory: DataDirectory, archive: Root) -> None:
        self._directory = directory
        self._archive = archive
        self._removed = removals(archive)
        self._spool = Log(directory.spool, directory.quarantine)
        self._computed: list[int] = []
        self._not: dict[int, str] = {}

    def told(self) -> str:
        """One sentence: which batches were computed again, and why others were not."""
        done = (
            f"batches {self._computed[0]} to {self._computed[-1]} recomputed" if self._computed else "none recomputed"
        )
        if not self._not:
            return done
        batch, why = next(iter(self._not.items()))
        others = f" and {len(self._not) - 1} others" if len(self._not) > 1 else ""
        return f"{done}, without batch {batch}{others} ({why})"

    def differences(self) -> Iterator[Difference]:
        """Yield what differs, in order of batches."""
        start = self._start()
        if start is None:
            return
        state = start.state
        snapshots = {snapshot.commit.batch: snapshot for snapshot in self._directory.snapshots()}
        commits = self._directory.commits_after(start.commit.batch)
        while some := list(islice(commits, BATCHES_AT_ONCE)):
            kept = self._kept(some[0].batch, some[-1].batch)
            for commit in some:
                yield from self._compare(commit, state, kept)
                try:
                    state = advance(state, decode_changes(self._directory.read_changes(commit)))
                except DataDirError as error:
                    yield INPUTS, commit.batch, str(error)
                    return
                yield from _snapshot(snapshots.get(commit.batch), state)

    def _start(self) -> Snapshot | None:
        """The oldest state that is known; what was before it is retired."""
        first = next(iter(self._directory.commits()), NOTHING)
        if first.batch in {0, first.first}:  # all of the state is in changes that are here
            return Snapshot(msgspec.structs.replace(NOTHING, batch=max(first.batch - 1, 0)), empty_state())
        oldest = next(self._directory.snapshots(), None)
        if oldest is None:
            return None
        if oldest.commit.batch:
            self._not[oldest.commit.batch] = "its input is retired, as is that of all before it"
        return oldest

    def _kept(self, first: int, last: int) -> dict[str, pl.DataFrame]:
        of_these = pl.col("batch").is_between(first, last)
        staged = staged_paths(self._directory)
        archived = {name: scan(self._archive, name, staged[name]).filter(of_these).collect() for name in DELIVERED}
        kept = {"quarantine": quarantined, "retries": retries, "revivals": revivals}
        here = {name: read(self._directory, last) for name, read in kept.items()}
        return archived | {name: collected(table.filter(of_these)) for name, table in here.items()}

    def _compare(self, commit: Commit, state: State, kept: dict[str, pl.DataFrame]) -> Iterator[Difference]:
        try:
            plan = self._directory.plan(commit.batch)
            why = self._why_not(plan)
            if plan is None or why:
                self._not[commit.batch] = why
                return
            result = compute(self._directory, self._spool.read, plan, state)
            changes = decode_changes(self._directory.read_changes(commit))
        except DataDirError as error:
            yield INPUTS, commit.batch, str(error)
            return
        self._computed.append(commit.batch)
        for table, expected in result.tables.items():
            found = kept[table].filter(batch=commit.batch)
            how = difference(expected, found, ROW_KEYS[table])
            yield from _told(f"recomputed rows of {table} = those kept", commit.batch, how)
        yield from _sums(commit, result)
        yield from _changes(commit.batch, result.changes, changes)

    def _why_not(self, plan: Plan | None) -> str:
        if plan is None:
            return "its plan is gone"
        if plan.code != batcher.__version__:
            return f"run by version {plan.code}"
        if TAKE_OVER in plan.requests:
            return "what it was asked to do cannot be asked again"
        if self._removed.through >= plan.batch or plan.batch in self._removed.purged:
            return "rows of it were removed, by retention or a purge"
        gone = set() if plan.start == plan.end else self._spool.missing(Place(*plan.start), Place(*plan.end))
        return f"segment {min(gone)} of the spool is gone" if gone else ""


def _told(name: str, batch: int, how: str) -> Iterator[Difference]:
    if how:
        yield name, batch, how


def _sums(commit: Commit, result: Result) -> Iterator[Difference]:
    for name, again in result.sums.items():
        if commit.sums.get(name) != again:
            yield SUMS_AGAIN, commit.batch, f"{name}: {commit.sums.get(name)} committed, {again} recomputed"


def _changes(batch: int, recomputed: dict[str, Change], committed: dict[str, Change]) -> Iterator[Difference]:
    for name, again in recomputed.items():
        for part, expected, found in zip(again._fields, again, committed[name], strict=True):
            how = difference(expected, found, STATE_KEYS[name])
            yield from _told(CHANGES_AGAIN, batch, f"{name}.{part}: {how}" if how else "")


def _snapshot(snapshot: Snapshot | None, state: State) -> Iterator[Difference]:
    if snapshot is None:
        return
    for name, keys in STATE_KEYS.items():
        how = difference(state[name], snapshot.state[name], keys)
        yield from _told(STATE_AGAIN, snapshot.commit.batch, f"{name}: {how}" if how else "")
