"""Quarantined lines, and what became of them and of dead letters when they were tried again.

A line has left quarantine when a committed batch says so; it is never removed, so that the sums can be added up
again.
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from batcher import disk
from batcher.batch import requests
from batcher.batch.directory import DataDirectory
from batcher.batch.requests import Kind
from batcher.errors import DataDirError
from batcher.schema import QUARANTINE, RETRIES, REVIVALS, Columns, empty
from batcher.staging import KEPT
from batcher.telemetry import Fate

LINES_A_BATCH = 1000
"""At most so many lines of quarantine are tried again in a batch; the others wait for the next one."""


def quarantined(directory: DataDirectory, through: int) -> pl.LazyFrame:
    """Return :data:`batcher.schema.QUARANTINE` of the batches up to ``through``."""
    return _scan(kept_paths(directory, "quarantine", through), QUARANTINE).with_columns(
        pl.col("incarnation").fill_null(0)  # rows of format 1
    )


def retries(directory: DataDirectory, through: int) -> pl.LazyFrame:
    """Return :data:`batcher.schema.RETRIES` of the batches up to ``through``."""
    return _scan(kept_paths(directory, "retries", through), RETRIES)


def revivals(directory: DataDirectory, through: int) -> pl.LazyFrame:
    """Return :data:`batcher.schema.REVIVALS` of the batches up to ``through``."""
    return _scan(kept_paths(directory, "revivals", through), REVIVALS)


def left(tried: pl.LazyFrame) -> pl.LazyFrame:
    """Return those of :data:`batcher.schema.RETRIES` with which a line left quarantine."""
    return tried.filter(pl.col("fate") != Fate.QUARANTINED.value)


def causes(directory: DataDirectory, through: int) -> dict[str, int]:
    """Return how many lines are in quarantine after batch ``through``, by cause.

    Raises :class:`DataDirError` if it cannot be read.
    """
    waiting = quarantined(directory, through).join(left(retries(directory, through)), on="position", how="anti")
    return dict(collected(waiting.group_by("cause").len().sort("cause")).iter_rows())


def kept_paths(directory: DataDirectory, table: str, through: int) -> list[Path]:
    """Return the files of a table of :data:`batcher.staging.KEPT`, of batches up to ``through``.

    They stay when the commits that name them are retired, so they are looked for.
    """
    paths = sorted((directory.staged / table).glob("date=*/*.parquet"))
    return [path for path in paths if _batch(path) <= through]


def discard(directory: DataDirectory, batch: int) -> None:
    """Remove what ``batch`` staged and did not commit: run again by another version, it may not write it again."""
    for table in KEPT:
        for path in (directory.staged / table).glob("date=*/*.parquet"):
            if _batch(path) == batch:
                disk.remove(path)


def _batch(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _scan(paths: list[Path], columns: Columns) -> pl.LazyFrame:
    if not paths:
        return empty(columns).lazy()
    return pl.scan_parquet(
        paths, schema=columns, hive_partitioning=False, missing_columns="insert", extra_columns="ignore"
    )


def collected(rows: pl.LazyFrame) -> pl.DataFrame:
    """Return what ``rows`` of these tables are. Raises :class:`DataDirError` if a file is damaged or gone."""
    try:
        return rows.collect(engine="in-memory")
    except (pl.exceptions.PolarsError, OSError) as error:
        message = f"quarantine: {' '.join(str(error).split())[:300]}"
        raise DataDirError(message) from error


def ask(directory: DataDirectory, positions: Iterable[int]) -> None:
    """Ask durably that the lines at ``positions`` be tried again; raise :class:`DataDirError` if it cannot be."""
    requests.ask(directory, Kind.RETRY, map(str, positions))


def asked(directory: DataDirectory) -> list[int]:
    """Return the positions of the lines that are asked for, in order."""
    return sorted(int(name) for name in requests.asked(directory, Kind.RETRY) if name.isdecimal())


def requests_of(positions: Iterable[int]) -> list[str]:
    """Return the names under which the lines at ``positions`` stand in a plan."""
    return requests.requests(Kind.RETRY, map(str, positions))


def positions_of(among: Iterable[str]) -> list[int]:
    """Return the positions of the lines ``among`` the requests of a plan; requests of another kind have none."""
    return [int(name) for name in requests.named(Kind.RETRY, among)]
