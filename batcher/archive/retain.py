"""Retention in two tiers: days that are old keep what is important, days that are older keep nothing.

A day is taken as a whole, when its youngest row is old enough, and rewritten once: what is left is in files whose
names say so. The rows of table ``batches`` are added up, one a day, and stay for ever: with them the totals of all
batches can still be proven, and a lost data directory be gone on from. Which batches have lost rows is remembered in
each table, in the same commit.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import polars as pl
from deltalake import DeltaTable

from batcher.archive.compact import KEPT
from batcher.archive.important import SIGHTS, Pin, important, marks
from batcher.archive.read import open_to_read, scan
from batcher.archive.rewrite import Held, chunks, held, replace, rows_of, undisturbed, write
from batcher.archive.tables import RETAINED, explained, there
from batcher.schema import SUMS
from batcher.store import Root


class Policy(NamedTuple):
    """For how long rows are kept, and which of them longer."""

    retention: timedelta = timedelta(days=30)
    important: timedelta = timedelta(days=365)
    critical: tuple[str, ...] = ()
    """Reasons that are critical beside those of :mod:`batcher.stages.grade`."""


class Retained(NamedTuple):
    """What retention did, or would do, in a table."""

    table: str
    days: int
    """Days that were rewritten, or removed."""
    files: int
    """Files that were replaced."""
    removed: int
    """Rows."""
    kept: int
    """Rows of those days that stay."""


class Horizon(NamedTuple):
    """Dates before which rows are not kept."""

    all: str
    important: str


def horizon(policy: Policy, now: datetime) -> Horizon:
    """Return the first dates that are kept as they are, and the first of which anything is."""
    return Horizon(f"{now - policy.retention:%F}", f"{now - policy.important:%F}")


def retain_all(
    root: Root, policy: Policy, *, pins: Sequence[Pin], now: datetime, dry_run: bool = False
) -> list[Retained]:
    """Apply ``policy`` to every table that is there (:func:`retain`); incidents, by which others are judged, last."""
    ordered = sorted(there(root), key=lambda name: name == "incidents")
    with explained(root):
        return [retain(root, name, policy, pins=pins, now=now, dry_run=dry_run) for name in ordered]


def retain(
    root: Root, name: str, policy: Policy, *, pins: Sequence[Pin], now: datetime, dry_run: bool = False
) -> Retained:
    """Remove rows of the table ``name`` that ``policy`` no longer keeps.

    Safe beside batches, deliveries, readers and compaction. Raises :class:`batcher.errors.ArchiveError`.
    """
    until = horizon(policy, now)
    done: list[Retained] = []

    def work(table: DeltaTable | None) -> None:
        for date, files in groupby(held(table), key=lambda file: file.date):
            old = due(name, list(files), until)
            if table is None or not old:
                continue
            day = _Day(root, name, date, policy=policy, pins=pins, until=until, write_them=not dry_run)
            judged = day.added_up(old) if name == "batches" else day.judged(old)
            if not dry_run and (judged.removed or not all(map(_is_kept, old))):
                mark = max(judged.through, table.transaction_version(RETAINED) or 0)
                marked = [(RETAINED, mark)] if judged.removed else []
                replace(root, name, table, old=old, new=judged.new, now=now, marks=marked)
            done.append(Retained(name, 1, len(old), judged.removed, sum(file.rows for file in old) - judged.removed))

    if dry_run:
        work(open_to_read(root, name))
    elif _has_old(root, name, until):
        undisturbed(root, name, work)
    days, files = len(done), sum(each.files for each in done)
    return Retained(name, days, files, sum(each.removed for each in done), sum(each.kept for each in done))


def due(name: str, files: Sequence[Held], until: Horizon) -> list[Held]:
    """Return those of a day's ``files`` that are to be rewritten or removed."""
    if not files or files[0].date >= until.all:
        return []
    if name == "batches":  # they are added up together
        return [] if all(_is_kept(file) for file in files) and len(files) == 1 else [*files]
    if files[0].date < until.important:
        return [*files]
    return [file for file in files if not _is_kept(file)] if name in SIGHTS else []


def _is_kept(file: Held) -> bool:
    return file.name.startswith(f"{KEPT}-")


def _has_old(root: Root, name: str, until: Horizon) -> bool:
    """Whether there is anything to do: a table is not opened to be written for nothing."""
    by_date = groupby(held(open_to_read(root, name)), key=lambda file: file.date)
    return any(due(name, list(files), until) for _, files in by_date)


class _Judged(NamedTuple):
    """What is left of a day, and what is not."""

    new: list[Held]
    """Files of the rows that stay; none in a dry run."""
    removed: int
    through: int
    """The last batch that may have lost rows."""


class _Day:
    """A day of a table, as retention sees it."""

    def __init__(
        self,
        root: Root,
        table: str,
        date: str,
        *,
        policy: Policy,
        pins: Sequence[Pin],
        until: Horizon,
        write_them: bool,
    ) -> None:
        self._root = root
        self._table = table
        self._date = date
        self._critical = policy.critical
        self._pins = pins
        self._is_over = date < until.important
        self._writes = write_them
        self._going_on = _going_on(root, until) if table == "summaries" else pl.Series(dtype=pl.String)
        self._marks = marks(_incidents(root, date)) if table in SIGHTS and not self._is_over else None

    def judged(self, files: Sequence[Held]) -> _Judged:
        """Return what is left of ``files`` when rows that are not important are."""
        new: list[Held] = []
        removed, through = 0, 0
        for chunk in chunks(self._root, self._table, files, self._staying):
            gone = sum(file.rows for file in chunk.files) - len(chunk.rows)
            if gone:
                removed, through = removed + gone, max(through, *map(self._last_batch, chunk.files))
            new += self._written(chunk.rows)
        return _Judged(new, removed, through)

    def added_up(self, files: Sequence[Held]) -> _Judged:
        """Return the rows of ``batches`` as one, which has their sums."""
        rows = pl.concat(rows_of(self._root, self._table, file) for file in files).collect()
        whole = rows.select(pl.max("batch", "now"), pl.col(SUMS).fill_null(0).sum())
        return _Judged(self._written(whole), len(rows) - 1, int(whole["batch"].item()))

    def _staying(self, rows: pl.DataFrame) -> pl.DataFrame:
        stay = rows.clear()
        if self._marks is not None:
            stay = important(rows, self._table, of_incidents=self._marks, critical=self._critical, pins=self._pins)
        if self._table != "summaries":
            return stay
        whole = pl.concat([stay["summary"], self._going_on])
        return rows.filter(pl.col("summary").is_in(whole.implode()))

    def _last_batch(self, file: Held) -> int:
        return int(rows_of(self._root, self._table, file).select(pl.max("batch")).collect().item())

    def _written(self, rows: pl.DataFrame) -> list[Held]:
        return list(write(self._root, self._table, self._date, rows, kind=KEPT)) if self._writes else []


def _going_on(root: Root, until: Horizon) -> pl.Series:
    """Summaries of which a later day has a slot: a lost data directory needs all slots of those that go on."""
    first = datetime.fromisoformat(f"{until.all}T00:00:00+00:00")
    later = scan(root, "summaries", since=first).filter(pl.col("began_at") < first)
    return later.select("summary").unique().collect().to_series()


def _incidents(root: Root, date: str) -> pl.LazyFrame:
    """Incidents that went on at ``date``: they ended on it or later, and closed within days."""
    day = datetime.fromisoformat(f"{date}T00:00:00+00:00")
    return scan(root, "incidents", since=day).filter(
        pl.col("began_at") < day + timedelta(days=1), pl.col("ended_at") >= day
    )
