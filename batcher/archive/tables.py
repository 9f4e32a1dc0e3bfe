"""The tables of an archive: their columns, how one is opened to be written, and what one says was delivered.

A table remembers the last batch that it has of each data directory, as a Delta application transaction. That number,
and no name of a file, says what is delivered: compaction replaces the files that were. Nothing here writes rows.
"""

import contextlib
from collections.abc import Iterator

import polars as pl
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from batcher import store
from batcher.archive import log
from batcher.errors import ArchiveError
from batcher.schema import BATCHES, DEAD_LETTERS, GAPS, INCIDENTS, LINKS, OCCURRENCES, SUMMARIES, Columns, empty
from batcher.staging import named
from batcher.store import Root

COLUMNS: dict[str, Columns] = {
    "occurrences": OCCURRENCES,
    "summaries": SUMMARIES,
    "incidents": INCIDENTS,
    "links": LINKS,
    "dead_letters": DEAD_LETTERS,
    "gaps": GAPS,
    "batches": BATCHES,
}
"""The tables of the archive, in the order of their delivery; each is also partitioned by ``date``.

Occurrences come first and batches last, so that what is left by a delivery that was cut short is rows without
their batch, never a batch or a slot without its rows: a take-over goes on from that.
"""

DATE = "date"

REWRITES, RETAINED = "batcher/rewrites", "batcher/retained"
"""Application transactions of a table: how often its files were replaced, and the last batch that has lost rows by
retention."""


def app(owner: str, name: str) -> str:
    """Return what the table ``name`` calls the data directory ``owner`` in its transactions."""
    return f"batcher/{owner}/{name}"


def is_delivered(table: DeltaTable, name: str, file: str) -> bool:
    """Whether ``table`` (``name``) has, or had, the rows of the staged file that is called ``file``."""
    found = named(file)
    return found is not None and found.batch <= (table.transaction_version(app(found.owner, name)) or 0)


def open_table(root: Root, name: str) -> DeltaTable:
    """Return the table ``name``, which is made if it is not there, with every column that this version knows.

    What is seen of it is durable. Call it with the table's lock (:func:`batcher.archive.log.alone`).
    """
    path = root / name
    log.mend(path)
    schema = empty({**COLUMNS[name], DATE: pl.String}).to_arrow().schema
    table = DeltaTable.create(**store.table(path), schema=schema, mode="ignore", partition_by=[DATE], name=name)
    log.sync(path, table.version())
    known = {field.name for field in table.schema().fields}
    added = [field for field in Schema.from_arrow(schema).fields if field.name not in known]
    if added:
        table.alter.add_columns(added)
        log.sync(path, table.version())
    return table


@contextlib.contextmanager
def explained(root: Root) -> Iterator[None]:
    """Tell what deltalake, polars and the system say of an archive as one line (:class:`ArchiveError`)."""
    try:
        yield
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        message = f"archive {root}: {store.said(root, error)[:300]}"
        raise ArchiveError(message) from error


def there(root: Root) -> list[str]:
    """Return the names of the tables that the archive at ``root`` has so far."""
    return [name for name in COLUMNS if log.is_table(root / name)]


def refuse_newer(table: DeltaTable, name: str) -> None:
    """Raise :class:`ArchiveError` if ``table`` has columns that this version would lose by writing rows again."""
    unknown = [field.name for field in table.schema().fields if field.name not in {*COLUMNS[name], DATE}]
    if unknown:
        message = f"archive table {name}: a newer version added {', '.join(unknown)}; upgrade batcher to rewrite it"
        raise ArchiveError(message)
