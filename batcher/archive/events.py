"""The question of ``kubectl events``, asked of the archive: which Events are there, and how often each.

An Event is one object of a cluster (its uid); the newest revision tells its count and message. Nothing here
makes text safe for a terminal: that is done where it is printed.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import polars as pl

from batcher.settings import duration_flag
from batcher.text import ago

HEADERS = ("LAST SEEN", "CLUSTER", "NAMESPACE", "TYPE", "REASON", "COUNT", "OBJECT", "MESSAGE")


class Selection(NamedTuple):
    """What to show; an empty string asks for no restriction."""

    namespace: str = ""
    cluster: str = ""
    types: str = ""
    since: str = ""


def newest(occurrences: pl.LazyFrame, selection: Selection, *, now: datetime) -> pl.DataFrame:
    """Return one row an Event, oldest first: the columns of ``occurrences``, of its newest revision.

    Raises :class:`UsageError` for a ``since`` that is no duration.
    """
    for column in ("namespace", "cluster"):
        value = getattr(selection, column)
        if value:
            occurrences = occurrences.filter(pl.col(column) == value)
    if selection.types:
        wanted = [name.strip().lower() for name in selection.types.split(",")]
        occurrences = occurrences.filter(pl.col("type").str.to_lowercase().is_in(wanted))
    if selection.since:
        occurrences = occurrences.filter(pl.col("received_at") >= now - duration_flag("--since", selection.since))
    return (
        occurrences.sort("position")
        .group_by("cluster_uid", "uid", maintain_order=True)
        .last()
        .sort("last_at", "position")
        .collect(engine="in-memory")
    )


def rows(found: pl.DataFrame, *, now: datetime) -> Iterator[tuple[str, ...]]:
    """Yield the cells of :data:`HEADERS` for each row that :func:`newest` returned."""
    for event in found.iter_rows(named=True):
        yield (
            ago(event["last_at"], now),
            event["cluster"],
            event["namespace"],
            event["type"],
            event["reason"],
            str(event["count"]),
            f"{event['regarding_kind'].lower()}/{event['regarding_name']}",
            event["message"],
        )
