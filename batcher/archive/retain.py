"""Retention in two tiers: days that are old keep what is important, days that are older keep nothing.

A day is taken as a whole, when its youngest row is old enough, and rewritten once: what is left is in files whose
names say so. The rows of table ``batches`` are added up, one a day, and stay for ever: with them the totals of all
batches can still be proven, and a lost data directory be gone on from. Which batches have lost rows is remembered in
each table, in the same commit.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import polars as pl
from deltalake import DeltaTable

from batcher.archive.compact import KEPT
from batcher.archive.important import SIGHTS, Pin, important, marks
from batcher.archive.read import open_to_read, scan
from batcher.archive.rewrite import Held, chunks, held, replace, rows_of, undisturbed, write
from batcher.archive.tables import RETAINED, explained, there
from batcher.schema import SUMS


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
    root: Path, policy: Policy, *, pins: Sequence[Pin], now: datetime, dry_run: bool = False
) -> list[Retained]:
    """Apply ``policy`` to every table that is there (:func:`retain`); incidents, by which others are judged, last."""
    ordered = sorted(there(root), key=lambda name: name == "incidents")
    with explained(root):
        return [retain(root, name, policy, pins=pins, now=now, dry_run=dry_run) for name in ordered]


def retain(
    root: Path, name: str, policy: Policy, *, pins: Sequence[Pin], now: datetime, dry_run: bool = False
) -> Retained:
    """Remove rows of the table ``name`` that ``policy`` no longer keeps.

    Safe beside batches, deliveries, readers and compaction. Raises :class:`batcher.errors.ArchiveError`.
    """
    until = horizon(policy, now)
    done: list[Retained] = []

    def work(table: DeltaTable | None) -> None:
        for date, files in groupby(held(table), key=lambda file: file.date):
            day = _Day(root, name, date, due(name, list(files), until))
            if not day.files:
                continue
            kept, removed, through = day.judged(policy, pins, until, write_them=table is not None and not dry_run)
            if table is not None and not dry_run:
                mark = max(through, table.transaction_version(RETAINED) or 0)
                marked = [(RETAINED, mark)] if removed else []
                replace(root, name, table, old=day.files, new=kept, now=now, marks=marked)
            done.append(Retained(name, 1, len(day.files), removed, sum(file.rows for file in day.files) - removed))

    if dry_run:
        work(open_to_read(root, name))
    elif _has_old(root, name, until):
        undisturbed(root, name, work)
    return Retained(name, *(sum(each[column] for each in done) for column in range(1, len(Retained._fields))))


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


def _has_old(root: Path, name: str, until: Horizon) -> bool:
    """Whether there is anything to do: a table is not opened to be written for nothing."""
    by_date = groupby(held(open_to_read(root, name)), key=lambda file: file.date)
    return any(due(name, list(files), until) for _, files in by_date)


class _Day(NamedTuple):
    """The files of a table's day that retention is about."""

    root: Path
    table: str
    date: str
    files: list[Held]

    def judged(
        self, policy: Policy, pins: Sequence[Pin], until: Horizon, *, write_them: bool
    ) -> tuple[list[Held], int, int]:
        """Return new files of the rows that stay, how many do not, and the last batch of those.

        With ``write_them`` false there are no files.
        """
        if self.table == "batches":
            return self._added_up(write_them=write_them)
        batches, removed, new = [0], 0, []
        nothing = self.date < until.important
        going_on = _going_on(self.root, until) if self.table == "summaries" else pl.Series(dtype=pl.String)
        of_incidents = marks(_incidents(self.root, self.date)) if self.table in SIGHTS and not nothing else None

        def keep(rows: pl.DataFrame) -> pl.DataFrame:
            nonlocal removed
            stay = (
                rows.clear()
                if of_incidents is None
                else important(rows, self.table, of_incidents=of_incidents, critical=policy.critical, pins=pins)
            )
            if self.table == "summaries":
                stay = rows.filter(pl.col("summary").is_in(pl.concat([stay["summary"], going_on]).implode()))
            if len(stay) < len(rows):
                batches.append(int(rows["batch"].max() or 0))  # type: ignore[call-overload]  # a number
            removed += len(rows) - len(stay)
            return stay

        for chunk in chunks(self.root, self.table, self.files, keep):
            if write_them:
                new += write(self.root, self.table, self.date, chunk.rows, kind=KEPT)
        return new, removed, max(batches)

    def _added_up(self, *, write_them: bool) -> tuple[list[Held], int, int]:
        rows = pl.concat(rows_of(self.root, self.table, file) for file in self.files).collect()
        whole = rows.select(pl.max("batch", "now"), pl.col(SUMS).fill_null(0).sum())
        new = list(write(self.root, self.table, self.date, whole, kind=KEPT)) if write_them else []
        return new, len(rows) - 1, int(whole["batch"].item())


def _going_on(root: Path, until: Horizon) -> pl.Series:
    """Summaries of which a later day has a slot: a lost data directory needs all slots of those that go on."""
    first = datetime.fromisoformat(f"{until.all}T00:00:00+00:00")
    later = scan(root, "summaries", since=first).filter(pl.col("began_at") < first)
    return later.select("summary").unique().collect().to_series()


def _incidents(root: Path, date: str) -> pl.LazyFrame:
    """Incidents that went on at ``date``: they ended on it or later, and closed within days."""
    day = datetime.fromisoformat(f"{date}T00:00:00+00:00")
    return scan(root, "incidents", since=day).filter(
        pl.col("began_at") < day + timedelta(days=1), pl.col("ended_at") >= day
    )
