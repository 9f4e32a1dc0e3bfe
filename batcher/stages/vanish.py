"""Namespaces that are gone though no deletion was heard of: a list that was completed does not have them.

A watch that could not go on is followed by a list, and what was deleted in between is in neither. Without this a
namespace that is gone would keep its place in a workspace, and its row in the state, for ever. A list may span many
batches: where it began is state.
"""

import polars as pl

from batcher.schema import CLAIMS, LISTINGS, LISTS

_NAMESPACE = ("cluster_uid", "namespace")


def begun_lists(lists: pl.LazyFrame, listings: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``lists`` (:data:`batcher.schema.LISTS`, in their order) with ``first`` of those that go on from the batch
    before, as the state has it (:data:`batcher.schema.LISTINGS`); null: it had no line.
    """
    goes_on = pl.int_range(pl.len()).over("cluster_uid") == 0
    began = pl.when(goes_on).then(pl.min_horizontal("since", "first")).otherwise("first")
    both = lists.join(listings, on="cluster_uid", how="left", maintain_order="left")
    return both.with_columns(first=began).select(*LISTS)


def vanish(known: pl.LazyFrame, told: pl.LazyFrame, begun: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``told`` (:data:`batcher.schema.CLAIMS`) by position, and one more for each namespace that a list of
    ``begun`` (:func:`begun_lists`) does not have: deleted when the list was complete.
    """
    over = begun.filter(pl.col("end").is_not_null()).rename({"received_at": "left_at"})
    since = pl.coalesce("first", "end")
    gone = (
        pl.concat([known, told])
        .join(over, on="cluster_uid")
        .filter(pl.col("position") < pl.col("end"))
        .sort("position")
        .group_by(*_NAMESPACE, "end", maintain_order=True)
        .last()
        .filter((pl.col("position") < since) & pl.col("gone_at").is_null())
        .sort("end")
        .unique((*_NAMESPACE, "position"), keep="first", maintain_order=True)
        .with_columns(position="end", received_at="left_at", gone_at="left_at", **_new())
        .join(told, on=(*_NAMESPACE, "position"), how="anti")
    )
    return pl.concat([told, gone.select(*CLAIMS)]).sort("position", "namespace")


def _new() -> dict[str, pl.Expr]:
    """What a claim has that the state did not have before."""
    texts = {name: pl.lit("") for name in ("was_workspace", "was_namespace", "has_workspace", "has_namespace")}
    return texts | {"since": pl.lit(0, pl.Int64), "since_at": pl.lit(None, CLAIMS["since_at"])}


def under_way(begun: pl.LazyFrame) -> pl.LazyFrame:
    """Return the lists of ``begun`` that are not complete yet, :data:`batcher.schema.LISTINGS`."""
    newest = begun.group_by("cluster_uid", maintain_order=True).last()
    return newest.filter(pl.col("end").is_null()).select("cluster_uid", since="first").select(*LISTINGS)
