"""What a cluster has and nobody has counted: the question of an audit."""

import polars as pl

from batcher.schema import OCCURRENCE


def missing(revisions: pl.LazyFrame, seen: pl.LazyFrame, *, incarnation: int) -> pl.LazyFrame:
    """Return ``index`` of the ``revisions`` of an ``incarnation`` that are above all that was ``seen``, in order.

    In: ``index, identity_high, identity_low, resource_version``; :data:`batcher.schema.SEEN`.
    """
    known = seen.join(revisions.select(OCCURRENCE).unique(), on=OCCURRENCE, how="semi").select(
        *OCCURRENCE, "incarnation", known="resource_version"
    )
    earlier = pl.col("incarnation").fill_null(-1) < incarnation
    unseen = earlier | ((pl.col("incarnation") == incarnation) & (pl.col("resource_version") > pl.col("known")))
    return revisions.join(known, on=OCCURRENCE, how="left").filter(unseen).select("index").sort("index")
