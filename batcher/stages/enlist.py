"""Which incident a summary is a member of: it is told with the incident's label from then on.

The newest incident counts that a summary has become a member of; the end of one takes no label away. A summary that
is alone so far does not end before it has been silent for the correlation window, because a label could not be added
to what is forgotten; one that was silent for longer when the second cluster came is counted, and has no label. Nothing
here decides what an incident is: that is :mod:`batcher.stages.correlate`'s.
"""

from datetime import datetime, timedelta

import polars as pl

_MEMBER = ("incident", "summary")


def enlisted(before: pl.LazyFrame, after: pl.LazyFrame, *, window: timedelta) -> pl.LazyFrame:
    """Return ``summary`` and ``enlisted``, the incident that it has become a member of in a batch, the newest.

    In: members of :func:`batcher.stages.correlate.stages_of` before the batch, and after it.
    """
    in_time = pl.col("is_formed") & (pl.col("formed_at") - pl.col("last_at") <= window)
    new = after.filter(in_time).join(before.filter(in_time), on=_MEMBER, how="anti")
    since = pl.max_horizontal("formed_by", "first_position")
    newest = new.sort(since, "incident").group_by("summary", maintain_order=True).last()
    return newest.select("summary", enlisted="incident")


def alone(members: pl.LazyFrame, *, now: datetime, window: timedelta) -> pl.LazyFrame:
    """Return the ``summary`` of those of one cluster only, and ``waits``: whether a second one may still join it.

    In: members as of ``now``.
    """
    silent = pl.lit(now) - pl.col("last_at") > window
    of_one = members.filter(~pl.col("is_formed"))
    return of_one.group_by("summary").agg(waits=(~pl.col("is_over") & ~silent).any())


def enlist(summaries: pl.LazyFrame, new: pl.LazyFrame, alone: pl.LazyFrame, *, batch: int) -> pl.LazyFrame:
    """Give ``summaries`` their incident, so that they are written again; those that wait do not end yet.

    In: what changes of :func:`batcher.stages.carry.carry_summaries`; ``new`` of :func:`enlisted`; what is
    :func:`alone`. One that is not written any more ends all the same.
    """
    is_new, waits = pl.col("enlisted").is_not_null(), pl.col("waits").fill_null(value=False)
    return (
        summaries.join(new, on="summary", how="left")
        .join(alone, on="summary", how="left")
        .with_columns(
            incident=pl.coalesce("enlisted", "incident"),
            version=pl.when(is_new).then(pl.lit(batch, pl.Int64)).otherwise("version"),
            end=pl.when(~is_new & ~(waits & (pl.col("end") == "published"))).then("end"),
        )
        .drop("enlisted", "waits")
    )
