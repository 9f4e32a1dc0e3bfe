"""What is to be written again though it was settled: after kcp was restored, or when somebody asks.

A restored kcp has forgotten writes that it has answered; a dead letter was given up. Both are open summaries with
nothing written from then on, and the publisher does the rest. Nothing here counts anything.
"""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from batcher.schema import LATER_KEY, OF_INCIDENTS, OPEN_SUMMARIES


def write_again(summaries: pl.LazyFrame, workspaces: Sequence[str]) -> pl.LazyFrame:
    """Return :data:`batcher.schema.OPEN_SUMMARIES` of which nothing of ``workspaces`` is known to be written."""
    forgotten = pl.col("workspace").is_in(list(workspaces))
    return summaries.with_columns(
        written_version=pl.when(forgotten).then(0).otherwise("written_version"),
        written_at=pl.when(~forgotten).then("written_at"),
        resource_version=pl.when(~forgotten).then("resource_version"),
        refusal=pl.when(forgotten).then(pl.lit("")).otherwise("refusal"),
    )


def revive(letters: pl.LazyFrame, summaries: pl.LazyFrame, *, batch: int, now: datetime) -> pl.LazyFrame:
    """Return those of ``letters`` that are not among the open ``summaries``, as open ones: ended, and unwritten.

    In and out: :data:`batcher.schema.OPEN_SUMMARIES`. Their time of waiting begins anew.
    """
    return (
        letters.join(summaries, on="summary", how="anti")
        .unique("summary", keep="last", maintain_order=True)
        .with_columns(
            pl.col(*LATER_KEY, *OF_INCIDENTS).fill_null(""),  # in letters of an older version
            version=pl.lit(batch, pl.Int64),
            closed=pl.lit(value=True),
            written_version=pl.lit(0, pl.Int64),
            written_at=pl.lit(now).cast(OPEN_SUMMARIES["written_at"]),
            resource_version=pl.lit(None, pl.String),
            refusal=pl.lit(""),
        )
        .select(*OPEN_SUMMARIES)
    )
