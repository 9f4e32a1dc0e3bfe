"""Which clusters workloads of a workspace run in, so that an incident can say in how many of them it is not.

A cluster is one of a workspace's while a Namespace there claims the workspace, and for a day after an Event of it was
mapped there: a cluster without troubles still tells of Pods that come and go. Asks nobody, and counts nothing.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import PRESENCE

REMEMBERED = timedelta(days=1)
"""How long a cluster is one of a workspace's after its last Event there."""
_KEY = ("workspace", "cluster_uid")


def reach(known: pl.LazyFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return what :data:`batcher.schema.PRESENCE` has to hold after ``rows``: where a cluster was seen.

    In: ``workspace`` (empty: unmapped), ``cluster_uid``, ``cluster``, ``received_at``, ``position``.
    """
    times = pl.col("received_at").sort()
    seen = (
        rows.filter(pl.col("workspace") != "")
        .group_by(_KEY)
        .agg(
            pl.col("cluster").sort_by("position").last(),
            new_at=times.filter(times.diff() > REMEMBERED).last(),
            first_at=pl.min("received_at"),
            seen_at=pl.max("received_at"),
        )
    )
    before = known.select(*_KEY, was_first="first_at", was_seen="seen_at")
    goes_on = pl.col("first_at") - pl.col("was_seen") <= REMEMBERED
    first = pl.when(goes_on).then("was_first").otherwise("first_at")
    return (
        seen.join(before, on=_KEY, how="left")
        .with_columns(first_at=pl.coalesce("new_at", first), seen_at=pl.max_horizontal("seen_at", "was_seen"))
        .select(*PRESENCE)
    )


def outdated(known: pl.LazyFrame, now: datetime) -> pl.LazyFrame:
    """Return the key of what the state need not hold any more."""
    return known.filter(pl.lit(now) - pl.col("seen_at") > REMEMBERED).select(_KEY)


def clusters_of(presence: pl.LazyFrame, claimed: pl.LazyFrame) -> pl.LazyFrame:
    """Return the clusters of each workspace, ``workspace, cluster_uid, cluster, first_at``, once each.

    In: :data:`batcher.schema.PRESENCE`, and ``claimed``, the same of what Namespaces claim now.
    """
    columns = (*_KEY, "cluster", "first_at")
    both = pl.concat([presence.select(columns), claimed.select(columns)])
    return both.group_by(_KEY).agg(pl.col("cluster").sort_by("first_at", "cluster").last(), pl.min("first_at"))
