"""Which incident a summary is a member of: it is told with the incident's label from then on.

The newest incident counts that a summary has become a member of; the end of one takes no label away. A summary that
is alone so far does not end before it is sure that no second cluster joins it: a label could not be added to what is
forgotten. Nothing here decides what an incident is: that is :mod:`batcher.stages.correlate`'s.
"""

import polars as pl

_MEMBER = ("incident", "summary")


def enlisted(before: pl.LazyFrame, after: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``summary`` and ``enlisted``, the incident that it has become a member of in a batch, the newest.

    In: members of :func:`batcher.stages.correlate.stages_of` before the batch, and after it.
    """
    new = after.filter("is_formed").join(before.filter("is_formed"), on=_MEMBER, how="anti")
    since = pl.max_horizontal("formed_by", "first_position")
    newest = new.sort(since, "incident").group_by("summary", maintain_order=True).last()
    return newest.select("summary", enlisted="incident")


def alone(members: pl.LazyFrame, *, over: bool) -> pl.LazyFrame:
    """Return the ``summary`` of those whose incident has one cluster only, and is ``over``, or may get a second."""
    return members.filter(~pl.col("is_formed") & (pl.col("is_over") == over)).select("summary").unique()


def enlist(summaries: pl.LazyFrame, new: pl.LazyFrame, waiting: pl.LazyFrame, *, batch: int) -> pl.LazyFrame:
    """Give ``summaries`` their incident, so that they are written again; those that are ``waiting`` do not end yet.

    In: what changes of :func:`batcher.stages.carry.carry_summaries`; ``new`` of :func:`enlisted`; the ``summary`` of
    those of :func:`alone`. One that is not written any more ends all the same.
    """
    is_new, waits = pl.col("enlisted").is_not_null(), pl.col("waits").fill_null(value=False)
    return (
        summaries.join(new, on="summary", how="left")
        .join(waiting.select("summary", waits=pl.lit(value=True)), on="summary", how="left")
        .with_columns(
            incident=pl.coalesce("enlisted", "incident"),
            version=pl.when(is_new).then(pl.lit(batch, pl.Int64)).otherwise("version"),
            end=pl.when(~is_new & ~(waits & (pl.col("end") == "published"))).then("end"),
        )
        .drop("enlisted", "waits")
    )
