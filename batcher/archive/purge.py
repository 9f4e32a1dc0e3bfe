"""A purge: the rows of one workspace go, whatever their age, until nothing of what there was at its time is left.

What is archived goes at once. What is still staged, or in an open summary, arrives later: a purge stays asked for a
day, and the archive's upkeep does it again. Files that it replaced go as all others do, when readers are done with
them. Rows go whole; of another workspace's summary that counted them for a route, and of causes that are told of them,
too. Batches that lose rows are noted before, so that ``verify`` knows.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

import msgspec
import polars as pl
from deltalake import DeltaTable

from batcher import store
from batcher.archive.compact import FULL, KEPT
from batcher.archive.read import open_to_read, scan
from batcher.archive.removals import note_purged
from batcher.archive.rewrite import Held, chunks, held, replace, rows_of, undisturbed, write
from batcher.archive.tables import there
from batcher.archive.vacuum import AFTER
from batcher.errors import ArchiveError
from batcher.store import Root

_PURGES = "batcher-purges"

REPEATED = timedelta(days=1)
"""For so long a purge is done again: by then every slot that was open has closed and is delivered."""
GONE_AFTER = REPEATED + AFTER + timedelta(hours=2)
"""What a purge found last was replaced after a day; two more turns of the upkeep find and remove it."""

_BEGIN = {
    "occurrences": "received_at",
    "summaries": "began_at",
    "incidents": "began_at",
    "links": "effect_at",
    "dead_letters": "died_at",
}
"""The tables that have rows of a workspace, and since when a row tells of it: what began later stays."""


class Purge(msgspec.Struct, frozen=True):
    """What somebody has asked for."""

    workspace: str
    at: datetime
    """Rows until then go."""

    @property
    def until(self) -> datetime:
        """Until when it is done again."""
        return self.at + REPEATED

    @property
    def gone_by(self) -> datetime:
        """When no file of the archive has a row of it any more."""
        return self.at + GONE_AFTER


class Purged(msgspec.Struct, frozen=True):
    """What a purge did in a table, or would do."""

    table: str
    rows: int
    files: int
    """Files that had some, and were replaced."""


def purges(root: Root) -> list[Purge]:
    """Return what was asked for, oldest first. Raises :class:`ArchiveError` if the file is damaged."""
    path = root / _PURGES
    try:
        return msgspec.json.decode(store.read(path), type=list[Purge])
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        message = f"{path}: {error}; restore it from a backup, or remove it and purge again"
        raise ArchiveError(message) from None


def ask(root: Root, purge: Purge) -> None:
    """Remember ``purge`` durably, until it is done for the last time."""
    store.write(root / _PURGES, msgspec.json.encode([*purges(root), purge]))


def forget_done(root: Root, *, now: datetime) -> None:
    """Forget the purges whose time is over; call it when they were done once more."""
    asked = purges(root)
    left = [purge for purge in asked if purge.until > now]
    if left != asked:
        store.write(root / _PURGES, msgspec.json.encode(left))


def purge_all(root: Root, purge: Purge, *, now: datetime, dry_run: bool = False) -> list[Purged]:
    """Remove the rows of ``purge`` from every table. Safe beside everything; may be done again.

    Links go first: which of them tell of the workspace is known by its summaries. Raises :class:`ArchiveError`.
    """
    summaries = _summaries(root, purge)
    names = sorted(set(there(root)) & set(_BEGIN), key=lambda name: name != "links")
    return [_purge(root, name, purge, summaries, now=now, dry_run=dry_run) for name in names]


def of_workspace(name: str, purge: Purge, summaries: pl.Series) -> pl.Expr:
    """Whether a row of the table ``name`` goes; ``summaries`` are those of the workspace."""
    own = pl.col("workspace") == purge.workspace
    if name in {"summaries", "dead_letters"}:
        own |= pl.col("origin").fill_null("").str.starts_with(f"{purge.workspace}/")
    if name == "links":
        own |= pl.any_horizontal(pl.col("cause_summary", "root_summary").is_in(summaries.implode()))
    return (own & (pl.col(_BEGIN[name]) <= purge.at)).fill_null(value=False)


def _summaries(root: Root, purge: Purge) -> pl.Series:
    found = [
        scan(root, name).filter(of_workspace(name, purge, pl.Series(dtype=pl.String))).select("summary").collect()
        for name in ("summaries", "dead_letters")
    ]
    return pl.concat(found).to_series().unique()


def _purge(root: Root, name: str, purge: Purge, summaries: pl.Series, *, now: datetime, dry_run: bool) -> Purged:
    goes = of_workspace(name, purge, summaries)
    done: list[Purged] = []

    def work(table: DeltaTable | None) -> None:
        affected = [(file, batches) for file in held(table) if (batches := _batches(root, name, file, goes))]
        if table is None or dry_run:
            rows = sum(sum(batches.values()) for _, batches in affected)
            done.append(Purged(name, rows, len(affected)))
            return
        note_purged(root, {batch for _, batches in affected for batch in batches})
        for date, files in groupby((file for file, _ in affected), key=lambda file: file.date):
            done.extend(_without(root, name, table, date, list(files), goes, now))

    if dry_run or not any(_batches(root, name, file, goes) for file in held(open_to_read(root, name))):
        dry_run = True
        work(open_to_read(root, name))
    else:
        undisturbed(root, name, work)
    return Purged(name, sum(each.rows for each in done), sum(each.files for each in done))


def _batches(root: Root, name: str, file: Held, goes: pl.Expr) -> dict[int, int]:
    """How many rows of each batch go from ``file``."""
    return dict(rows_of(root, name, file).filter(goes).group_by("batch").len().collect().iter_rows())


def _without(
    root: Root, name: str, table: DeltaTable, date: str, files: Sequence[Held], goes: pl.Expr, now: datetime
) -> list[Purged]:
    """Each chunk keeps the kind of its files, so that retention and compaction know it as before."""
    done = []
    for kind, some in groupby(sorted(files, key=_kind), key=_kind):
        for chunk in chunks(root, name, some, keep=lambda rows: rows.filter(~goes)):
            new = list(write(root, name, date, chunk.rows, kind=kind))
            replace(root, name, table, old=chunk.files, new=new, now=now)
            done.append(Purged(name, sum(file.rows for file in chunk.files) - len(chunk.rows), len(chunk.files)))
    return done


def _kind(file: Held) -> str:
    kind = file.name.partition("-")[0]
    return kind if kind in {FULL, KEPT} else "part"
