"""What a cluster has and nobody has counted: the question of an audit."""

import polars as pl

from batcher.schema import OCCURRENCE


def missing(revisions: pl.LazyFrame, seen: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``index`` of the ``revisions`` that are above all that ``seen`` knows of their identity, in order.

    In: ``index, identity_high, identity_low, resource_version``; :data:`batcher.schema.SEEN`.
    """
    known = seen.join(revisions.select(OCCURRENCE).unique(), on=OCCURRENCE, how="semi").select(
        *OCCURRENCE, known="resource_version"
    )
    unseen = pl.col("resource_version") > pl.col("known").fill_null(0)
    return revisions.join(known, on=OCCURRENCE, how="left").filter(unseen).select("index").sort("index")
