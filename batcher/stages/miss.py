"""Which watched objects are gone without a word: those that a whole list did not show.

Only objects that bear a label are watched. One that was deleted, or lost it, while nobody listened is told of by no
line ever again; what it said last must not stand for ever, for another of its name may be somebody else's.
"""

import polars as pl

from batcher.schema import CLAIMED, OBJECTS

_KIND = ("cluster_uid", "object_group", "object_kind")
_END = ("ended", "ended_at")


def miss(said: pl.LazyFrame, lists: pl.LazyFrame) -> pl.LazyFrame:
    """Return a line (:data:`batcher.schema.OBJECTS`) for each object that is missed: it says the same, and is gone.

    In: ``said``, all lines of the state and of the batch, by position; ``lists``,
    :data:`batcher.schema.OBJECT_LISTS`. A list does not miss what it told of itself; the next one does, if it does
    not tell of it again.
    """
    until = pl.col("position").shift(-1).over(CLAIMED)
    ends = _ends(said.with_columns(until=until).filter(pl.col("gone_at").is_null()), lists)
    missed = {name: pl.when("is_listing").then(f"{name}_next").otherwise(name) for name in _END}
    return (
        said.join(ends, on=(*CLAIMED, "position"), maintain_order="left")
        .with_columns(**missed)
        .filter(pl.col("ended").is_not_null())
        .with_columns(position="ended", received_at="ended_at", gone_at="ended_at", is_listing=pl.lit(value=False))
        .with_columns(was_workspace=pl.lit(""), was_namespace=pl.lit(""))
        .join(said, on=(*CLAIMED, "position"), how="anti")
        .select(*OBJECTS)
    )


def settle_lists(said: pl.LazyFrame, lists: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``said`` (one line an object) with ``is_listing`` of those whose list has come to its end taken away."""
    ended = _ends(said.with_columns(until=pl.lit(None, pl.Int64)), lists).select(*CLAIMED, is_ended=pl.lit(value=True))
    return (
        said.join(ended, on=CLAIMED, how="left", maintain_order="left")
        .with_columns(is_listing=pl.col("is_listing") & pl.col("is_ended").is_null())
        .drop("is_ended")
    )


def _ends(said: pl.LazyFrame, lists: pl.LazyFrame) -> pl.LazyFrame:
    """Return the first two ends of lists behind each line that has one (``ended, ended_at``, and the same ``_next``),
    up to the next line of the same object (``until``).
    """
    there = (pl.col("scope") == "") | (pl.col("scope") == pl.col("namespace"))
    behind = (pl.col("ended") > pl.col("position")) & (pl.col("ended") <= pl.col("until")).fill_null(value=True)
    later = {f"{name}_next": pl.col(name).get(1, null_on_oob=True) for name in _END}
    return (
        said.select(*CLAIMED, "position", "until")
        .join(lists.rename({"position": "ended", "received_at": "ended_at"}), on=_KIND)
        .filter(there & behind)
        .sort("ended")
        .group_by(*CLAIMED, "position", maintain_order=True)
        .agg(pl.col(*_END).first(), **later)
    )
