"""Quarantined lines: which are there, which can be tried again, and what that takes.

A line is known by its position, which is its for ever.
"""

from collections.abc import Sequence

import msgspec
import polars as pl

from batcher.archive import counted, scan
from batcher.archive.read import settled
from batcher.batch import Batches, Commit, DataDirectory, KnownRecord, Retry
from batcher.batch.process import latest, staged_paths
from batcher.batch.quarantine import LINES_A_BATCH, asked, collected, left, quarantined, requests_of, retries
from batcher.batch.requests import answered
from batcher.decode import RETRIABLE, decode_again
from batcher.errors import DataDirError, UsageError
from batcher.failed.shown import Failed, Tried
from batcher.schema import OCCURRENCE
from batcher.spool.frames import PREFIX
from batcher.spool.position import Place
from batcher.text import safe


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


def why_not(directory: DataDirectory, name: str) -> str:
    """Return why the line ``name`` is not in quarantine."""
    gone = left(retries(directory, latest(directory)[0].batch)).filter(pl.col("position").cast(pl.String) == name)
    for batch, fate in collected(gone.select("batch", "fate")).iter_rows():
        return f"{name}: left quarantine already, in batch {batch} (as a {fate}); it cannot be counted twice"
    return f"{name}: no such line in quarantine; see: batcher failed list"


def refuse_partial(line: Failed) -> None:
    """Raise :class:`UsageError` for a ``line`` of which only a part was kept."""
    if line.cause not in RETRIABLE:
        message = f"{line.id}: {safe(line.cause)}: only a part was kept; the list that followed brought it again"
        raise UsageError(message)


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
