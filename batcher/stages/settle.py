"""What the outcomes of publishing mean for open summaries, and which of them have ended.

A summary ends once: ``published`` when its last totals are in its workspace, ``dead_lettered`` when its
workspace refused them for good, ``archived`` when it had no workspace.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import NOBODYS, Columns

OUTCOMES: Columns = {
    "summary": pl.String,
    "version": pl.Int64,
    "resource_version": pl.String,
    "written": pl.Boolean,
    "refusal": pl.String,
    "at": pl.Datetime("us", "UTC"),
}
"""Input: at most one row a summary, the newest. ``written`` or refused for good; ``refusal`` says why."""


def settle(summaries: pl.LazyFrame, outcomes: pl.LazyFrame) -> pl.LazyFrame:
    """Apply ``outcomes`` to :data:`batcher.schema.OPEN_SUMMARIES`; columns stay the same.

    A refused version counts as handled: it is tried again when there are newer totals.
    """
    told = outcomes.select(
        "summary", "written", told_version="version", told_rv="resource_version", told_at="at", why="refusal"
    )
    handled = pl.col("told_version").is_not_null()
    written = pl.col("written").fill_null(value=False)
    return (
        summaries.join(told, on="summary", how="left")
        .with_columns(
            written_version=pl.max_horizontal("written_version", "told_version"),
            written_at=pl.when(handled).then("told_at").otherwise("written_at"),
            resource_version=pl.when(written).then("told_rv").otherwise("resource_version"),
            writes=pl.col("writes") + written.cast(pl.Int64),
            refusal=pl.when(handled).then(pl.col("why").fill_null("")).otherwise("refusal"),
        )
        .drop("written", "told_version", "told_rv", "told_at", "why")
    )


def ending(now: datetime, hold: timedelta) -> pl.Expr:
    """``published``, ``dead_lettered`` or ``archived`` for an open summary that has ended, else null.

    One without a workspace waits for one for ``hold``; nobody's (:data:`NOBODYS`) waits for nothing.
    """
    handled = pl.col("written_version") >= pl.col("version")
    waits = (pl.lit(now) - pl.col("last_at") <= hold) & (pl.col("unmapped_uid") != NOBODYS)
    end = (
        pl.when((pl.col("workspace") == "") & waits).then(None)
        .when(pl.col("workspace") == "").then(pl.lit("archived"))
        .when(handled & (pl.col("refusal") != "")).then(pl.lit("dead_lettered"))
        .when(handled).then(pl.lit("published"))
    )  # fmt: skip
    return pl.when("closed").then(end)


def due(summaries: pl.LazyFrame, *, now: datetime, rewrite_after: timedelta, rewrite_most: timedelta) -> pl.LazyFrame:
    """Return the summaries to write now: new ones, closed ones, and others at a doubling interval.

    After its n-th write a summary waits ``rewrite_after`` x 2^(n-1), at most ``rewrite_most``: about twenty
    revisions a write instead of one.
    """
    wait = pl.min_horizontal(
        rewrite_after.total_seconds() * 2.0 ** (pl.col("writes") - 1).clip(0, 32),
        rewrite_most.total_seconds(),
    )
    waited = (pl.lit(now) - pl.col("written_at")).dt.total_microseconds() / 1e6
    dirty = pl.col("version") > pl.col("written_version")
    first = pl.col("written_at").is_null()
    return summaries.filter((pl.col("workspace") != "") & dirty & (first | pl.col("closed") | (waited >= wait)))
