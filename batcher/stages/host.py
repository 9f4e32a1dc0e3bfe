"""Where Pods run: the node that a Pod was last told to be on, so that what happens to the node can be its cause.

A kubelet says it with each Event, the scheduler once, and other controllers never. Names of Pods are given again (a
StatefulSet's), so a row goes by what was told before it, and only where nothing was by what is told next. A name is
forgotten a day after it was told last. Nothing here is told to tenants.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import PODS

REMEMBERED = timedelta(hours=24)
MOST = 200_000
"""Pods of a cluster: more than Kubernetes is tested with; beyond it the newest are known."""

_POD = ("cluster_uid", "namespace", "name")
_ASSIGNED = r"^Successfully assigned \S+ to (\S+)$"


def sightings(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return where ``rows`` (:data:`batcher.schema.OCCURRENCES`) say that Pods are, :data:`batcher.schema.PODS`."""
    said = pl.coalesce(
        pl.when((pl.col("component") == "kubelet") & (pl.col("host") != "")).then("host"),
        pl.when(pl.col("reason") == "Scheduled").then("message").str.extract(_ASSIGNED),
    )
    pods = rows.filter((pl.col("regarding_kind") == "Pod") & (pl.col("grew") > 0)).select(
        "cluster_uid",
        "position",
        namespace="regarding_namespace",
        name="regarding_name",
        node=said,
        hour_at=pl.col("received_at").dt.truncate("1h"),
    )
    return pods.filter(pl.col("node").is_not_null()).select(*PODS)


def host(rows: pl.LazyFrame, known: pl.LazyFrame, seen: pl.LazyFrame) -> pl.LazyFrame:
    """Fill ``node`` of ``rows`` about Pods where it is empty, as of their ``position``.

    In: :data:`batcher.schema.PODS` of the state, and :func:`sightings` of the batch. Out: columns as they came.
    """
    is_lost = (pl.col("node") == "") & (pl.col("regarding_kind") == "Pod")
    lost = rows.filter(is_lost).rename({"regarding_namespace": "namespace", "regarding_name": "name"})
    told = pl.concat([known, seen]).join(lost, on=_POD, how="semi").sort("position").rename({"node": "host_now"})
    found = (
        lost.with_columns(hour=pl.col("received_at").dt.truncate("1h"))
        .sort("position")
        .join_asof(told, on="position", by=_POD, check_sortedness=False)
        .with_columns(node=pl.when(pl.col("hour") - pl.col("hour_at") <= REMEMBERED).then("host_now").fill_null(""))
        .rename({"namespace": "regarding_namespace", "name": "regarding_name"})
        .drop("hour", "hour_at", "host_now")
    )
    return pl.concat([rows.filter(~is_lost), found], how="diagonal").sort("position")


def host_later(rows: pl.LazyFrame, happenings: pl.LazyFrame) -> pl.LazyFrame:
    """Fill ``node`` of ``rows`` about Pods where nothing told it before: with what is told next, until ``due_at``.

    In and out: :data:`batcher.schema.HAPPENINGS`. A node controller says first that a node is lost, and the kubelets of
    others what becomes of it; a list is in the order of names.
    """
    key = ("cluster_uid", "regarding_kind", "regarding_namespace", "regarding_name")
    is_lost = (pl.col("node") == "") & (pl.col("regarding_kind") == "Pod")
    lost = rows.filter(is_lost).sort("position")
    told = happenings.filter(pl.col("node") != "").join(lost, on=key, how="semi").sort("position")
    found = lost.join_asof(
        told.select("position", *key, host_next="node", told_at="received_at"),
        on="position", by=key, strategy="forward", check_sortedness=False,
    )  # fmt: skip
    in_time = pl.when(pl.col("told_at") <= pl.col("due_at")).then("host_next")
    known = found.with_columns(node=in_time.fill_null("")).drop("host_next", "told_at")
    return pl.concat([rows.filter(~is_lost), known]).sort("position")


def learn(known: pl.LazyFrame, seen: pl.LazyFrame) -> pl.LazyFrame:
    """Return what of ``seen`` the state has to hold: Pods that are new, elsewhere, or not told of in that hour yet."""
    newest = seen.sort("position").unique(_POD, keep="last", maintain_order=True)
    same = known.select(*_POD, "node", "hour_at")
    return newest.join(same, on=(*_POD, "node", "hour_at"), how="anti").sort(_POD)


def outdated(known: pl.LazyFrame, now: datetime) -> pl.LazyFrame:
    """Return the Pods that the state need not hold any more, ``cluster_uid, namespace, name``."""
    rank = pl.col("position").rank("ordinal", descending=True).over("cluster_uid")
    old = pl.lit(now).dt.truncate("1h") - pl.col("hour_at") > REMEMBERED
    return known.filter(old | (rank > MOST)).select(_POD).sort(_POD)
