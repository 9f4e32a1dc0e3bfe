"""Dead letters: summaries that their workspace did not take, and what it takes to write them after all.

A letter is known by its summary. One that was revived and refused again is a dead letter again.
"""

from collections.abc import Sequence

import msgspec
import polars as pl

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import Batches, DataDirectory
from batcher.batch.process import latest, staged_paths
from batcher.batch.quarantine import LINES_A_BATCH, revivals
from batcher.batch.requests import Kind, answered, asked, requests
from batcher.errors import UsageError
from batcher.failed.shown import Failed, Tried
from batcher.schema import LATER_KEY, OPEN_SUMMARIES, completed
from batcher.telemetry import Fate

_ID = 32
"""Hexadecimal digits of a summary; positions of lines have fewer."""


def is_letter(name: str) -> bool:
    """Whether ``name`` is an ID of a dead letter, and of no line."""
    return len(name) == _ID and set(name) <= set("0123456789abcdef")


def waiting(directory: DataDirectory) -> list[Failed]:
    """Return the dead letters that were not revived since, oldest first."""
    requested = set(asked(directory, Kind.REVIVE))
    found = _dead(directory, latest(directory)[0].batch)
    return [_failed(row, requested) for row in found.iter_rows(named=True)]


def _dead(directory: DataDirectory, last: int) -> pl.DataFrame:
    """Return :data:`batcher.schema.DEAD_LETTERS` and ``tries`` of what is dead as of batch ``last``."""

    def look() -> pl.DataFrame:
        dead = scan(directory.archive, "dead_letters", staged_paths(directory)["dead_letters"])
        tries = revivals(directory, last).group_by("summary").agg(revived=pl.max("batch"), tries=pl.len())
        newest = dead.filter(pl.col("batch") <= last).sort("batch").group_by("summary", maintain_order=True).last()
        return (
            newest.join(tries, on="summary", how="left")
            .filter(pl.col("revived").is_null() | (pl.col("revived") < pl.col("batch")))
            .sort("batch", "summary")
            .collect()
        )

    return settled(look)


def _failed(row: dict[str, object], requested: set[str]) -> Failed:
    name, event = str(row["summary"]), str(row["event"])
    found = {
        "id": name,
        "kind": "letter",
        "cause": row["refusal"],
        "received_at": row["died_at"],
        "batch": row["batch"],
    }
    where = {key: row[key] or "" for key in ("cluster", "cluster_uid", "workspace")}
    again = {"tries": row["tries"] or 0, "asked": name in requested, "line": event.encode()}
    return msgspec.convert(found | where | again, Failed)


def why_not(directory: DataDirectory, name: str) -> str:
    """Return why ``name`` is no dead letter."""
    gone = revivals(directory, latest(directory)[0].batch).filter(pl.col("summary") == name)
    for (batch,) in gone.select(pl.max("batch")).drop_nulls().collect().iter_rows():
        return f"{name}: was revived already, in batch {batch}; it is an open summary, or published by now"
    return f"{name}: no such dead letter; see: batcher failed list"


def refuse_incomplete(directory: DataDirectory, names: Sequence[str]) -> None:
    """Raise :class:`UsageError` for letters of which an older version kept only the Event."""
    found = _dead(directory, latest(directory)[0].batch).filter(pl.col("summary").is_in(names))
    for name in found.filter(pl.col("began_at").is_null())["summary"]:
        message = f"{name}: written by a version that kept only its Event; create that by hand (failed show {name})"
        raise UsageError(message)


def prepare(directory: DataDirectory, batches: Batches) -> pl.DataFrame:
    """Return :data:`batcher.schema.OPEN_SUMMARIES` of the dead letters asked for; forget what is not dead.

    Raises :class:`batcher.errors.ArchiveError` if the archive cannot be read now.
    """
    names = asked(directory, Kind.REVIVE)
    if not names:
        return completed(pl.DataFrame(), OPEN_SUMMARIES)
    return of(directory, batches, names)


def of(directory: DataDirectory, batches: Batches, names: Sequence[str]) -> pl.DataFrame:
    """Return what the next batch needs to revive some of ``names``."""
    dead = _dead(directory, batches.last.batch).filter(pl.col("summary").is_in(names), pl.col("began_at").is_not_null())
    some = dead.head(LINES_A_BATCH)
    if len(some) == len(dead):
        answered(directory, requests(Kind.REVIVE, set(names) - set(dead["summary"])))
    # What an older version archived has nulls in what it did not know.
    return completed(some, OPEN_SUMMARIES).with_columns(pl.col(LATER_KEY).fill_null(""), pl.col("objects").fill_null(0))


def tried(directory: DataDirectory, names: Sequence[str], *, since: int) -> list[Tried]:
    """Return which of ``names`` were revived in batches after ``since``."""
    found = revivals(directory, latest(directory)[0].batch).filter(
        pl.col("batch") > since, pl.col("summary").is_in(names)
    )
    batches = dict(found.group_by("summary").agg(pl.max("batch")).collect().iter_rows())
    return [Tried(name, Fate.REVIVED if name in batches else None, "", batches.get(name, 0)) for name in names]
