"""Register staged files in their Delta tables, once.

A table remembers the last batch it has of this data directory (a Delta application transaction), and
deltalake does not refuse a repeat, so that number is read first; after a failure of unknown outcome the
table is opened again, and the number tells. What it tells is on disk before anybody relies on it, see
:mod:`batcher.archive.log`. A table of an older version is given the columns that it lacks. Nothing is ever
computed again here.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from batcher import disk
from batcher.archive import log
from batcher.archive.owner import confirm_owner
from batcher.errors import ArchiveError
from batcher.schema import BATCHES, DEAD_LETTERS, GAPS, INCIDENTS, LINKS, OCCURRENCES, SUMMARIES, Columns, empty
from batcher.staging import StagedFile

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


class Deliverer:
    """Delivers the staged files of one data directory to the archive at ``root``."""

    def __init__(self, root: Path, staged: Path, owner: str) -> None:
        """Take files from ``staged``; ``owner`` is the data directory's id, and part of each transaction."""
        self._root = root
        self._staged = staged
        self._owner = owner
        self._tables: dict[str, DeltaTable] = {}

    def deliver(self, files: Sequence[StagedFile]) -> dict[str, int]:
        """Register ``files`` and return the last batch that each table has now.

        Raises :class:`ArchiveError` when the archive cannot be written; what was registered before that
        stays, and the next call goes on behind it. Raises :class:`batcher.errors.UsageError` when another data
        directory has taken the archive over.
        """
        try:
            confirm_owner(self._root, self._owner)
            return {name: self._deliver(name, [f for f in files if f.table == name]) for name in COLUMNS}
        except (DeltaError, OSError) as error:
            self._tables.clear()
            message = f"archive {self._root}: {' '.join(str(error).split())}"
            raise ArchiveError(message) from error

    def _deliver(self, name: str, files: list[StagedFile]) -> int:
        table = self._table(name)
        app = f"batcher/{self._owner}/{name}"
        has = table.transaction_version(app) or 0
        new = [file for file in files if file.batch > has]
        if not new:
            return max([has, *(file.batch for file in files)])
        for file in new:
            self._copy(file)
        through = max(file.batch for file in new)
        table.create_write_transaction(
            [_add(file) for file in new],
            mode="append",
            schema=table.schema(),
            partition_by=["date"],
            commit_properties=CommitProperties(app_transactions=[Transaction(app, through)]),
        )
        table.update_incremental()
        log.sync(self._root / name, table.version())
        return through

    def _table(self, name: str) -> DeltaTable:
        if name not in self._tables:
            columns: Columns = {**COLUMNS[name], "date": pl.String}
            log.mend(self._root / name)
            schema = empty(columns).to_arrow().schema
            table = DeltaTable.create(self._root / name, schema, mode="ignore", partition_by=["date"], name=name)
            log.sync(self._root / name, table.version())
            known = {field.name for field in table.schema().fields}
            added = [field for field in Schema.from_arrow(schema).fields if field.name not in known]
            if added:
                table.alter.add_columns(added)
                log.sync(self._root / name, table.version())
            self._tables[name] = table
        return self._tables[name]

    def _copy(self, file: StagedFile) -> None:
        target = self._root / file.table / file.name
        disk.make_directory(target.parent)
        disk.write_file(target, (self._staged / file.table / file.name).read_bytes())


def _add(file: StagedFile) -> AddAction:
    return AddAction(
        path=file.name,
        size=file.size,
        partition_values={"date": file.date},
        modification_time=0,
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )
