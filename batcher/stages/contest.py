"""Which of several Namespaces of a cluster that claim one place in a workspace has it.

A syncer makes one downstream namespace for each of a workspace's; two with one locator are its error, or somebody
else's doing. The first that said so keeps the place for as long as it says so without a break. Every other has a flaw
and is nobody's, and the next of them takes the place when all before it have ended: a namespace that comes later takes
nothing from one that is there, and what happened in it meanwhile waits like all that is unmapped. Names that are no
hash of their locator never get here: they have a flaw of their own, and hold no place.

Places are compared as they are said: a workspace's path and its logical cluster's name are two.
"""

import polars as pl

from batcher.mapping import Flaw
from batcher.schema import CLAIMS, TARGET

_NAMESPACE = ("cluster_uid", "namespace")
_PLACE = ("cluster_uid", *TARGET)
_SAID = ("uid", "workspace", "target_namespace", "sync_target", "flaw")
_SPAN = (*_NAMESPACE, "since")
_NEVER = 2**63 - 1
_DUPLICATE = pl.lit(Flaw.DUPLICATE.value)
_BARE = pl.when(pl.col("flaw") != _DUPLICATE).then("flaw").otherwise(pl.lit(""))
"""The flaw that a claim has by itself."""


def date(known: pl.LazyFrame, told: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``known`` and ``told`` (:data:`batcher.schema.CLAIMS`) by position, with ``since`` and ``since_at`` (since
    when each row's namespace says the same; what was deleted begins anew), ``is_known``, and ``is_kept``: whether the
    state has it like that.

    In: ``told`` are those of the batch, all behind those of the state. Only namespaces that are told of are looked at:
    there may be tens of thousands of others.
    """
    is_dated = pl.col("since") > 0  # not by the versions that did not know it
    state = known.with_columns(is_known=pl.lit(value=True), is_kept=is_dated)
    new = told.with_columns(is_known=pl.lit(value=False), is_kept=pl.lit(value=False))
    names = pl.concat([told.select(_NAMESPACE), known.filter(~is_dated).select(_NAMESPACE)])
    said = pl.concat([state.join(names, on=_NAMESPACE, how="semi"), new]).sort("position").with_columns(flaw=_BARE)
    before = {name: pl.col(name).shift(1).over(_NAMESPACE) for name in (*_SAID, "gone_at")}
    anew = pl.any_horizontal(
        before["gone_at"].is_not_null(), *(pl.col(name).ne_missing(before[name]) for name in _SAID)
    )
    begun = {
        "since": pl.when(is_dated).then("since").otherwise("position"),
        "since_at": pl.when(is_dated).then("since_at").otherwise("received_at"),
    }
    dated = said.with_columns(
        pl.when(anew).then(value).forward_fill().over(_NAMESPACE).alias(name) for name, value in begun.items()
    )
    return pl.concat([state.join(names, on=_NAMESPACE, how="anti"), dated]).sort("position", "namespace")


def contest(said: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``said`` (claims of :func:`date`) with the flaw ``duplicate`` where another has the place.

    There is one row more for each that takes a place for which it has waited. Only places that are told of, now or
    before by a namespace that is told of, are contested: who has another, has it as before.
    """
    claimed = pl.col("workspace") != ""
    names = said.filter(~pl.col("is_kept")).select(_NAMESPACE)
    places = said.filter(claimed).join(names, on=_NAMESPACE, how="semi").select(_PLACE)
    rivals = said.filter(claimed).join(places, on=_PLACE, how="semi").select(_NAMESPACE)
    here = said.join(rivals, on=_NAMESPACE, how="semi", maintain_order="left").with_columns(flaw=_BARE)
    spans = _spans(here)
    all_here = here.join(spans.select(*_SPAN, "has_from"), on=_SPAN, how="left", maintain_order="left")
    waits = (pl.col("position") < pl.col("has_from")).fill_null(value=False)
    flawed = all_here.with_columns(flaw=pl.when(waits).then(_DUPLICATE).otherwise("flaw")).drop("has_from")
    others = said.join(rivals, on=_NAMESPACE, how="anti")
    return pl.concat([others, flawed, _taking(here, spans)]).sort("position", "namespace")


def _spans(said: pl.LazyFrame) -> pl.LazyFrame:
    """Return each time that a namespace claims a place: from ``since`` to ``until``, and it has it from ``has_from``.

    That is when all that began before have ended; if it is not before ``until``, it never has it.
    """
    ends = pl.coalesce("gone", pl.col("since").shift(-1).over(_NAMESPACE), pl.lit(_NEVER))
    gone = pl.col("position").filter(pl.col("gone_at").is_not_null()).max()
    return (
        said.group_by(*_SPAN, *TARGET, "flaw")
        .agg(gone=gone)
        .sort("since", "namespace")
        .with_columns(until=ends)
        .filter((pl.col("flaw") == "") & (pl.col("workspace") != ""))
        .with_columns(has_from=pl.max_horizontal("since", pl.col("until").cum_max().shift(1).over(_PLACE)))
    )


def _taking(said: pl.LazyFrame, spans: pl.LazyFrame) -> pl.LazyFrame:
    """Return a claim for each that takes a place later than it said so, where and when the one before it ended."""
    later = spans.filter(pl.col("has_from").is_between("since", "until", closed="none")).select(*_SPAN, "has_from")
    when = said.select("cluster_uid", has_from="position", taken_at="received_at").unique(("cluster_uid", "has_from"))
    return (
        said.join(later, on=_SPAN)
        .filter(pl.col("position") < pl.col("has_from"))
        .sort("position")
        .group_by(_SPAN, maintain_order=True)
        .last()
        .join(when, on=("cluster_uid", "has_from"))
        .with_columns(
            position="has_from",
            received_at="taken_at",
            **{name: pl.lit("") for name in ("was_workspace", "was_namespace", "has_workspace", "has_namespace")},
        )
        .join(said, on=(*_NAMESPACE, "position"), how="anti")
        .with_columns(is_known=pl.lit(value=False), is_kept=pl.lit(value=False))
        .select(*CLAIMS, "is_known", "is_kept")
    )
