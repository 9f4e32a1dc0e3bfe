"""Compaction: the thousands of small files of a day become a few that are sorted.

A day that is over is compacted as soon as it has two small files; today's as soon as it has so many that reading
suffers. What is rewritten is added to later, until it is large enough and is left alone: a row is written again about
as often as a file has to grow to that. Every row stays, and those that an older version wrote get the columns of this
one, as nulls. One commit a file, so that nothing large is ever lost to somebody who was faster.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from deltalake import DeltaTable

from batcher.archive import log
from batcher.archive.read import open_to_read
from batcher.archive.rewrite import ROWS, Held, chunks, held, replace, undisturbed, write
from batcher.archive.tables import explained, there
from batcher.store import Root

FULL, PART, KEPT = "full", "part", "kept"
"""How names of rewritten files begin: large enough; may grow; what retention has left."""
AT_LEAST_TODAY = 8
"""Small files of today that are worth a rewriting; of a day that is over, two."""
AT_LEAST = 2
_LARGE = ROWS // 2


class Compacted(NamedTuple):
    """What compaction did, or would do."""

    table: str
    files: int
    """Small files that were replaced."""
    into: int
    rows: int
    before: int
    """Bytes of those files."""
    after: int
    """Bytes of the new ones; 0 in a dry run."""


def compact(
    root: Root, name: str, *, now: datetime, today_from: int = AT_LEAST_TODAY, dry_run: bool = False
) -> Compacted:
    """Compact the table ``name``; ``today_from`` is how many small files of today are worth it.

    Safe beside batches, deliveries, readers and another compaction. Raises :class:`batcher.errors.ArchiveError`.
    """
    done: list[Compacted] = []
    today = f"{now:%F}"
    if dry_run:
        files = worth(held(open_to_read(root, name)), today=today, today_from=today_from)
        return Compacted(name, len(files), 0, sum(file.rows for file in files), sum(file.size for file in files), 0)

    def work(table: DeltaTable) -> None:
        files = worth(held(table), today=today, today_from=today_from)
        for each in _compacted(root, name, table, files, now):
            done.append(each)  # noqa: PERF402  what is committed counts, also if the next is not
        if done:
            with log.alone(root / name):
                table.create_checkpoint()
                log.sync(root / name, table.version())

    undisturbed(root, name, work)
    return total(name, done)


def total(name: str, done: Sequence[Compacted]) -> Compacted:
    """Return all of ``done`` as one."""
    sums = {
        "files": sum(each.files for each in done),
        "into": sum(each.into for each in done),
        "rows": sum(each.rows for each in done),
        "before": sum(each.before for each in done),
        "after": sum(each.after for each in done),
    }
    return Compacted(name, **sums)


def compact_all(
    root: Root, *, now: datetime, today_from: int = AT_LEAST_TODAY, dry_run: bool = False
) -> list[Compacted]:
    """Compact every table that is there; see :func:`compact`."""
    with explained(root):
        return [compact(root, name, now=now, today_from=today_from, dry_run=dry_run) for name in there(root)]


def worth(files: Sequence[Held], *, today: str, today_from: int) -> list[Held]:
    """Return the small files of each date that has enough of them."""
    small = [file for file in files if is_small(file)]
    by_date = [(date, list(some)) for date, some in groupby(small, key=lambda file: file.date)]
    return [file for date, some in by_date if len(some) >= (AT_LEAST if date < today else today_from) for file in some]


def is_small(file: Held) -> bool:
    """Whether ``file`` is to be rewritten with others: staged, or compacted and not yet large."""
    kind = file.name.partition("-")[0]
    return kind not in {FULL, KEPT} and not (kind == PART and file.rows >= _LARGE)


def _compacted(root: Root, name: str, table: DeltaTable, files: Sequence[Held], now: datetime) -> Iterator[Compacted]:
    for date, some in groupby(files, key=lambda file: file.date):
        for chunk in chunks(root, name, some, keep=lambda rows: rows):
            new = list(write(root, name, date, chunk.rows, kind=FULL if chunk.is_full else PART))
            replace(root, name, table, old=chunk.files, new=new, now=now)
            sizes = sum(file.size for file in chunk.files), sum(file.size for file in new)
            yield Compacted(name, len(chunk.files), len(new), len(chunk.rows), *sizes)
