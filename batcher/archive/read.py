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
from deltalake.exceptions import DeltaError

from batcher.archive.deliver import COLUMNS
from batcher.errors import ArchiveError
from batcher.schema import empty

T = TypeVar("T")

ATTEMPTS = 3


def scan(root: Path, table: str, staged: Iterable[Path] = (), *, since: datetime | None = None) -> pl.LazyFrame:
    """Return ``table`` of the archive at ``root``, and the ``staged`` files it does not have yet.

    With ``since``, delivered files of days before it are left out.

    Columns as in :data:`batcher.archive.deliver.COLUMNS`, null where a file is older than a column. Raises
    :class:`ArchiveError` if it is unreadable.
    """
    paths = files(root, table, staged, since=since)
    if not paths:
        return empty(COLUMNS[table]).lazy()
    return pl.scan_parquet(
        paths, schema=COLUMNS[table], hive_partitioning=False, missing_columns="insert", extra_columns="ignore"
    )


def files(root: Path, table: str, staged: Iterable[Path] = (), *, since: datetime | None = None) -> list[Path]:
    """Return the files that :func:`scan` of the same reads; each row of the table is in one of them."""
    delivered = [path for path in _delivered(root / table) if since is None or path.parent.name >= f"date={since:%F}"]
    names = {path.name for path in delivered}
    return [*delivered, *(path for path in staged if path.name not in names)]


def settled(read: Callable[[], T]) -> T:
    """Return what ``read`` returns, reading again when a file has moved from staged to delivered meanwhile.

    Raises :class:`ArchiveError` when it keeps failing: then a file is really missing or damaged.
    """
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError, pl.exceptions.ComputeError):
            return read()
    try:
        return read()
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        message = f"archive: {' '.join(str(error).split())[:300]}"
        raise ArchiveError(message) from error


def _delivered(path: Path) -> list[Path]:
    try:
        if not DeltaTable.is_deltatable(str(path)):
            return []
        return [Path(unquote(urlsplit(uri).path)) for uri in DeltaTable(path).file_uris()]
    except (DeltaError, OSError) as error:
        message = f"archive table {path}: {' '.join(str(error).split())}"
        raise ArchiveError(message) from error
