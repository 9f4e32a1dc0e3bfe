"""Open summaries to be written again, asked for by hand."""

import contextlib
from collections.abc import Sequence

import polars as pl

from batcher.batch import Batches, DataDirectory, Work
from batcher.batch.process import latest, rules_of_last
from batcher.errors import UsageError
from batcher.spool.log import Log
from batcher.text import safe


def chosen(directory: DataDirectory, workspace: str = "") -> dict[str, int]:
    """Return how many open summaries each workspace has, or only ``workspace``; those without one are left out.

    Raises :class:`UsageError` if ``workspace`` has none.
    """
    summaries = latest(directory)[1]["open_summaries"].filter(pl.col("workspace") != "")
    counted: dict[str, int] = dict(summaries.group_by("workspace").len().sort("workspace").iter_rows())
    if workspace and workspace not in counted:
        known = ", ".join(map(safe, counted)) or "none"
        message = f"--workspace {safe(workspace)}: has no open summary; workspaces that have: {known}"
        raise UsageError(message)
    return {workspace: counted[workspace]} if workspace else counted


def resync_here(directory: DataDirectory, workspaces: Sequence[str]) -> None:
    """Let the state forget what was written to ``workspaces``, in a batch of its own.

    Raises :class:`batcher.errors.InUse` if a service runs: ask that one.
    """
    log = Log(directory.spool, directory.quarantine)
    with directory.owned(), contextlib.closing(log):
        batches = Batches(directory, log.read, rules_of_last(directory))
        batches.load()
        batches.finish()
        batches.next(Work(batches.end, batches.last.now, [], resync=workspaces))
