"""Answers as text, JSON, CSV and Parquet.

Text of Events is anybody's. On a terminal, and in CSV, which people open in spreadsheets and print on terminals, every
control character is a space, and what a spreadsheet would take for a formula has a ``'`` in front. JSON escapes, and
Parquet has the bytes: both are exact.
"""

import base64
import contextlib
import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from batcher.errors import UsageError
from batcher.text import safe, table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
NULL = "NULL"


def as_text(schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, headers: bool, width: int | None) -> list[str]:
    """Return the lines of a table; null is :data:`NULL`."""
    cells = [[_text(value) for value in row] for row in _rows(batches)]
    names = [safe(name) for name in schema.names]
    numbers = {place for place, kind in enumerate(schema.types) if _is_number(kind)}
    lines = table(names, cells, width=width, numbers=numbers)
    return lines if headers else lines[1:]


def write_csv(schema: pa.Schema, batches: Iterable[pa.RecordBatch], to: IO[str], *, headers: bool) -> None:
    """Write rows that no spreadsheet calculates with; null is empty."""
    writer = csv.writer(to, lineterminator="\n")
    if headers:
        writer.writerow([_cell(name) for name in schema.names])
    for row in _rows(batches):
        writer.writerow(["" if value is None else _cell(value) for value in row])


def write_json(schema: pa.Schema, batches: Iterable[pa.RecordBatch], to: IO[str]) -> None:
    """Write an array of objects, a line each."""
    names, before = _distinct(schema.names), "[\n"
    for row in _rows(batches):
        to.write(before + json.dumps(dict(zip(names, map(_plain, row), strict=True))))
        before = ",\n"
    to.write("[]\n" if before == "[\n" else "\n]\n")


def write_parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: Path) -> int:
    """Write a new file, whole or not at all, and return its number of rows. Raises :class:`UsageError`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    rows = 0
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += len(batch)
        path.touch(exist_ok=False)
        partial.replace(path)
    except (FileExistsError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        why = "is there already" if isinstance(error, FileExistsError) else str(error).splitlines()[0]
        message = f"--to: {safe(str(path))}: {why}"
        raise UsageError(message) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
    return rows


def parquet_path(path: Path) -> Path:
    """Return ``path`` if a new file can be called so. Raises :class:`UsageError`."""
    why = ""
    if path.suffix != ".parquet":
        why = "results are written as Parquet; give a name that ends with .parquet"
    elif path.exists():
        why = "is there already; give another name"
    elif not path.parent.is_dir():
        why = "its folder is not there"
    if why:
        message = f"--to: {safe(str(path))}: {why}"
        raise UsageError(message)
    return path


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _text(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return NULL
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _cell(value: Any) -> str:
    """Numbers may begin with a sign; text may not."""
    plain = _text(value)
    if not isinstance(_plain(value), str):
        return plain
    said = safe(plain)
    return f"'{said}" if plain.startswith(_FORMULA) or said.startswith(_FORMULA) else said


def _plain(value: Any) -> Any:
    """What JSON has for it: times in UTC as RFC 3339, bytes in base64, no NaN."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" if value.tzinfo else value.isoformat()
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (date, time, timedelta)):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _distinct(names: Sequence[str]) -> list[str]:
    """Two columns of one name are two members of the object."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return told
