"""The question of ``kubectl events``, asked of all clusters at once, of the archive and of what is not in it yet.

An Event is one object of a cluster (its uid); the newest revision tells its count and message. Reads only, and may be
asked while a service runs. Nothing here makes text safe for a terminal: that is done where it is printed.
"""

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.events.chosen import LIMIT, Selection, chosen
from batcher.events.following import Following, last_batch, reader_is_there
from batcher.events.listed import newest
from batcher.events.objects import as_list, as_object
from batcher.events.shown import HEADERS, NUMBERS, SORTED_BY, WIDE_HEADERS, in_order, name, ordering, rows


def found(directory: DataDirectory, selection: Selection, *, now: datetime, limit: int = LIMIT) -> pl.DataFrame:
    """Return one row an Event that ``selection`` chooses, the last seen last, at most ``limit`` of them (0: all).

    The columns of ``occurrences``, of the newest revision. Raises :class:`batcher.errors.ArchiveError`.
    """

    def look() -> pl.DataFrame:
        staged = staged_paths(directory)["occurrences"]
        table = scan(directory.archive, "occurrences", staged, since=selection.since)
        return newest(table, selection, now=now, limit=limit)

    return settled(look)


def added(directory: DataDirectory, selection: Selection, *, after: int) -> Iterator[pl.DataFrame]:
    """Yield the revisions that ``selection`` chooses of each commit after batch ``after``, as they are committed.

    By position, and an empty frame whenever there is nothing new: whoever asks waits then, and asks again. Ends never.
    """
    following = Following(directory, selection, after)
    while True:
        yield following.look()


__all__ = [
    "HEADERS", "LIMIT", "NUMBERS", "SORTED_BY", "WIDE_HEADERS", "Selection", "added", "as_list", "as_object", "chosen",
    "found", "in_order", "last_batch", "name", "newest", "ordering", "reader_is_there", "rows",
]  # fmt: skip
