"""Files of the archive, written before they are anybody's: one a table, a batch and a date.

A staged file has its final name from the start, so that delivering it twice is delivering it once. The name
is made of the data directory's id and the batch's number, never of event text. Nothing here commits.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl
import pyarrow.parquet

from batcher import disk

DATED_BY = {
    "occurrences": "received_at",
    "summaries": "closed_at",
    "incidents": "closed_at",
    "links": "final_at",
    "dead_letters": "died_at",
    "gaps": "to_at",
    "batches": "now",
    "quarantine": "received_at",
    "retries": "at",
    "revivals": "at",
}
"""The tables, each with the column whose UTC date partitions it."""

KEPT = ("quarantine", "retries", "revivals")
"""The tables that stay in the data directory."""

DELIVERED = tuple(table for table in DATED_BY if table not in KEPT)
"""The tables of the archive."""


class StagedFile(msgspec.Struct, frozen=True):
    """A Parquet file of ``table``; ``name`` is its path below the table's root, in the archive and here."""

    table: str
    batch: int
    date: str
    name: str
    rows: int
    size: int
    digest: str


class Name(NamedTuple):
    """What the name of a staged file says."""

    owner: str
    """The id of the data directory that staged it."""
    batch: int


_NAME = re.compile(r"([0-9a-f]{16})-([0-9]{12})\.parquet")


def named(file: str) -> Name | None:
    """Return what the name ``file`` (without its folder) says; None if it is no staged file's."""
    found = _NAME.fullmatch(file)
    return Name(found[1], int(found[2])) if found else None


def stage(root: Path, table: str, frame: pl.DataFrame, *, batch: int, owner: str) -> Iterator[StagedFile]:
    """Write ``frame`` below ``root/table``, one file a date, durably; an empty frame writes nothing."""
    dates = frame.select(date=pl.col(DATED_BY[table]).dt.strftime("%Y-%m-%d"))["date"]
    different = dates.unique().sort()
    for date in different:
        rows = frame if len(different) == 1 else frame.filter(dates == date)
        data = encoded_quickly(rows, timed_by=DATED_BY[table])
        name = f"date={date}/{owner}-{batch:012d}.parquet"
        path = root / table / name
        disk.make_directory(path.parent)
        disk.write_file(path, data)
        yield StagedFile(table, batch, date, name, len(rows), len(data), disk.digest(data))


def encoded(rows: pl.DataFrame, *, level: int = 3, group_rows: int | None = None) -> bytes:
    """Return ``rows`` as the bytes of a file, in row groups of ``group_rows``."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd", compression_level=level, row_group_size=group_rows)
    return buffer.getvalue()


def encoded_quickly(rows: pl.DataFrame, *, timed_by: str) -> bytes:
    """Return the same for what is written again within hours, or small: a third of the time for a tenth more bytes."""
    buffer = io.BytesIO()
    table = rows.to_arrow(compat_level=pl.CompatLevel.newest())  # as it lies in memory, or each text is copied first
    pyarrow.parquet.write_table(table, buffer, compression="zstd", write_statistics=[timed_by], store_schema=False)
    return buffer.getvalue()
