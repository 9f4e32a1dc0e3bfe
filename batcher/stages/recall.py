"""What was counted already of the identities of lines that are tried again, however long ago.

A quarantined line may be tried again a week later, when the state has long forgotten its identity. So the plan
holds what the archive says of it, and its identity is not silent, whatever the clock says: else what came of
it meanwhile would be counted twice.
"""

import polars as pl

from batcher.schema import OCCURRENCE, SEEN, Columns

KNOWN: Columns = {name: SEEN[name] for name in (*OCCURRENCE, "incarnation", "resource_version", "count")}
"""What the archive says of an identity: its latest incarnation, the largest version of that, the largest count."""


def heard_now(lines: pl.LazyFrame, clocks: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``heard``, the clock of its cluster after the batch before (:data:`batcher.schema.CLOCKS`), to each line."""
    now = clocks.select("cluster_key", "heard")
    return lines.join(now, on="cluster_key", how="left").with_columns(pl.col("heard").fill_null(0))


def recall(seen: pl.LazyFrame, known: pl.LazyFrame, lines: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``seen`` (:data:`batcher.schema.SEEN`) with the identities of ``lines`` as if touched just now.

    In: ``known``, :data:`KNOWN`, for those that the state does not have; lines of :func:`heard_now`.
    """
    identities = lines.select(*OCCURRENCE, "cluster_key", touched="heard").unique(OCCURRENCE)
    first = pl.concat([seen.select(*KNOWN), known.select(*KNOWN)])
    both = first.join(identities, on=OCCURRENCE, maintain_order="left")
    touched = both.unique(OCCURRENCE, keep="first", maintain_order=True).select(*SEEN)
    return pl.concat([seen.join(identities, on=OCCURRENCE, how="anti"), touched])
