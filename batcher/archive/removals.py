"""Which batches have lost rows, so that nobody who counts rows takes that for a fault.

Retention leaves the last such batch in each table, in the commit that removes the rows. A purge, which may take rows of
any batch, notes them at the archive's root before it removes them: a note that is too early only leaves out a batch
that could have been counted. Nothing here removes anything.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import polars as pl

from batcher import store
from batcher.archive.read import open_to_read
from batcher.archive.tables import COLUMNS, RETAINED
from batcher.errors import ArchiveError
from batcher.store import Root

_PURGED = "batcher-purged"


class Removals(NamedTuple):
    """Batches of which rows were removed."""

    through: int
    """Retention has removed rows of batches up to this one; of some before it, nothing may be missing."""
    added_up: int
    """Rows of ``batches`` up to this one are added up, one a day."""
    purged: frozenset[int]

    def of(self, batch: pl.Expr) -> pl.Expr:
        """Whether rows of ``batch`` may be missing."""
        return (batch <= self.through) | batch.is_in(pl.Series(sorted(self.purged), dtype=pl.Int64).implode())


def removals(root: Root) -> Removals:
    """Return what was removed of the archive at ``root``. Raises :class:`ArchiveError`."""
    through = {name: _retained(root, name) for name in COLUMNS}
    return Removals(max(through.values()), through["batches"], frozenset(purged(root)))


def _retained(root: Root, name: str) -> int:
    table = open_to_read(root, name)
    return (table.transaction_version(RETAINED) or 0) if table else 0


def purged(root: Root) -> set[int]:
    """Return the batches of which a purge has removed rows, or was about to."""
    path = root / _PURGED
    try:
        ranges = msgspec.json.decode(store.read(path), type=list[tuple[int, int]])
    except FileNotFoundError:
        return set()
    except msgspec.DecodeError as error:
        message = f"{path}: {error}; restore it from a backup"
        raise ArchiveError(message) from None
    return {batch for first, last in ranges for batch in range(first, last + 1)}


def note_purged(root: Root, batches: Iterable[int]) -> None:
    """Remember durably that rows of ``batches`` are about to be removed."""
    those = sorted(purged(root) | set(batches))
    store.write(root / _PURGED, msgspec.json.encode(_ranges(those)))


def _ranges(batches: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for batch in batches:
        first = found.pop()[0] if found and found[-1][1] == batch - 1 else batch
        found.append((first, batch))
    return found
