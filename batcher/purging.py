"""A purge as a whole: archive, staged files, spool; and what remains, and until when.

The archive's rows go at once. What else there is goes the way that all goes, which is asked to hurry: staged files are
delivered and purged by the upkeep, the spool is retired behind two snapshots. Lines of the spool and of the
quarantine name no workspace, so they go with all others, or stay; that is said.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec
import polars as pl

from batcher.archive.purge import GONE_AFTER, Purge, Purged, ask, of_workspace, purge_all
from batcher.archive.read import scan, settled
from batcher.archive.vacuum import AFTER
from batcher.batch import DataDirectory, requests
from batcher.batch.process import latest, staged_paths
from batcher.batch.requests import Kind
from batcher.clock import to_micros

_OF_STATE = ("open_summaries", "open_slots", "members", "happenings", "presence", "claims", "objects", "served")


class Done(msgspec.Struct, frozen=True):
    """What was purged, and what remains."""

    workspace: str
    dry_run: bool
    tables: list[Purged]
    staged_rows: int
    """Rows of it that are staged, and go with the upkeep after their delivery."""
    spool_bytes: int
    """Of lines of every workspace; retired as soon as a service has written two snapshots."""
    state_rows: int
    """Open summaries and what else is known of the workspace until it goes quiet."""
    quarantine_bytes: int
    """Lines that could not be read, of whatever workspace: they stay until they are tried again or let go."""
    gone_by: datetime
    """When no file of archive or spool has anything of it, if a service runs."""


def purge(directory: DataDirectory, workspace: str, *, now: datetime, dry_run: bool) -> Done:
    """Purge ``workspace`` as of ``now``, durably asked for before the first row goes.

    Raises :class:`batcher.errors.ArchiveError`.
    """
    root, asked = directory.archive, Purge(workspace, now)
    if not dry_run:
        ask(root, asked)
        requests.ask(directory, Kind.RETIRE, [str(to_micros(now))])
    staged = settled(lambda: _staged(directory, asked))
    tables = purge_all(root, asked, now=now, dry_run=dry_run)
    return Done(
        workspace,
        dry_run,
        tables,
        staged_rows=staged,
        spool_bytes=sum(path.stat().st_size for path in directory.spool.iterdir()),
        state_rows=_in_state(directory, workspace),
        quarantine_bytes=sum(path.stat().st_size for path in directory.quarantine.iterdir()),
        gone_by=now + GONE_AFTER,
    )


def _staged(directory: DataDirectory, asked: Purge) -> int:
    """Rows that readers see, less those that are in the archive already."""
    rows = 0
    for name, paths in staged_paths(directory).items():
        if name in ("occurrences", "summaries", "incidents", "dead_letters"):
            goes = of_workspace(name, asked, pl.Series(dtype=pl.String))
            both = (scan(directory.archive, name, paths), scan(directory.archive, name))
            seen, there = (table.filter(goes).select(pl.len()).collect().item() for table in both)
            rows += seen - there
    return rows


def _in_state(directory: DataDirectory, workspace: str) -> int:
    state = latest(directory)[1]
    return sum(
        len(state[name].filter(pl.col("workspace") == workspace))
        for name in _OF_STATE
        if "workspace" in state[name].columns
    )


def told(done: Done) -> Iterator[str]:
    """Yield lines that say what was done, and what remains."""
    would = "would be removed" if done.dry_run else "removed"
    for each in done.tables:
        if each.rows:
            yield f"{each.table}: {each.rows:,} rows in {each.files:,} files {would}"
    if not any(each.rows for each in done.tables):
        yield f"archive: no rows of {done.workspace}"
    hours = f"{AFTER.total_seconds() / 3600:.0f} h"
    yield f"remains: files that were replaced, for {hours}, because readers may have them open"
    if done.staged_rows:
        yield f"remains: {done.staged_rows:,} staged rows, until they are delivered and the next upkeep removes them"
    if done.spool_bytes:
        yield f"remains: {done.spool_bytes:,} bytes of the spool, until a running service has written two snapshots"
    if done.state_rows:
        yield f"remains: {done.state_rows:,} rows of the state, until its summaries close and nothing is mapped to it"
    if done.quarantine_bytes:
        yield f"remains: {done.quarantine_bytes:,} bytes of lines that could not be read, of whatever workspace"
    yield f"gone by {done.gone_by:%FT%TZ}, if a service runs: archive, its history, staged files and spool"
