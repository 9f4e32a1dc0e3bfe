"""What could not be counted, shown and tried again.

A line is known by its position, which is its for ever. Trying again goes through a batch like everything that
counts: a running service is asked, or the lock is taken and a batch is run here. That batch has nothing but
the retry in it, and moves no time on, so that what the spool still holds is the next service's. Other things
that failed have a kind of their own, and will stand in the same list.
"""

import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
import polars as pl

from batcher.archive import counted, scan
from batcher.archive.read import settled
from batcher.batch import Batches, Commit, DataDirectory, KnownRecord, Retry, Work
from batcher.batch.process import latest, staged_paths
from batcher.batch.quarantine import LINES_A_BATCH, answered, asked, collected, left, quarantined, requests_of, retries
from batcher.decode import RETRIABLE, decode_again
from batcher.errors import DataDirError, UsageError
from batcher.pipeline import Rules
from batcher.schema import OCCURRENCE
from batcher.spool.frames import PREFIX
from batcher.spool.log import Log
from batcher.spool.position import Place
from batcher.telemetry import Fate
from batcher.text import ago, cut, safe

HEADERS = ("ID", "CLUSTER", "CAUSE", "RECEIVED", "SIZE", "LINE")
WIDE_HEADERS = ("ID", "CLUSTER", "CLUSTER UID", "CAUSE", "RECEIVED AT", "BATCH", "TRIES", "ASKED", "SIZE", "LINE")
EXCERPT = 60
WIDE_EXCERPT = 300


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that failed and is kept; ``line`` is what was kept, byte for byte."""

    id: str
    kind: str = "line"
    cluster: str
    cluster_uid: str
    cause: str
    """Of its newest try."""
    received_at: datetime
    batch: int
    tries: int
    """How often it was tried again, in vain."""
    asked: bool
    """Whether the next batch will try it again."""
    line: bytes

    @property
    def text(self) -> str:
        """The line for a terminal: what is no text, or would move the cursor, is shown or left out."""
        return safe(self.line.decode("utf-8", "backslashreplace"))


class Tried(msgspec.Struct, frozen=True):
    """What became of a line that was to be tried again; no fate: it was not tried yet."""

    id: str
    fate: Fate | None
    cause: str
    batch: int


def waiting(directory: DataDirectory) -> list[Failed]:
    """Return what is in quarantine, in order of arrival; a reader may call this while a service runs."""
    last = latest(directory)[0].batch
    tried = retries(directory, last)
    newest = tried.sort("batch").group_by("position").agg(pl.last("cause").alias("again"), tries=pl.len())
    here = (
        quarantined(directory, last)
        .join(left(tried), on="position", how="anti")
        .join(newest, on="position", how="left")
        .sort("position")
    )
    requested = set(asked(directory))
    return [_failed(row, requested) for row in collected(here).iter_rows(named=True)]


def _failed(row: dict[str, object], requested: set[int]) -> Failed:
    position = row["position"]
    found = {name: row[name] for name in ("cluster", "cluster_uid", "received_at", "batch", "line")}
    again = {"cause": row["again"] or row["cause"], "tries": row["tries"] or 0, "asked": position in requested}
    return msgspec.convert({"id": str(position), **found, **again}, Failed)


def rows(found: Iterable[Failed], *, now: datetime, wide: bool) -> list[tuple[str, ...]]:
    """Return the cells of :data:`HEADERS`, or of :data:`WIDE_HEADERS`."""
    return [_wide(one) if wide else _narrow(one, now) for one in found]


def _narrow(one: Failed, now: datetime) -> tuple[str, ...]:
    received = ago(one.received_at, now)
    return one.id, one.cluster, one.cause, received, str(len(one.line)), cut(one.text, EXCERPT)


def _wide(one: Failed) -> tuple[str, ...]:
    return (
        one.id,
        one.cluster,
        one.cluster_uid,
        one.cause,
        f"{one.received_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        str(one.batch),
        str(one.tries),
        "yes" if one.asked else "no",
        str(len(one.line)),
        cut(one.text, WIDE_EXCERPT),
    )


def one(directory: DataDirectory, name: str) -> Failed:
    """Return what ``name`` (an ID) stands for. Raises :class:`UsageError` if it is not in quarantine."""
    found = {line.id: line for line in waiting(directory)}
    if name not in found:
        raise UsageError(_why_not(directory, name))
    return found[name]


def _why_not(directory: DataDirectory, name: str) -> str:
    if not name.isdecimal():
        return f"{safe(name)}: is no ID; see: batcher failed list"
    gone = left(retries(directory, latest(directory)[0].batch)).filter(pl.col("position").cast(pl.String) == name)
    for batch, fate in collected(gone.select("batch", "fate")).iter_rows():
        return f"{name}: left quarantine already, in batch {batch} (as a {fate}); it cannot be counted twice"
    return f"{name}: no such line in quarantine; see: batcher failed list"


def pick(directory: DataDirectory, names: Sequence[str], *, everything: bool, cause: str) -> list[int]:
    """Return the positions to try again: those of ``names``, or of ``everything``, or of one ``cause``.

    Raises :class:`UsageError` for a line that is not there, has left, or of which only a part was kept.
    """
    if [bool(names), everything, bool(cause)].count(True) != 1:
        message = "failed retry: give IDs, or --all, or --cause CAUSE"
        raise UsageError(message)
    found = waiting(directory)
    if names:
        here = {line.id: line for line in found}
        chosen = [here[name] if name in here else one(directory, name) for name in dict.fromkeys(names)]
    else:
        chosen = [line for line in found if line.cause == cause or (everything and line.cause in RETRIABLE)]
    if cause and not chosen:
        known = ", ".join(sorted({line.cause for line in found})) or "none"
        message = f"--cause {safe(cause)}: no line in quarantine has it; causes that lines have: {known}"
        raise UsageError(message)
    for line in chosen:
        if line.cause not in RETRIABLE:
            message = f"{line.id}: {safe(line.cause)}: only a part was kept; the list that followed brought it again"
            raise UsageError(message)
    return sorted(int(line.id) for line in chosen)


def prepare(directory: DataDirectory, batches: Batches, positions: Sequence[int]) -> Retry:
    """Return what the next batch needs to try lines at some of ``positions`` again; forget those that left.

    Raises :class:`batcher.errors.ArchiveError` if what was counted of them cannot be known now.
    """
    last = batches.last.batch
    here = collected(
        quarantined(directory, last)
        .filter(pl.col("position").is_in(positions))
        .join(left(retries(directory, last)), on="position", how="anti")
        .sort("position")
        .head(LINES_A_BATCH)
    )
    if len(here) < LINES_A_BATCH:
        answered(directory, requests_of(set(positions) - set(here["position"])))
    first = _first_place(directory, batches.last, len(here))
    lines = decode_again(here, at=batches.last.now, first=first).lines
    forgotten = lines.join(batches.state["seen"], on=OCCURRENCE, how="anti")
    return Retry(here["position"].to_list(), first, _known(directory, forgotten) if len(forgotten) else [])


def _first_place(directory: DataDirectory, last: Commit, lines: int) -> int:
    """A position behind all that is counted, and before all that will be received.

    The last frame ends at ``last.end``, and a frame is longer than its prefix: in so many bytes none begins.
    Where lines were tried again since, the places behind theirs are free.
    """
    end = Place(*last.end)
    taken = collected(retries(directory, last.batch).select(pl.max("place"))).item()
    first = max(Place(end.segment, end.offset - PREFIX.size).line(0), -1 if taken is None else taken + 1)
    if first + lines > end.line(0):
        message = f"{directory.root}: too many lines were tried again since the last was received; start the service"
        raise DataDirError(message)
    return first


def _known(directory: DataDirectory, lines: pl.DataFrame) -> list[KnownRecord]:
    def look() -> pl.DataFrame:
        return counted(scan(directory.archive, "occurrences", staged_paths(directory)["occurrences"]), lines)

    return [KnownRecord(*row) for row in settled(look).iter_rows()]


def retry_here(directory: DataDirectory, positions: Sequence[int]) -> None:
    """Try the lines at ``positions`` again, and all that others asked for, in batches of their own.

    Raises :class:`batcher.errors.InUse` if a service runs: ask that one.
    """
    log = Log(directory.spool, directory.quarantine)
    with directory.owned(), contextlib.closing(log):
        batches = Batches(directory, log.read, _rules(directory))
        batches.load()
        batches.finish()
        wanted = sorted({*positions, *asked(directory)})
        while wanted:
            retry = prepare(directory, batches, wanted)
            if not retry.positions:
                return
            batches.next(Work(batches.end, batches.last.now, [], retry))
            wanted = [position for position in wanted if position > max(retry.positions)]


def _rules(directory: DataDirectory) -> Rules:
    """The rules of the newest plan: a line is in quarantine, so there was one."""
    last = latest(directory)[0].batch
    plan = directory.plan_after(last) or directory.plan(last)
    if plan is None:
        message = f"{directory.root}: no batch has been here yet; there is nothing to retry"
        raise UsageError(message)
    return msgspec.json.decode(directory.read_rules(plan.config), type=Rules)


def tried(directory: DataDirectory, positions: Sequence[int], *, since: int) -> list[Tried]:
    """Return what became of the lines at ``positions`` in batches after ``since``."""
    last: Commit = latest(directory)[0]
    found = retries(directory, last.batch).filter(pl.col("batch") > since, pl.col("position").is_in(positions))
    newest = {row["position"]: row for row in collected(found.sort("batch")).iter_rows(named=True)}
    return [_tried(position, newest.get(position)) for position in positions]


def _tried(position: int, row: dict[str, object] | None) -> Tried:
    if row is None:
        return Tried(str(position), None, "", 0)
    return msgspec.convert({"id": str(position), **{k: row[k] for k in ("fate", "cause", "batch")}}, Tried)
