"""What waited too long for its workspace: an hour old, it says nothing that kcp would still have.

A workspace that is away must cost neither memory nor disk without bound. Nothing is lost by it: every row is in the
archive, and the summary becomes a dead letter, which can be retried. What goes on is never given up.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

EXPIRED = "Expired"
"""The refusal of a summary that no workspace has refused."""

FOR_EVER, ANY_NUMBER = timedelta(days=36500), 2**62


class Bounds(NamedTuple):
    """How long a summary goes on, and how long it waits."""

    window: timedelta
    """A session ends after so much silence."""
    hold: timedelta = timedelta(0)
    """What has no workspace waits so long for one."""
    max_age: timedelta = FOR_EVER
    """What has ended waits so long for its workspace to take it."""
    max_pending: int = ANY_NUMBER
    """At most so many that have ended wait; the oldest are given up."""


def is_overdue(now: datetime, bounds: Bounds) -> pl.Expr:
    """Whether an ended summary has waited too long: from its end, or its last outcome, or its revival."""
    since = pl.max_horizontal(pl.col("last_at") + bounds.window, "written_at")
    return _waits() & (pl.lit(now) - since > bounds.max_age)


def crowded_out(summaries: pl.LazyFrame, bounds: Bounds) -> pl.LazyFrame:
    """Return ``summary`` of those of :data:`batcher.schema.OPEN_SUMMARIES` that are too many to wait."""
    newest_first = summaries.filter(_waits()).sort("last_at", "summary", descending=True)
    return newest_first.slice(bounds.max_pending).select("summary")


def expire(summaries: pl.LazyFrame, crowded: pl.LazyFrame, *, now: datetime, bounds: Bounds) -> pl.LazyFrame:
    """Let those of ``summaries`` be refused as :data:`EXPIRED` that are overdue, or ``crowded`` out."""
    given_up = is_overdue(now, bounds) | pl.col("crowded").fill_null(value=False)
    return (
        summaries.join(
            crowded.with_columns(crowded=pl.lit(value=True)), on="summary", how="left", maintain_order="left"
        )
        .with_columns(
            refusal=pl.when(given_up).then(pl.lit(EXPIRED)).otherwise("refusal"),
            written_version=pl.when(given_up).then("version").otherwise("written_version"),
        )
        .drop("crowded")
    )


def _waits() -> pl.Expr:
    return pl.col("closed") & (pl.col("workspace") != "") & (pl.col("version") > pl.col("written_version"))
