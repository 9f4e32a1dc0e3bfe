"""Rows copied out of the archive, for somebody who has neither it nor batcher: Parquet, CSV or JSON lines.

One file a table and day, so that a year needs no more memory than a day does. What is there already is not written
over. In CSV, which people open in spreadsheets and print on terminals, every control character is a space, and what a
spreadsheet would take for a formula gets a quote before it; Parquet and JSON, which escapes, have every text as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from batcher.archive.read import scan, settled
from batcher.archive.tables import COLUMNS, explained
from batcher.errors import UsageError
from batcher.staging import DATED_BY
from batcher.store import Root
from batcher.text import INVISIBLE, escaped

Format = Literal["parquet", "csv", "json"]

_ENDING = {"parquet": "parquet", "csv": "csv", "json": "jsonl"}
_CONTROL = f"[{INVISIBLE}]+"
_FORMULA = r"^([=+\-@])"
"""TAB and CR, which may hide one, are control characters."""
_ROWS = 10_000
"""Of JSON at a time: it is made as text."""


class Exported(NamedTuple):
    """A file that was written."""

    table: str
    date: str
    path: str
    rows: int


def export(
    root: Root,
    staged: Mapping[str, Iterable[Path]],
    tables: Sequence[str],
    *,
    since: datetime,
    until: datetime,
    into: Path,
    form: Format,
) -> Iterator[Exported]:
    """Write the rows from ``since`` and before ``until`` of ``tables`` below ``into``, and yield each file.

    The time of a row is the column that dates it (:data:`batcher.staging.DATED_BY`). Raises :class:`UsageError` for a
    table that is none, and if ``into`` has files already.
    """
    for name in tables:
        if name not in COLUMNS:
            message = f"--table {name}: no such table; there are: {', '.join(COLUMNS)}"
            raise UsageError(message)
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        message = f"-o {into}: is there and not empty; give a folder that is new"
        raise UsageError(message)
    for name in tables:
        for day in _days(since, until):
            begin, end = max(since, day), min(until, day + timedelta(days=1))
            rows = _rows(root, staged, name, begin, end)
            if len(rows):
                path = into / name / f"{day:%F}.{_ENDING[form]}"
                with explained(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    _write(rows, path, form)
                yield Exported(name, f"{day:%F}", str(path), len(rows))


def _days(since: datetime, until: datetime) -> Iterator[datetime]:
    day = since.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < until:
        yield day
        day += timedelta(days=1)


def _rows(root: Root, staged: Mapping[str, Iterable[Path]], name: str, begin: datetime, end: datetime) -> pl.DataFrame:
    dated = pl.col(DATED_BY[name])

    def read() -> pl.DataFrame:
        table = scan(root, name, staged.get(name, ()), since=begin, until=end)
        return table.filter(dated >= begin, dated < end).collect()

    rows = settled(read)
    order = [column for column in (DATED_BY[name], "position", "batch") if column in rows.columns]
    return rows.sort(order, maintain_order=True)


def _write(rows: pl.DataFrame, path: Path, form: Format) -> None:
    if form == "parquet":
        rows.write_parquet(path, compression="zstd")
    elif form == "json":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(escaped(some.write_ndjson()) for some in rows.iter_slices(_ROWS))
    else:
        readable = pl.col(pl.String).str.replace_all(_CONTROL, " ").str.strip_chars()
        harmless = readable.str.replace(_FORMULA, "'$1")
        rows.with_columns(harmless).write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
