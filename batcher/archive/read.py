"""The tables as a reader sees them: delivered files and staged ones as one frame.

Opens nothing for writing, and holds nothing open: a reader never stands in the way of a batch.
"""

import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from batcher import store
from batcher.archive.tables import COLUMNS, DATE, is_delivered
from batcher.errors import ArchiveError
from batcher.schema import empty
from batcher.store import Root, Store

T = TypeVar("T")

ATTEMPTS = 3


def scan(
    root: Root,
    table: str,
    staged: Iterable[Path] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pl.LazyFrame:
    """Return ``table`` of the archive at ``root``, and the ``staged`` files it does not have yet.

    With ``since`` and ``until``, delivered files of days before and after them are left out. A staged file of a batch
    that the table has is left out, whether its rows are in a file of the same name or were compacted since.

    Columns as in :data:`batcher.archive.tables.COLUMNS`, null where a file is older than a column. Raises
    :class:`ArchiveError` if it is unreadable.
    """
    paths = files(root, table, staged, since=since, until=until)
    if not paths:
        return empty(COLUMNS[table]).lazy()
    return store.rows(paths, COLUMNS[table])


def files(
    root: Root,
    table: str,
    staged: Iterable[Path] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Root]:
    """Return the files that :func:`scan` of the same reads; each row of the table is in one of them."""
    opened = open_to_read(root, table)
    days = f"{since:%F}" if since else "", f"{until:%F}" if until else "9999"
    delivered = [path for path in paths_of(root / table, opened) if days[0] <= day_of(path) <= days[1]]
    return [*delivered, *(path for path in staged if not (opened and is_delivered(opened, table, path.name)))]


def open_to_read(root: Root, table: str) -> DeltaTable | None:
    """Return ``table`` as it is now, None if nothing was delivered to it yet. Raises :class:`ArchiveError`."""
    path = root / table
    try:
        if isinstance(path, Path) and not DeltaTable.is_deltatable(str(path)):
            return None
        return DeltaTable(**store.table(path))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        message = f"archive table {path}: {store.said(path, error)}"
        raise ArchiveError(message) from error


def paths_of(place: Root, table: DeltaTable | None) -> list[Root]:
    """Return the files whose rows are in ``table``, which is at ``place``."""
    uris = table.file_uris() if table else []
    if isinstance(place, Store):
        return [place / uri.removeprefix(f"{place}/") for uri in uris]
    return [Path(unquote(urlsplit(uri).path)) for uri in uris]


def day_of(path: Root) -> str:
    """Return the date of a file's partition, such as ``2026-11-23``."""
    return path.parent.name.removeprefix(f"{DATE}=")


def settled(read: Callable[[], T]) -> T:
    """Return what ``read`` returns, reading again when a file has moved from staged to delivered meanwhile.

    Raises :class:`ArchiveError` when it keeps failing: then a file is really missing or damaged.
    """
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError, pl.exceptions.ComputeError):
            return read()
    try:
        return read()
    except (OSError, pl.exceptions.ComputeError) as error:
        message = f"archive: {store.said(None, error)[:300]}"
        raise ArchiveError(message) from error
