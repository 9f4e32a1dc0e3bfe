"""Count occurrences by the growth of a cumulative count, so that nothing resent counts twice.

A row is a new revision iff its resourceVersion is above all that were seen of its counting identity before
it, in order of position; what it adds is what its count grew by. Which process, watch or list delivered a
row makes no difference. An event that expired is created again by client-go under a new uid, with its old
count: such an identity, when unknown, adds one.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import OCCURRENCE

_GENERATION = (*OCCURRENCE, "generation")


def deduplicate(lines: pl.LazyFrame, seen: pl.LazyFrame, *, event_ttl: timedelta) -> pl.LazyFrame:
    """Add ``is_new, grew, recreated, since_at``, and what :func:`remember` needs; sorted by position.

    In: columns of :func:`batcher.stages.measure.measure`, and :data:`batcher.schema.SEEN`. ``since_at`` is
    the earliest time that the counted growth can be said to have begun. An identity that was silent for
    longer than :func:`forgotten` keeps it begins a new generation, whether the state still has it or not:
    else it would depend on where a batch was cut.
    """
    known = seen.join(lines.select(OCCURRENCE).unique(), on=OCCURRENCE, how="semi").select(
        *OCCURRENCE, "touched_at", seen_version="resource_version", seen_count="count"
    )
    is_new = pl.col("resource_version") > _before(pl.col("resource_version").cum_max(), "seen_version")
    counted = pl.when("is_new").then("count").otherwise(0).cum_max()
    unknown = pl.col("count_before") == 0
    recreated = unknown & pl.col("is_new") & (pl.col("created_at") - pl.col("first_at") >= event_ttl)
    growth = pl.max_horizontal(pl.col("count") - pl.col("count_before"), 0)
    return (
        lines.join(known, on=OCCURRENCE, how="left")
        .sort("position")
        .with_columns(generation=_generation(event_ttl))
        .with_columns(_of_this_generation("seen_version"), _of_this_generation("seen_count"))
        .with_columns(is_new=is_new)
        .with_columns(count_before=_before(counted, "seen_count"))
        .with_columns(recreated=recreated)
        .with_columns(
            grew=pl.when(~pl.col("is_new")).then(0).when("recreated").then(1).otherwise(growth),
            since_at=pl.when(unknown & ~pl.col("recreated")).then("first_at").otherwise("last_at"),
        )
        .drop("count_before", "touched_at")
    )


def _generation(event_ttl: timedelta) -> pl.Expr:
    """How often the identity was silent for too long since the state saw it; the rows are by position."""
    before = pl.coalesce(pl.col("received_at").shift(1).over(OCCURRENCE), "touched_at")
    silent = (pl.col("received_at") - before > _kept(event_ttl)).fill_null(value=False)
    return silent.cum_sum().over(OCCURRENCE)


def _of_this_generation(seen: str) -> pl.Expr:
    return pl.when(pl.col("generation") == 0).then(seen).fill_null(0).alias(seen)


def _before(running: pl.Expr, seen: str) -> pl.Expr:
    """``running`` up to the row before, within the generation, and not below what the state has ``seen``.

    The rows are sorted by position when this is read.
    """
    earlier = running.shift(1).over(_GENERATION)
    return pl.max_horizontal(earlier.fill_null(0), seen)


def _kept(event_ttl: timedelta) -> timedelta:
    """How long an identity is kept: by then the cluster has dropped the event a TTL ago."""
    return 2 * event_ttl


def remember(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the :data:`batcher.schema.SEEN` rows of all identities in ``rows``, to replace those in state."""
    newest = pl.col("generation") == pl.max("generation")
    return rows.group_by(OCCURRENCE).agg(
        resource_version=pl.max_horizontal(pl.col("resource_version", "seen_version").filter(newest).max()),
        count=pl.max_horizontal(
            pl.col("count").filter(newest & pl.col("is_new")).max().fill_null(0),
            pl.col("seen_count").filter(newest).max(),
        ),
        touched_at=pl.max("received_at"),
    )


def forgotten(seen: pl.LazyFrame, *, now: datetime, event_ttl: timedelta) -> pl.LazyFrame:
    """Return the identities (:data:`batcher.schema.OCCURRENCE`) silent for more than two TTLs.

    The cluster has dropped such an event an hour ago or more; should it come back, it is recognised as
    re-created by its timestamps alone.
    """
    return seen.filter(pl.col("touched_at") < now - _kept(event_ttl)).select(OCCURRENCE)
