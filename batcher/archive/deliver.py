"""Register staged files in their Delta tables, once.

A table remembers the last batch it has of this data directory (a Delta application transaction), and
deltalake does not refuse a repeat, so that number is read first; after a failure of unknown outcome the
table is opened again, and the number tells. What it tells is on disk before anybody relies on it, see
:mod:`batcher.archive.log`. Nothing is ever computed again here.
"""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from batcher import store
from batcher.archive import log
from batcher.archive.owner import confirm_owner
from batcher.archive.tables import COLUMNS, DATE, app, open_table
from batcher.errors import ArchiveError, UsageError
from batcher.staging import StagedFile
from batcher.store import Root

__all__ = ["COLUMNS", "Deliverer"]


class Deliverer:
    """Delivers the staged files of one data directory to the archive at ``root``."""

    def __init__(self, root: Root, staged: Path, owner: str, *, last: int | None = None) -> None:
        """Take files from ``staged``; ``owner`` is the data directory's id, and part of each transaction.

        ``last`` is the directory's last batch by now: an archive that has later ones of it has gone on without it.
        """
        self._root = root
        self._staged = staged
        self._owner = owner
        self._begun = last
        self._confirmed: set[str] = set()
        self._tables: dict[str, DeltaTable] = {}
        self._has: dict[str, int] = {}
        self._one_at_a_time = threading.Lock()

    def deliver(self, files: Sequence[StagedFile]) -> dict[str, int]:
        """Register ``files`` and return the last batch that each table has now.

        Raises :class:`ArchiveError` when the archive cannot be written; what was registered before that
        stays, and the next call goes on behind it. Raises :class:`batcher.errors.UsageError` when another data
        directory has taken the archive over, or an older copy of this one was put back.
        """
        with self._one_at_a_time:  # that of a service which stops may find another one under way
            return self._deliver_all(files)

    def _deliver_all(self, files: Sequence[StagedFile]) -> dict[str, int]:
        try:
            confirm_owner(self._root, self._owner)
            return {name: self._deliver(name, [f for f in files if f.table == name]) for name in COLUMNS}
        except (DeltaError, OSError) as error:
            self._tables.clear()
            self._has.clear()
            message = f"archive {self._root}: {store.said(self._root, error)}"
            raise ArchiveError(message) from error

    def _deliver(self, name: str, files: list[StagedFile]) -> int:
        table = self._table(name)
        if name not in self._has:  # nobody else raises it, and a store is asked for the whole log
            self._has[name] = table.transaction_version(app(self._owner, name)) or 0
            self._confirm(name, self._has[name])
        has = self._has[name]
        new = [file for file in files if file.batch > has]
        if not new:
            return max([has, *(file.batch for file in files)])
        for file in new:
            self._copy(file)
        through = max(file.batch for file in new)
        with log.alone(self._root / name):
            table.create_write_transaction(
                [_add(file) for file in new],
                mode="append",
                schema=table.schema(),
                partition_by=[DATE],
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(app(self._owner, name), through)],
                ),
            )
            table.update_incremental()
            log.sync(self._root / name, table.version())
        self._has[name] = through
        return through

    def _confirm(self, name: str, has: int) -> None:
        """Refuse a table that had a later batch than the directory at the start: rows of another of that number would
        be taken for delivered.
        """
        if name not in self._confirmed and self._begun is not None and has > self._begun:
            message = (
                f"archive {self._root}: had batch {has} of this data directory, whose last was {self._begun}: an older "
                "copy of it was put back; put back the archive of that moment too, or --take-over with a new --data-dir"
            )
            raise UsageError(message)
        self._confirmed.add(name)

    def _table(self, name: str) -> DeltaTable:
        if name not in self._tables:
            with log.alone(self._root / name):
                self._tables[name] = open_table(self._root, name)
        return self._tables[name]

    def _copy(self, file: StagedFile) -> None:
        store.write(self._root / file.table / file.name, (self._staged / file.table / file.name).read_bytes())


def _add(file: StagedFile) -> AddAction:
    return AddAction(
        path=file.name,
        size=file.size,
        partition_values={DATE: file.date},
        modification_time=0,
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )
