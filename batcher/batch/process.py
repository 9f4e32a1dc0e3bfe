"""One batch after the other: the only place where the state moves on.

``next`` plans, runs, stages and commits; ``recover`` brings back the state of the last commit and runs a plan
that a crash left without one. Publishing and delivering are others' work, from what was committed.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

import batcher
from batcher import disk
from batcher.batch.directory import DataDirectory
from batcher.batch.quarantine import collected, discard, positions_of, quarantined, requests_of
from batcher.batch.records import (
    NOTHING,
    Commit,
    KnownRecord,
    OutcomeRecord,
    Plan,
    Snapshot,
    decode_changes,
    decode_letters,
    encode_changes,
    encode_letters,
)
from batcher.batch.requests import Kind, answered, named
from batcher.batch.requests import requests as requested
from batcher.claims import Claims
from batcher.clock import from_micros
from batcher.decode import decode, decode_again
from batcher.errors import DataDirError, Unavailable, UsageError
from batcher.pipeline import NOTHING_AGAIN, Again, Result, Rules, State, advance, empty_state, run
from batcher.pipeline.hits import add_counts
from batcher.schema import OPEN_SUMMARIES, SUMS, empty, from_rows
from batcher.spool import Section, Stream
from batcher.spool.position import Place
from batcher.stages.recall import KNOWN
from batcher.stages.settle import OUTCOMES
from batcher.staging import DELIVERED, StagedFile, stage

SNAPSHOT_EVERY = 240
"""Batches between snapshots at most: 20 minutes at 5 s. A restart applies at most so many changes."""

CHANGES_AT_ONCE = 16
"""Applied together at a restart: alone, each costs 30 ms where a million identities were seen."""

TAKE_OVER = "take-over"
"""The request in the plan of a first batch that has its state from the archive."""

Reader = Callable[[Place, Place], Iterator[tuple[Place, list[Section]]]]
"""Reads a range of the spool, as :meth:`batcher.spool.log.Log.read` does."""


class Retry(NamedTuple):
    """Quarantined lines to try again, and what the archive says of their identities."""

    positions: Sequence[int] = ()
    first: int = 0
    known: Sequence[KnownRecord] = ()


class Work(NamedTuple):
    """What a batch is asked to do: a range that ends at ``end``, as of ``now`` (microseconds)."""

    end: Place
    now: int
    outcomes: list[OutcomeRecord]
    retry: Retry = Retry()
    resync: Sequence[str] = ()
    """Workspaces whose open summaries are to be written again."""
    letters: pl.DataFrame = empty(OPEN_SUMMARIES)
    """Dead letters to be written after all."""
    snapshot: bool = False
    """Whether to write a snapshot, however young the last is: the spool waits for two to be retired."""
    retire: Sequence[str] = ()
    """Requests that this snapshot is for."""


class Batches:
    """The state as of the last commit. One owner: it is not safe to run two batches at once."""

    def __init__(
        self, directory: DataDirectory, read: Reader, rules: Rules, *, snapshot_every: int = SNAPSHOT_EVERY
    ) -> None:
        """Use ``directory``, whose lock is held, and ``read`` the spool from it; plan with ``rules``."""
        self._snapshot_every = snapshot_every
        self._directory = directory
        self._read = read
        self._owner = directory.id
        self.plan_with(rules)
        self._snapshotted = NOTHING
        self.last = NOTHING
        self.state: State = empty_state()
        self.undelivered: list[StagedFile] = []

    def plan_with(self, rules: Rules) -> None:
        """Plan with ``rules`` from the next batch on; a plan that is on disk keeps its own."""
        self._encoded_rules = msgspec.json.encode(rules)

    @property
    def end(self) -> Place:
        """Where the next batch begins."""
        return Place(*self.last.end)

    @property
    def streams(self) -> list[Stream]:
        """Each stream of Events that was heard of, in its newest incarnation."""
        known = self.state["contacts"].select("cluster_uid", "scope", "incarnation")
        return [Stream(uid, "events", scope, incarnation) for uid, scope, incarnation in known.iter_rows()]

    @property
    def planned(self) -> Place:
        """Where the plan ends that has no commit; if there is none, where the next batch begins."""
        plan = self._directory.plan_after(self.last.batch)
        return Place(*plan.end) if plan else self.end

    def load(self) -> None:
        """Bring back the state of the last commit: the newest whole snapshot and the changes after it.

        A directory of the format before is of this one from then on: it is raised when all could be read.
        """
        there = self._directory.commits()
        snapshot = _newest_snapshot(self._directory, there)
        self._snapshotted = snapshot.commit
        self.last, self.state = _brought_forward(self._directory, snapshot, there)
        self.undelivered = [file for commit in self._directory.commits() for file in _archived(commit)]
        self._directory.raise_format()
        done = self._directory.plan(self.last.batch)
        answered(self._directory, done.requests if done else [])

    def finish(self) -> Commit | None:
        """Run the plan that has no commit, if there is one. The spool must be ready to be read."""
        plan = self._directory.plan_after(self.last.batch)
        if plan is None:
            return None
        discard(self._directory, plan.batch)
        return self._run(plan)

    def next(self, work: Work) -> Commit:
        """Plan, run, stage and commit one batch.

        Raises :class:`Unavailable` when the disk takes nothing now: call it with the same work again.
        """
        with disk.trusted(f"writing batch {self.last.batch + 1}"):
            return self._run(self._plan(work), snapshot=work.snapshot)

    def begin(self, before: Commit, result: Result, *, now: int) -> Commit:
        """Commit ``result`` as the first batch of a new directory that goes on ``before``, a lost one's last.

        Its changes hold the whole state, so that it needs none before it; it is not planned to be run again,
        because whoever took over asks the archive again. What an earlier try left here is dropped.
        """
        self._directory.retire(before.batch)
        self.last = msgspec.structs.replace(before, first=before.batch + 1)
        plan = self._plan(Work(self.end, now, []), requests=[TAKE_OVER])
        return self._commit(plan, result)

    def _plan(self, work: Work, requests: Sequence[str] = ()) -> Plan:
        digest = disk.digest(self._encoded_rules)
        self._directory.write_rules(digest, self._encoded_rules)
        plan = Plan(
            batch=self.last.batch + 1,
            now=work.now,
            start=self.last.end,
            end=(work.end.segment, work.end.offset),
            outcomes=work.outcomes,
            requests=[
                *requests,
                *requests_of(work.retry.positions),
                *requested(Kind.RESYNC, work.resync),
                *requested(Kind.REVIVE, work.letters["summary"]),
                *requested(Kind.RETIRE, work.retire),
            ],
            config=digest,
            code=batcher.__version__,
            known=[*work.retry.known],
            first=work.retry.first,
            before=self.last.now,
            letters=encode_letters(work.letters),
        )
        self._directory.write_plan(plan)
        return plan

    def _run(self, plan: Plan, *, snapshot: bool = False) -> Commit:
        return self._commit(plan, compute(self._directory, self._read, plan, self.state), snapshot=snapshot)

    def _commit(self, plan: Plan, result: Result, *, snapshot: bool = False) -> Commit:
        commit = self._stage(plan, result)
        self._directory.write_commit(commit)
        self.state = advance(self.state, result.changes)
        self.last = commit
        self.undelivered += _archived(commit)
        answered(self._directory, plan.requests)
        self._maybe_snapshot(asked=snapshot)
        return commit

    def _stage(self, plan: Plan, result: Result) -> Commit:
        files = [
            file
            for table, frame in result.tables.items()
            for file in stage(self._directory.staged, table, frame, batch=plan.batch, owner=self._owner)
        ]
        return Commit(
            batch=plan.batch,
            now=plan.now,
            end=plan.end,
            sums=result.sums,
            totals={name: self.last.totals.get(name, 0) + result.sums[name] for name in SUMS},
            clusters=_add(self.last.clusters, result.clusters),
            files=files,
            changes=self._directory.write_changes(plan.batch, encode_changes(result.changes)),
            first=self.last.first,
            rules=add_counts(self.last.rules, result.rules),
            gap_at=plan.now if result.sums["gaps"] else self.last.gap_at,
        )

    def _maybe_snapshot(self, *, asked: bool) -> None:
        """Every so many batches, with every segment, and when asked."""
        many = self.last.batch - self._snapshotted.batch >= self._snapshot_every
        if asked or many or self.last.end[0] > self._snapshotted.end[0]:
            with contextlib.suppress(Unavailable), disk.trusted("writing a snapshot"):  # else after the next batch
                self._directory.write_snapshot(Snapshot(self.last, self.state))
                self._snapshotted = self.last

    def delivered(self, through: dict[str, int]) -> None:
        """Forget the staged files of each table up to the batch that the archive has, and what covers them."""
        gone = [file for file in self.undelivered if file.batch <= through.get(file.table, 0)]
        for file in gone:
            disk.remove(self._directory.staged / file.table / file.name)
        self.undelivered = [file for file in self.undelivered if file.batch > through.get(file.table, 0)]

    def retire(self) -> Place:
        """Delete what the older snapshot and the archive cover; return the place before which the spool may go."""
        covered = self._directory.oldest_snapshot_batch()
        waiting = min((file.batch for file in self.undelivered), default=covered + 1)
        through = min(covered, waiting - 1)
        oldest = next(self._directory.commits_after(through - 1), None) if through else None
        if oldest is None:
            return Place(1, 0)
        self._directory.retire(through - 1)
        return Place(*oldest.end)


def compute(directory: DataDirectory, read: Reader, plan: Plan, state: State) -> Result:
    """Return the result of ``plan`` on the ``state`` before it: of what is on disk, and nothing else."""
    rules = msgspec.json.decode(directory.read_rules(plan.config), type=Rules)
    claims = Claims()
    decoded = decode(claims.passing(read(Place(*plan.start), Place(*plan.end))))
    decoded = decoded._replace(claims=claims.read, lists=claims.lists)
    decoded = decoded._replace(objects=claims.objects, object_lists=claims.object_lists)
    now, again = from_micros(plan.now), _again(directory, plan)
    return run(decoded, _outcomes(plan.outcomes), state, batch=plan.batch, now=now, rules=rules, again=again)


def _again(directory: DataDirectory, plan: Plan) -> Again:
    workspaces, letters = named(Kind.RESYNC, plan.requests), decode_letters(plan.letters)
    positions = positions_of(plan.requests)
    if not positions:
        return NOTHING_AGAIN._replace(workspaces=workspaces, letters=letters)
    lines = collected(quarantined(directory, plan.batch - 1).filter(pl.col("position").is_in(positions)))
    known = pl.DataFrame([msgspec.structs.astuple(record) for record in plan.known], schema=KNOWN, orient="row")
    return Again(decode_again(lines, at=plan.before, first=plan.first), known, workspaces, letters)


def _add(so_far: dict[str, dict[str, int]], batch: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Totals by cluster; lags are the newest, not sums."""
    return so_far | {name: so_far.get(name, {}) | _added(so_far.get(name, {}), new) for name, new in batch.items()}


