"""The tables for people: how much there is, of which days, and what is not delivered yet.

Reads the logs and the footers of staged files, and no row.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import polars as pl

from batcher.archive.compact import is_small
from batcher.archive.important import Pin
from batcher.archive.read import open_to_read
from batcher.archive.rewrite import held
from batcher.archive.tables import COLUMNS, RETAINED, is_delivered
from batcher.settings import format_size
from batcher.store import Root

HEADERS = ("TABLE", "ROWS", "FILES", "SIZE", "A ROW", "OLDEST", "NEWEST", "STAGED")
WIDE_HEADERS = (*HEADERS, "STAGED FILES", "SMALL FILES", "VERSION", "REMOVED THROUGH")
TEXTS = ("TABLE", "OLDEST", "NEWEST")


class Table(msgspec.Struct, frozen=True):
    """A table of the archive."""

    table: str
    rows: int
    files: int
    bytes: int
    bytes_a_row: float
    oldest: str
    """The first day that it has rows of; empty if it has none."""
    newest: str
    staged_rows: int
    """Rows of committed batches that are not delivered yet."""
    staged_files: int
    staged_bytes: int
    small_files: int
    """Files that compaction would make fewer."""
    version: int
    """Of the Delta table; -1: there is none yet."""
    removed_through: int
    """The last batch that has lost rows by retention."""


class Status(msgspec.Struct, frozen=True):
    """The archive."""

    path: str
    tables: list[Table]
    pinned: list[Pin]


def status(root: Root, staged: Mapping[str, Iterable[Path]], pinned: list[Pin]) -> Status:
    """Return what the archive at ``root`` has, and what is ``staged`` for it. Raises ``ArchiveError``."""
    return Status(str(root), [_table(root, name, staged.get(name, ())) for name in COLUMNS], pinned)


def _table(root: Root, name: str, staged: Iterable[Path]) -> Table:
    table = open_to_read(root, name)
    files = held(table)
    waiting = [path for path in staged if not (table and is_delivered(table, name, path.name))]
    rows, size = sum(file.rows for file in files), sum(file.size for file in files)
    days = [file.date for file in files if file.rows]
    return Table(
        name,
        rows=rows,
        files=len(files),
        bytes=size,
        bytes_a_row=round(size / rows, 1) if rows else 0.0,
        oldest=min(days, default=""),
        newest=max(days, default=""),
        staged_rows=_rows(waiting),
        staged_files=len(waiting),
        staged_bytes=sum(path.stat().st_size for path in waiting),
        small_files=sum(map(is_small, files)),
        version=table.version() if table else -1,
        removed_through=(table.transaction_version(RETAINED) or 0) if table else 0,
    )


def _rows(paths: list[Path]) -> int:
    return int(pl.scan_parquet(paths, hive_partitioning=False).select(pl.len()).collect().item()) if paths else 0


def cells(tables: Iterable[Table], *, wide: bool) -> Iterator[tuple[str, ...]]:
    """Yield the cells of :data:`HEADERS`, or of :data:`WIDE_HEADERS`."""
    for each in tables:
        narrow = (
            each.table,
            f"{each.rows:,}",
            f"{each.files:,}",
            _size(each.bytes),
            f"{each.bytes_a_row:.0f} B",
            each.oldest or "-",
            each.newest or "-",
            f"{each.staged_rows:,}",
        )
        more = (f"{each.staged_files:,}", f"{each.small_files:,}", str(each.version), str(each.removed_through))
        yield (*narrow, *more) if wide else narrow


def _size(size: int) -> str:
    """About so much, in the largest unit of which it is ten or more."""
    unit = next((unit for unit in (2**30, 2**20, 2**10) if size >= 10 * unit), 1)
    return format_size(size // unit * unit)
