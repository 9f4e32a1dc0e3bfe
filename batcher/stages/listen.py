"""How long each cluster was listened to: the time in which its Events live and are forgotten.

Silence is measured in time of contact, not by the clock on the wall. While a cluster is out of reach nothing
of it is forgotten, so that what is still there afterwards goes on from its count; only after a month is it taken
for gone, or its identities would be kept for ever.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from batcher.schema import CLOCKS

LONGEST_STEP = timedelta(minutes=5)
"""Between two contacts; a watch that is connected writes one a minute, so more was no listening."""
GONE = timedelta(days=30)
"""A silence that is longer counts in full."""


def run_clocks(contacts: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Return :data:`batcher.schema.CLOCKS` at each contact.

    In: :data:`batcher.schema.CONTACTS`, and the clocks after the batch before. ``heard`` grows by the time
    between contacts, each at most :data:`LONGEST_STEP` unless the cluster was :data:`GONE`; any stream of a
    cluster counts for all of it.
    """
    moments = contacts.group_by("cluster_key", "received_at").agg(pl.last("cluster"))
    since = pl.col("received_at") - pl.col("received_at").shift(1).over("cluster_key")
    step = _step(since).fill_null(0)
    return (
        pl.concat([known.with_columns(is_known=pl.lit(value=True)), moments], how="diagonal")
        .sort("cluster_key", "received_at", "is_known", nulls_last=True)
        .with_columns(heard=pl.coalesce("heard", step).cum_sum().over("cluster_key"))
        .filter(pl.col("is_known").is_null())
        .select(*CLOCKS)
    )


def _step(since: pl.Expr) -> pl.Expr:
    """What the clock gains by a silence, in microseconds; a longer one never gives less."""
    return pl.when(since > GONE).then(since).otherwise(since.clip(timedelta(0), LONGEST_STEP)).dt.total_microseconds()


def as_of(clocks: pl.LazyFrame, now: datetime) -> pl.LazyFrame:
    """Return ``cluster_key, cluster, heard`` of ``clocks``, those of clusters advanced that are gone ``now``.

    Never above what the next contact will find.
    """
    since = pl.lit(now) - pl.col("received_at")
    gained = pl.when(since > GONE).then(_step(since)).otherwise(0)
    return clocks.select("cluster_key", "cluster", heard=pl.col("heard") + gained)


def last_clocks(clocks: pl.LazyFrame) -> pl.LazyFrame:
    """Return the newest of each cluster's ``clocks``, :data:`batcher.schema.CLOCKS`."""
    return clocks.sort("received_at", "heard").group_by("cluster_key").last().select(*CLOCKS)


def listen(lines: pl.LazyFrame, clocks: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``heard``, the clock of its cluster when a row was received; 0 for what was not received in this batch.

    In: ``cluster_key, received_at``; the clocks of :func:`run_clocks`.
    """
    moments = clocks.select("cluster_key", "received_at", "heard")
    return lines.join(moments, on=("cluster_key", "received_at"), how="left").with_columns(pl.col("heard").fill_null(0))


def lifetime(event_ttl: Mapping[str, timedelta], otherwise: timedelta) -> pl.Expr:
    """Return how long the cluster of the column ``cluster`` keeps an Event that nobody touches."""
    if not event_ttl:
        return pl.lit(otherwise)
    return pl.col("cluster").replace_strict(
        list(event_ttl), list(event_ttl.values()), default=otherwise, return_dtype=pl.Duration("us")
    )