def _added(so_far: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    return {key: value if key.endswith("lag_ms") else value + so_far.get(key, 0) for key, value in new.items()}


def latest(directory: DataDirectory) -> tuple[Commit, State]:
    """Return the last commit and the state after it; a reader may call this while a service runs.

    Raises :class:`DataDirError` if they are lost: starting from nothing would number batches as others were.
    """
    there = directory.commits()  # looked at once, and first, because a service may commit more meanwhile
    return _brought_forward(directory, _newest_snapshot(directory, there), there)


def rules_of_last(directory: DataDirectory) -> Rules:
    """Return the rules of the newest plan. Raises :class:`UsageError` if there was none yet."""
    last = latest(directory)[0].batch
    plan = directory.plan_after(last) or directory.plan(last)
    if plan is None:
        message = f"{directory.root}: no batch has been here yet; start one with: batcher run --config FILE"
        raise UsageError(message)
    return msgspec.json.decode(directory.read_rules(plan.config), type=Rules)


def _newest_snapshot(directory: DataDirectory, there: Sequence[Commit]) -> Snapshot:
    return directory.newest_snapshot() or Snapshot(_before_first(there), empty_state())


def _before_first(there: Sequence[Commit]) -> Commit:
    """What the first batch follows, if it is still here: with it, all of the state is."""
    oldest = next(iter(there), NOTHING)
    return msgspec.structs.replace(NOTHING, batch=oldest.first - 1) if oldest.batch == oldest.first else NOTHING


def _brought_forward(directory: DataDirectory, snapshot: Snapshot, there: Sequence[Commit]) -> tuple[Commit, State]:
    last, state = snapshot
    commits = directory.commits_after(last.batch)
    while some := list(itertools.islice(commits, CHANGES_AT_ONCE)):
        state = advance(state, *(decode_changes(directory.read_changes(commit)) for commit in some))
        last = some[-1]
    if there and there[-1].batch > last.batch:
        message = f"{directory.root}: no snapshot is whole, and batch {last.batch + 1} is gone; restore from a backup"
        raise DataDirError(message)
    return last, state


def staged_paths(directory: DataDirectory) -> dict[str, list[Path]]:
    """Return the staged files of committed batches that are still here, by table of the archive; for readers."""
    paths: dict[str, list[Path]] = {table: [] for table in DELIVERED}
    for commit in directory.commits():
        for file in _archived(commit):
            path = directory.staged / file.table / file.name
            if path.exists():
                paths[file.table].append(path)
    return paths


def _archived(commit: Commit) -> list[StagedFile]:
    return [file for file in commit.files if file.table in DELIVERED]


def _outcomes(outcomes: list[OutcomeRecord]) -> pl.DataFrame:
    newest = {o.summary: o for o in sorted(outcomes, key=lambda outcome: (outcome.version, outcome.at))}
    rows = [msgspec.structs.astuple(outcome) for outcome in newest.values()]
    return from_rows(rows, OUTCOMES, micros="at")


__all__ = ["SNAPSHOT_EVERY", "Batches", "Retry", "Work", "compute", "latest", "rules_of_last", "staged_paths"]
