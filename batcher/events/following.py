"""What committed batches add, as they are committed.

A batch counts once its commit is durable, and its rows may move from the staged files to the archive while one looks:
so the numbers of batches say what was shown already, wherever the rows are. Nothing here waits.
"""

import select
from datetime import UTC, datetime

import polars as pl

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import Commit, DataDirectory
from batcher.batch.process import staged_paths
from batcher.events.chosen import Selection, condition
from batcher.schema import OCCURRENCES, empty


class Following:
    """A reader that remembers which batches it has shown."""

    def __init__(self, directory: DataDirectory, selection: Selection, after: int) -> None:
        """Follow what comes ``after`` that batch."""
        self._directory = directory
        self._selection = selection
        self._last = after

    def look(self) -> pl.DataFrame:
        """Return the revisions that were committed since the last look, by position; maybe none."""
        fresh = [commit for commit in self._directory.commits() if commit.batch > self._last]
        if not fresh:
            return empty(OCCURRENCES)
        rows = settled(lambda: self._rows(fresh)) if _has_rows(fresh) else empty(OCCURRENCES)
        self._last = fresh[-1].batch
        return rows

    def _rows(self, fresh: list[Commit]) -> pl.DataFrame:
        first = min(file.date for commit in fresh for file in commit.files if file.table == "occurrences")
        since = datetime.fromisoformat(first).replace(tzinfo=UTC)
        staged = staged_paths(self._directory)["occurrences"]
        table = scan(self._directory.archive, "occurrences", staged, since=since)
        new = (pl.col("batch") > self._last) & (pl.col("batch") <= fresh[-1].batch)
        return table.filter(new, condition(self._selection)).sort("position").collect(engine="in-memory")


def _has_rows(commits: list[Commit]) -> bool:
    return any(file.table == "occurrences" for commit in commits for file in commit.files)


def last_batch(directory: DataDirectory) -> int:
    """Return the number of the newest commit, 0 if there is none yet."""
    return max((commit.batch for commit in directory.commits()), default=0)


def reader_is_there(output: int, seconds: float) -> bool:
    """Wait so long, and return at once, False, when whoever reads from the file ``output`` has gone.

    A pipe says so only to those who write, or ask: who waits for rare Events would stay for ever.
    """
    poll = select.poll()
    poll.register(output, 0)
    return not poll.poll(seconds * 1000)
