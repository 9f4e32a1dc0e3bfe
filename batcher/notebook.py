"""What the notebooks share: the tables as an analyst reads them, and a way to show text that nobody vouches for.

A notebook's page runs what stands in it: HTML is rendered, and what stands between dollar signs or behind a backslash
is typeset as mathematics, in tables and plots alike. Event text is written by anyone, so it is shown by :class:`Table`
and :func:`label` only. Files of the archive are opened for reading; nothing here writes, and the plots' library, which
the service does not need, is imported where it is used.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from batcher.archive import scan
from batcher.archive.read import files
from batcher.batch import DataDirectory
from batcher.batch.process import latest, staged_paths
from batcher.errors import UsageError
from batcher.pipeline import State, still_open
from batcher.schema import INCIDENTS, SUMMARIES
from batcher.stages.announce import ID
from batcher.store import Root, Store
from batcher.text import cut, safe, table

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
"""Told apart by everybody: Okabe and Ito, "Color Universal Design" (2008)."""
ALARM = COLOURS[5]
"""For what a reader should look at first."""
_WIDEST = 100
_CLUSTER = pl.Struct({"cluster": pl.String, "occurrences": pl.Int64, "first_seen": pl.String})
_MEMBER = pl.Struct(
    {
        **dict.fromkeys(("summary", "cluster", "namespace", "kind", "name", "reason"), pl.String()),
        "occurrences": pl.Int64,
        "first_seen": pl.String,
        "last_seen": pl.String,
    }
)
_JSON: dict[str, pl.DataType] = {
    "clusters": pl.List(_CLUSTER),
    "absent": pl.List(pl.String),
    "namespaces": pl.List(pl.String),
    "member_list": pl.List(_MEMBER),
}


@dataclass(frozen=True)
class Archive:
    """The tables of an archive; of a data directory also what was not delivered to it yet, and what goes on."""

    root: Root
    directory: DataDirectory | None = None

    @classmethod
    def at(cls, path: str | Path) -> "Archive":
        """Return the archive at ``path``, or that of the data directory at ``path``.

        Raises :class:`UsageError` if there is neither.
        """
        directory = DataDirectory(Path(path))
        if (directory.root / "format").exists():
            directory.check()
            return cls(directory.archive, directory)
        if any((directory.root / name / "_delta_log").exists() for name in ("batches", "occurrences")):
            return cls(directory.root)
        message = f"{path}: neither an archive nor a data directory; make one with: make demo"
        raise UsageError(message)

    def scan(self, table: str, *, since: datetime | None = None, until: datetime | None = None) -> pl.LazyFrame:
        """Return a table for polars. Days before ``since`` and after ``until`` are not read; rows are not chosen."""
        return scan(self.root, table, self._staged(table), since=since, until=until)

    def files(self, table: str, *, since: datetime | None = None, until: datetime | None = None) -> list[str]:
        """Return the Parquet files of the same, for DuckDB; at least one, so that there are columns."""
        if isinstance(self.root, Store):
            message = f"{self.root}: DuckDB reads folders only; ask with polars, or a copy: batcher archive export"
            raise UsageError(message)
        paths = files(self.root, table, self._staged(table), since=since, until=until)
        return [str(path) for path in paths or files(self.root, table, self._staged(table))]

    def heard(self) -> tuple[datetime, datetime]:
        """Return when the first and the last Event was received. Raises :class:`UsageError` if there is none."""
        at = pl.col("received_at")
        first, last = self.scan("occurrences").select(first=at.min(), last=at.max()).collect().row(0)
        if first is None:
            message = f"{self.root}: no Event was received yet"
            raise UsageError(message)
        return first, last

    def summaries(self, *, since: datetime | None = None) -> pl.DataFrame:
        """Return :data:`batcher.schema.SUMMARIES`: slots that are closed, and those that go on; maybe not those that
        closed on days before ``since``.
        """
        closed = self.scan("summaries", since=since).collect()
        if self.directory is None:
            return closed
        return _with_open(closed, self._state()["open_slots"], of=("summary", "slot")).select(*SUMMARIES)

    def incidents(self) -> pl.DataFrame:
        """Return :data:`batcher.schema.INCIDENTS`, with lists in place of JSON: those that ended, and those that go on
        (without ``batch``), most occurrences first.
        """
        ended = self.scan("incidents").collect()
        every = ended if self.directory is None else _with_open(ended, still_open(self._state()), of=("incident",))
        lists = [pl.col(name).str.json_decode(kind) for name, kind in _JSON.items()]
        return every.select(*INCIDENTS).with_columns(lists).sort("occurrences", "incident", descending=[True, False])

    def incident(self, name: str = "") -> dict[str, Any]:
        """Return the row of the incident whose id begins with ``name``; without one, that with most occurrences.

        Raises :class:`UsageError` if there is none.
        """
        found = self.incidents().filter(pl.col("incident").str.starts_with(name.lower()))
        if found.is_empty():
            message = f"no incident {safe(name)}".rstrip() + f" in {self.root}; see: batcher incidents list"
            raise UsageError(message)
        return found.row(0, named=True)

    def _staged(self, table: str) -> Sequence[Path]:
        return staged_paths(self.directory)[table] if self.directory else ()

    def _state(self) -> State:
        if self.directory is None:
            message = "an archive alone has no state"
            raise AssertionError(message)
        return latest(self.directory)[1]


def _with_open(closed: pl.DataFrame, open_: pl.DataFrame, *, of: tuple[str, ...]) -> pl.DataFrame:
    """One frame of both; what was closed since the state was read is told once."""
    return pl.concat([closed, open_.join(closed, on=of, how="anti")], how="diagonal")


def id_of(column: str = "incident") -> pl.Expr:
    """The ID of an incident, as ``batcher incidents`` and the Event's label show it."""
    return pl.col(column).str.slice(0, ID).alias("id")


