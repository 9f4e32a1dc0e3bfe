"""What a tenant must not see in a text: the downstream namespace, uids, names of nodes.

A message is other people's text. What is taken out is taken out wherever it stands as a word, at the price of a
word that only looks like it: a namespace called ``default`` is replaced in every sentence. The archive keeps the
text as it was. Names of nodes are those that the cluster's Events told so far; nothing is asked for.

Source of the forms: ``format.Pod`` of the kubelet (``pod_namespace(uid)``), the scheduler's ``Successfully assigned``.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import NODES

HIDDEN = "…"
"""Stands where something was taken out that has no name in the workspace."""
REMEMBERED = timedelta(days=1)
"""How long the name of a node is known after it was told last; longer than any open session is silent."""
FRESH = timedelta(hours=1)
"""A name that was told within so long is not put into the state again."""
MOST = 20_000
"""Nodes of a cluster: four times what Kubernetes is tested with; beyond it the newest are known."""

_UID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_OF_POD = rf"_[a-z0-9-]{{1,63}}\((?:{_UID}|[0-9a-f]{{32}})\)"
_SYNCED_NAMESPACE = r"\bkcp-[0-9a-z]{12,13}\b"
_ASSIGNS = "Successfully assigned "
_ASSIGNED = r"^(Successfully assigned \S+) to (\S+)$"
_WORD, _BETWEEN = "[A-Za-z0-9-]+", "[^A-Za-z0-9-]+"
_HOST, _BETWEEN_HOSTS = "[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", "[^A-Za-z0-9]+"
_OWNERS = pl.col("regarding_kind") == "Node"


def told_nodes(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the nodes that ``rows`` (:data:`batcher.schema.OCCURRENCES`) tell of, :data:`batcher.schema.NODES`."""
    assigned = pl.when(pl.col("message").str.starts_with(_ASSIGNS)).then("message").str.extract(_ASSIGNED, 2)
    told = {
        "host": pl.col("component") == "kubelet",
        "regarding_name": pl.col("regarding_kind") == "Node",
        "related_name": pl.col("related_kind") == "Node",
        "assigned": pl.col("assigned").is_not_null(),
    }
    said = rows.select(
        "cluster_uid",
        "received_at",
        "component",
        "regarding_kind",
        "related_kind",
        "host",
        "regarding_name",
        "related_name",
        assigned=assigned,
    )
    parts = [
        said.filter(condition & (pl.col(name) != ""))
        .group_by("cluster_uid", name=name)
        .agg(seen_at=pl.max("received_at"))
        for name, condition in told.items()
    ]
    return pl.concat(parts).group_by("cluster_uid", "name").agg(pl.max("seen_at")).select(*NODES)


def learn(known: pl.LazyFrame, told: pl.LazyFrame) -> pl.LazyFrame:
    """Return what of ``told`` the state has to hold: names that are new to it, or that it heard long ago."""
    old = known.select("cluster_uid", "name", known_at="seen_at")
    fresh = pl.col("seen_at") - pl.col("known_at") <= FRESH
    return told.join(old, on=("cluster_uid", "name"), how="left").filter(~fresh.fill_null(value=False)).select(*NODES)


def outdated(known: pl.LazyFrame, now: datetime) -> pl.LazyFrame:
    """Return the names that the state need not hold any more, ``cluster_uid, name``."""
    rank = pl.col("seen_at").rank("ordinal", descending=True).over("cluster_uid")
    return known.filter((pl.lit(now) - pl.col("seen_at") > REMEMBERED) | (rank > MOST)).select("cluster_uid", "name")


def conceal(summaries: pl.LazyFrame, nodes: pl.LazyFrame | None) -> pl.LazyFrame:
    """Put the workspace's namespace for the downstream one in ``message``, take out uids and ``nodes``, and give
    names and ``related_*`` as the workspace knows them. None: names of nodes may be seen.

    In: :data:`batcher.schema.OPEN_SUMMARIES` and :data:`batcher.schema.NODES`. A summary about a Node is for the
    cluster's owner, and keeps the names of nodes.
    """
    text = pl.col("message").str.replace_all(_OF_POD, "").str.replace_all(_UID, HIDDEN)
    plain = _related(summaries.with_columns(text), hides_nodes=nodes is not None).with_columns(
        _renamed("regarding"), _renamed("related")
    )
    if nodes is not None:
        assigned = pl.col("message").str.replace(_ASSIGNED, "$1")
        plain = plain.with_columns(pl.when(_OWNERS).then("message").otherwise(assigned).alias("message"))
        hidden = nodes.select(of="cluster_uid", piece="name", instead=pl.lit(HIDDEN)).unique()
        plain = _reworded(plain, hidden, pl.when(~_OWNERS).then("cluster_uid"), f"{_HOST}|{_BETWEEN_HOSTS}")
    known_as = pl.when(pl.col("origin") == "").then("target_namespace").otherwise(origin_namespace())
    named = plain.with_columns(known_as=pl.when(known_as == "").then(pl.lit(HIDDEN)).otherwise(known_as))
    moved = named.filter((pl.col("namespace") != "") & (pl.col("namespace") != pl.col("known_as")))
    places = moved.select(of="summary", piece="namespace", instead="known_as")
    there = _reworded(plain, places, pl.col("summary"), f"{_WORD}|{_BETWEEN}")
    return there.with_columns(pl.col("message").str.replace_all(_SYNCED_NAMESPACE, HIDDEN))


def origin_namespace() -> pl.Expr:
    """The namespace in ``origin``, which has the workspace before it; empty where it is unmapped."""
    return pl.col("origin").str.extract("/([^/]*)$").fill_null("")


def _reworded(summaries: pl.LazyFrame, words: pl.LazyFrame, of: pl.Expr, pieces: str) -> pl.LazyFrame:
    """Put ``instead`` for each whole ``piece`` of a message, by the ``words`` whose ``of`` is its own; null: none."""
    told = (
        summaries.select("summary", of=of, piece=pl.col("message").str.extract_all(pieces))
        .explode("piece")
        .join(words, on=("of", "piece"), how="left", maintain_order="left")
        .group_by("summary", maintain_order=True)
        .agg(reworded=pl.coalesce("instead", "piece").str.join())
    )
    return (
        summaries.join(told, on="summary", how="left", maintain_order="left")
        .with_columns(message=pl.coalesce("reworded", "message"))
        .drop("reworded")
    )


def _related(summaries: pl.LazyFrame, *, hides_nodes: bool) -> pl.LazyFrame:
    """Drop the related object if it is a Node that is hidden, or lies in a namespace that is not this one."""
    elsewhere = (pl.col("related_namespace") != "") & (pl.col("related_namespace") != pl.col("namespace"))
    node = (pl.col("related_kind") == "Node") & ~_OWNERS & hides_nodes
    parts = [f"related_{part}" for part in ("api_version", "kind", "namespace", "name", "field_path")]
    return summaries.with_columns(
        pl.when(elsewhere | node).then(pl.lit("")).otherwise(name).alias(name) for name in parts
    )


def _renamed(object_: str) -> pl.Expr:
    """The name that the workspace gave an object that lies under another downstream, so that both can be there."""
    name, kind = pl.col(f"{object_}_name"), pl.col(f"{object_}_kind")
    config = name.str.replace(r"^kcp-(root-ca\.crt)$", "kube-$1")
    secret = name.str.replace("^kcp-(default-token-.+)$", "$1")
    return (
        pl.when(kind == "ConfigMap")
        .then(config)
        .when(kind == "Secret")
        .then(secret)
        .otherwise(name)
        .alias(name.meta.output_name())
    )
