"""Files of a table replaced by others in one commit: what compaction, retention and purges have in common.

deltalake takes a commit that removes files for an append, and lets two of them pass that both replaced the same file:
its rows would be there twice. So each rewriting is numbered by an application transaction of the table, and of two
with the same number the second is refused; whoever lost looks at the table again. New files have names of their own,
written durably before the commit that names them: a kill leaves the table as it was, or as it was to be, and at most
a file that nobody names (:mod:`batcher.archive.vacuum`). Nothing here decides which rows stay.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from batcher import store
from batcher.archive import log
from batcher.archive.tables import COLUMNS, DATE, REWRITES, open_table, refuse_newer
from batcher.clock import to_micros
from batcher.errors import ArchiveError
from batcher.staging import encoded
from batcher.store import Root

T = TypeVar("T")

ROWS = 200_000
"""Rows of a file that is large enough; a chunk has as many and those of one file more."""
BYTES = 96 * 2**20
"""Of rows in memory, at which a chunk is cut however few they are. Reading, sorting and writing take copies, so that a
rewriting holds 500 to 800 MiB, whatever the length of messages; at twice as many, up to 950 were measured."""
GROUP_ROWS = 25_000
"""Rows of a row group: what a question about one namespace has to read of a file."""
ATTEMPTS = 5
LEVEL = 9

ORDER = {
    "occurrences": ("namespace", "regarding_name", "name", "position"),
    "summaries": ("target_namespace", "regarding_name", "reason", "position"),
    "incidents": ("workspace", "began_at", "incident"),
    "links": ("target_namespace", "effect_name", "effect_position"),
    "dead_letters": ("target_namespace", "summary", "batch"),
    "gaps": ("cluster_uid", "scope", "from_at"),
    "batches": ("batch",),
}
"""How the rows of a file are sorted: by place, because files are of a day already, and then alike beside alike: an
Event that was repeated costs its counts and times, and a question about a namespace opens the row groups it is in."""


class Held(NamedTuple):
    """A file of a table, as its log has it."""

    path: str
    """Below the table's root."""
    date: str
    rows: int
    size: int

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return self.path.rpartition("/")[2]


def held(table: DeltaTable | None) -> list[Held]:
    """Return the files of ``table`` by date and name; none of one that is not there."""
    if table is None:
        return []
    found = pl.DataFrame(table.get_add_actions(flatten=True))
    if found.is_empty():
        return []
    columns = found.select("path", f"partition.{DATE}", pl.col("num_records").fill_null(0), "size_bytes")
    return sorted((Held(*row) for row in columns.iter_rows()), key=lambda file: (file.date, file.path))


def rows_of(root: Root, name: str, file: Held) -> pl.LazyFrame:
    """Return the rows of a file of the table ``name``: its columns, null where the file is older than one."""
    return store.rows([root / name / file.path], COLUMNS[name])


class Chunk(NamedTuple):
    """Files that are read at once, and what is kept of their rows."""

    files: list[Held]
    rows: pl.DataFrame
    is_full: bool
    """Whether it was cut because it is large enough."""


def chunks(
    root: Root, name: str, files: Iterable[Held], keep: Callable[[pl.DataFrame], pl.DataFrame]
) -> Iterator[Chunk]:
    """Yield what ``keep`` leaves of ``files``, as many at a time as memory and the size of a file allow."""
    some: list[Held] = []
    parts: list[pl.DataFrame] = []
    for file in files:
        some.append(file)
        parts.append(keep(rows_of(root, name, file).collect()))
        if sum(map(len, parts)) >= ROWS or sum(part.estimated_size() for part in parts) >= BYTES:
            yield Chunk(some, pl.concat(parts), is_full=True)
            some, parts = [], []
    if some:
        yield Chunk(some, pl.concat(parts), is_full=False)


def write(root: Root, name: str, date: str, rows: pl.DataFrame, *, kind: str) -> Iterator[Held]:
    """Write ``rows`` durably as a file that no log names yet; none if there are none. ``kind`` begins its name."""
    if rows.is_empty():
        return
    path = f"{DATE}={date}/{kind}-{secrets.token_hex(8)}.parquet"
    data = encoded(rows.sort(ORDER[name]), level=LEVEL, group_rows=GROUP_ROWS)
    store.write(root / name / path, data)
    yield Held(path, date, len(rows), len(data))


def replace(
    root: Root,
    name: str,
    table: DeltaTable,
    *,
    old: Sequence[Held],
    new: Sequence[Held],
    now: datetime,
    marks: Sequence[tuple[str, int]] = (),
) -> None:
    """Put ``new`` files in the place of ``old`` ones, whole or not at all, and durably.

    ``marks`` are application transactions to be raised with it. Raises :class:`CommitFailedError` if somebody else
    has rewritten files of ``table`` since it was opened.
    """
    same = sum(file.rows for file in old) == sum(file.rows for file in new)
    turn = (table.transaction_version(REWRITES) or 0) + 1
    with log.alone(root / name):
        table.create_write_transaction(
            [
                *(_added(file, changes=not same) for file in new),
                *(_removed(file, now, changes=not same) for file in old),
            ],
            mode="append",
            schema=table.schema(),
            partition_by=[DATE],
            commit_properties=CommitProperties(
                app_transactions=[Transaction(app, version) for app, version in ((REWRITES, turn), *marks)]
            ),
        )
        table.update_incremental()
        log.sync(root / name, table.version())


def opened(root: Root, name: str) -> DeltaTable:
    """Return the table ``name`` to be rewritten, with the columns of this version; its versions are durable."""
    with log.alone(root / name):
        table = open_table(root, name)
    refuse_newer(table, name)
    return table


def undisturbed(root: Root, name: str, work: Callable[[DeltaTable], T]) -> T:
    """Return what ``work`` returns of the table ``name``; if another rewriting came first, open it and do it again.

    Raises :class:`ArchiveError` if that goes on.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return work(opened(root, name))
        except CommitFailedError:
            continue
    try:
        return work(opened(root, name))
    except CommitFailedError as error:
        message = f"archive table {root / name}: others rewrite it all the time: {store.said(root, error)}"
        raise ArchiveError(message) from error


def _added(file: Held, *, changes: bool) -> AddAction:
    """Statistics are the number of rows alone: the log outlives a purge, and must hold no text of Events."""
    return AddAction(file.path, file.size, {DATE: file.date}, 0, changes, json.dumps({"numRecords": file.rows}))


def _removed(file: Held, now: datetime, *, changes: bool) -> RemoveAction:
    return RemoveAction(file.path, changes, to_micros(now) // 1000, file.size, {DATE: file.date})