class Table:
    """The first rows of a frame, to be looked at: as HTML in a notebook, as text anywhere else."""

    def __init__(self, frame: pl.DataFrame, rows: int = 25) -> None:
        """Show at most ``rows`` of ``frame``."""
        self.frame = frame
        self._rows = rows

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{_harmless(name)}</th>" for name in self._headers())
        body = "".join(f"<tr>{''.join(self._cells(row))}</tr>" for row in self._texts())
        # No typesetting of mathematics within, by MathJax 2 and 3.
        return (
            '<div class="tex2jax_ignore mathjax_ignore"><table>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{html.escape(self._rest())}</div>"
        )

    def __repr__(self) -> str:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Return the same for a terminal."""
        numbers = {column for column, is_number in enumerate(self._numeric()) if is_number}
        return "\n".join([*table(self._headers(), self._texts(), numbers=numbers), *filter(None, [self._rest()])])

    def _headers(self) -> list[str]:
        return [shown(name).replace("_", " ") for name in self.frame.columns]

    def _numeric(self) -> list[bool]:
        return [kind.is_numeric() for kind in self.frame.dtypes]

    def _texts(self) -> Iterator[list[str]]:
        for row in self.frame.head(self._rows).iter_rows():
            yield [shown(value) for value in row]

    def _cells(self, row: Sequence[str]) -> Iterator[str]:
        for text, is_number in zip(row, self._numeric(), strict=True):
            yield f'<td style="text-align: {"right" if is_number else "left"}">{_harmless(text)}</td>'

    def _rest(self) -> str:
        more = self.frame.height - self._rows
        return f"... and {more:,} more" if more > 0 else ""


def shown(value: object) -> str:
    """Return a value as a cell of a :class:`Table` has it."""
    if isinstance(value, list):
        return cut(", ".join(shown(each) for each in value), _WIDEST)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else cut(safe(str(value)), _WIDEST)


def _harmless(text: str) -> str:
    """Text as HTML that stays text; what begins mathematics is in an element of its own, where nobody looks for it."""
    return html.escape(text).replace("\\", "<span>\\</span>").replace("$", "<span>$</span>")


def label(text: str, width: int = 40) -> str:
    """Return ``text`` for a plot: one line, of letters that every font has; others as Python escapes them."""
    return cut(safe(text).encode("ascii", "backslashreplace").decode("ascii"), width)


def charts() -> Any:
    """Return ``matplotlib.pyplot``, set to take all text for text, and to be readable at the width of a notebook."""
    import matplotlib.pyplot as plt  # noqa: PLC0415  of the extra "notebooks"

    plt.rcParams.update(
        {
            "text.parse_math": False,
            "text.usetex": False,
            "figure.dpi": 100,
            "figure.figsize": (9.5, 4),
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 12,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "timezone": "UTC",
        }
    )
    return plt
