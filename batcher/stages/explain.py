"""Why it happened, in a sentence that the namespace of a summary may read.

A cause that lies in the same namespace of the workspace is named. Whatever lies elsewhere, and every node, is told as
a sentence without names: that a node was not ready is no secret, which one and what else ran there is. The reasons
told are those of rules, which the operator wrote; messages of causes are never told.
"""

import polars as pl

from batcher.schema import CAUSES

_NODE_NOT_READY, _NODE_FULL = "a node of the cluster was not ready", "a node of the cluster was short of resources"
_NODE_KILLED = "a node of the cluster ran out of memory"
_NEUTRAL = {
    "NodeNotReady": _NODE_NOT_READY,
    "Rebooted": "a node of the cluster was rebooted",
    "EvictionThresholdMet": _NODE_FULL,
    "FreeDiskSpaceFailed": _NODE_FULL,
    "ImageGCFailed": _NODE_FULL,
    "NodeHasDiskPressure": _NODE_FULL,
    "NodeHasInsufficientMemory": _NODE_FULL,
    "NodeHasInsufficientPID": _NODE_FULL,
    "OOMKilling": _NODE_KILLED,
    "SystemOOM": _NODE_KILLED,
}
"""Of a Node, by the reason of the cause."""
_OTHER_NODE, _ELSEWHERE = "a node of the cluster was in trouble", "elsewhere in the cluster"
_AT = "%H:%MZ"
_LONGEST = 253
"""Characters of a name: as many as one can have; Events name objects that cannot be."""


def explain(summaries: pl.LazyFrame, known: pl.LazyFrame, *, expose_nodes: bool) -> pl.LazyFrame:
    """Return :data:`batcher.schema.CAUSES` of those of ``summaries`` whose cause is known.

    In: :data:`batcher.schema.OPEN_SUMMARIES`, :data:`batcher.schema.KNOWN_CAUSES`.
    """
    about_node = pl.col("root_kind") == "Node"
    same_place = (
        (pl.col("workspace") != "")
        & (pl.col("root_workspace") == pl.col("workspace"))
        & (pl.col("root_target_namespace") == pl.col("target_namespace"))
    )
    # As in conceal: a summary about a Node is its owner's, who knows the names of nodes.
    may_name = same_place & (~about_node | expose_nodes | (pl.col("regarding_kind") == "Node"))
    kind, name = pl.col("root_kind").str.slice(0, _LONGEST), pl.col("root_name").str.slice(0, _LONGEST)
    sentence = pl.when(may_name).then(_openly(kind, name)).otherwise(_neutrally(about_node))
    return (
        summaries.select("summary", "workspace", "target_namespace", "regarding_kind")
        .join(known, on="summary", maintain_order="left")
        .select(
            "summary",
            cause_reason="root_reason",
            cause_object=pl.when(may_name).then(pl.concat_str(kind, pl.lit("/"), name)).otherwise(pl.lit("")),
            cause_at="root_at",
            cause_text=pl.concat_str(sentence, pl.lit(" at "), pl.col("root_at").dt.strftime(_AT)),
            confidence="certainty",
        )
        .select(*CAUSES)
    )


def _openly(kind: pl.Expr, name: pl.Expr) -> pl.Expr:
    what = pl.when(pl.col("root_reason") == "ScalingReplicaSet").then(pl.lit("rollout")).otherwise("root_reason")
    return pl.concat_str(what, pl.lit(" of "), kind, pl.lit(" "), name)


def _neutrally(about_node: pl.Expr) -> pl.Expr:
    of_node = pl.col("root_reason").replace_strict(_NEUTRAL, default=_OTHER_NODE)
    return pl.when(about_node).then(of_node).otherwise(pl.concat_str("root_reason", pl.lit(f" {_ELSEWHERE}")))
