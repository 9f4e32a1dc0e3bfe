"""Whose it is that happened before anybody knew: what is unmapped waits, and the first target adopts it.

Only the first target after it, of the same namespace uid, and only if that namespace had no other target before:
a namespace that changes hands never shows one tenant's text to the other. What lies between two targets is
nobody's, for ever. Rows are never told again: their verdict stays ``unmapped``, their summary gets its workspace.

Nothing here decides which target a namespace has: that is :mod:`batcher.stages.locate`'s.
"""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from batcher.schema import CLAIMS, NOBODYS, SESSION, TARGET
from batcher.stages.aggregate import summary_id
from batcher.stages.locate import Rule, Trust, locate

_NAMESPACE = ("cluster_uid", "namespace")
_WAS = ("was_workspace", "was_namespace")
_TO = ("to_workspace", "to_namespace")


def judge(known: pl.LazyFrame, told: pl.LazyFrame, *, rules: Sequence[Rule], trust: Trust) -> pl.LazyFrame:
    """Return ``known`` and ``told`` (:data:`batcher.schema.CLAIMS`) by position, with the target of each as ``to_*``
    (null: none) and the target that the namespace had before it in ``was_*`` (empty: none).

    In: ``told`` are those of the batch, all behind those of the state.
    """
    claims = pl.concat([known, told]).sort("position")
    asked = claims.select("position", "cluster", *_NAMESPACE, regarding_namespace="namespace")
    targets = locate(asked, claims, rules=rules, trust=trust).select("position", *TARGET)
    has = pl.col("workspace_right") != ""
    to = {
        f"to_{part}": pl.when(has).then(f"{name}_right")
        for part, name in zip(("workspace", "namespace"), TARGET, strict=True)
    }
    return (
        claims.join(targets, on="position", how="left", maintain_order="left")
        .with_columns(**to)
        .with_columns(_had_before(name) for name in ("workspace", "namespace"))
        .select(*CLAIMS, *to)
    )


def _had_before(name: str) -> pl.Expr:
    """The last target up to the claim before, of the same uid; the state's own row knows its own."""
    group = (*_NAMESPACE, "uid")
    own = pl.when(pl.col("was_workspace") != "").then(f"was_{name}")
    had = pl.coalesce(f"to_{name}", own).forward_fill().shift(1).over(group)
    return pl.coalesce(had, own, pl.lit("")).alias(f"was_{name}")


def claims_now(judged: pl.LazyFrame, told: pl.LazyFrame) -> pl.LazyFrame:
    """Return the newest of ``judged`` of each namespace that ``told`` speaks of, :data:`batcher.schema.CLAIMS`."""
    newest = judged.sort("position").group_by(_NAMESPACE, maintain_order=True).last()
    return newest.join(told, on=_NAMESPACE, how="semi").select(*CLAIMS)


def name_namespaces(rows: pl.LazyFrame, judged: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``namespace_uid`` as of each row's position; before the first claim of a namespace it is that one's."""
    said = judged.select(*_NAMESPACE, "position", said_uid="uid").sort("position")
    before = rows.sort("position").join_asof(said, on="position", by=_NAMESPACE, check_sortedness=False)
    after = before.join_asof(
        said, on="position", by=_NAMESPACE, strategy="forward", suffix="_next", check_sortedness=False
    )
    namespace_uid = pl.coalesce("said_uid", "said_uid_next", pl.lit(""))
    return after.with_columns(namespace_uid=namespace_uid).drop("said_uid", "said_uid_next")


def adopt_rows(rows: pl.LazyFrame, judged: pl.LazyFrame, *, hold: timedelta) -> pl.LazyFrame:
    """Give unmapped rows the first target after them, if it is told within ``hold``; add ``adopted_by``.

    In: rows of :func:`name_namespaces`. ``adopted_by`` is the position of the claim, 0 for what was not adopted.
    """
    later = _targets(judged).rename({"uid": "namespace_uid"})
    found = rows.sort("position").join_asof(
        later, on="position", by=(*_NAMESPACE, "namespace_uid"), strategy="forward", check_sortedness=False
    )
    waits = (pl.col("workspace") == "") & (pl.col("regarding_namespace") != "")
    return _decided(found, waits & pl.col("to_workspace").is_not_null(), pl.col("received_at"), "namespace_uid", hold)


def _targets(judged: pl.LazyFrame) -> pl.LazyFrame:
    told = judged.filter(pl.col("to_workspace").is_not_null()).sort("position")
    return told.select(
        *_NAMESPACE, "uid", "position", *_TO, *_WAS, told_by=pl.col("position"), told_at=pl.col("received_at")
    )


def _decided(found: pl.LazyFrame, waits: pl.Expr, since: pl.Expr, uid: str, hold: timedelta) -> pl.LazyFrame:
    first = (pl.col("was_workspace") == "") | (
        (pl.col("was_workspace") == pl.col("to_workspace")) & (pl.col("was_namespace") == pl.col("to_namespace"))
    )
    adopted = waits & first & (pl.col("told_at") - since <= hold)
    return found.with_columns(
        pl.when(adopted).then("to_workspace").otherwise("workspace").alias("workspace"),
        pl.when(adopted).then("to_namespace").otherwise("target_namespace").alias("target_namespace"),
        pl.when(waits & ~first).then(pl.lit(NOBODYS)).otherwise(uid).alias(uid),
        adopted_by=pl.when(adopted).then("told_by").otherwise(0),
    ).drop(*_TO, *_WAS, "told_by", "told_at")


def moves(
    summaries: pl.LazyFrame, judged: pl.LazyFrame, *, rules: Sequence[Rule], trust: Trust, hold: timedelta
) -> pl.LazyFrame:
    """Return what open summaries are from now on: ``was`` (their name so far), ``summary``, the columns of the target,
    ``unmapped_uid`` and ``adopted_by``; only of those that change.

    In: :data:`batcher.schema.OPEN_SUMMARIES`. A rule that the configuration has since a batch ago adopts as well.
    """
    waiting = (
        summaries.filter(
            (pl.col("workspace") == "") & (pl.col("unmapped_uid") != NOBODYS) & (pl.col("namespace") != "")
        )
        .select(*SESSION, "position", "last_at", "cluster", was="summary", regarding_namespace="namespace")
        .sort("position")
    )
    named = name_namespaces(waiting, judged).with_columns(
        unmapped_uid=pl.when(pl.col("unmapped_uid") == "").then("namespace_uid").otherwise("unmapped_uid")
    )
    later = _targets(judged).rename({"uid": "unmapped_uid"})
    found = named.sort("position").join_asof(
        later, on="position", by=(*_NAMESPACE, "unmapped_uid"), strategy="forward", check_sortedness=False
    )
    ruled = _ruled(waiting, judged, rules=rules, trust=trust)
    both = found.join(ruled, on="was", how="left", suffix="_ruled").with_columns(
        pl.coalesce(f"{name}_ruled", name).alias(name) for name in (*_TO, *_WAS, "told_by", "told_at")
    )
    decided = _decided(both, pl.col("to_workspace").is_not_null(), pl.col("last_at"), "unmapped_uid", hold)
    moved = (
        decided.with_columns(unmapped_uid=pl.when(pl.col("workspace") == "").then("unmapped_uid").otherwise(pl.lit("")))
        .with_columns(summary=summary_id())
        .filter(pl.col("summary") != pl.col("was"))
        .select("was", "summary", *TARGET, "unmapped_uid", "adopted_by")
    )
    # One that would take the name of another stays as it is: two summaries of one name could not be told apart.
    taken = summaries.select("summary")
    return moved.join(taken, on="summary", how="anti").unique("summary", keep="none", maintain_order=True)


def _ruled(waiting: pl.LazyFrame, judged: pl.LazyFrame, *, rules: Sequence[Rule], trust: Trust) -> pl.LazyFrame:
    """The targets that what waits would have had at its own place, by the rules of today."""
    claimed = judged.select(*CLAIMS).sort("position")
    located = locate(waiting.drop(TARGET), claimed, rules=rules, trust=trust).filter(pl.col("workspace") != "")
    before = claimed.select(*_NAMESPACE, "position", *_WAS)
    return (
        located.sort("position")
        .join_asof(before, on="position", by=_NAMESPACE, check_sortedness=False)
        .select(
            "was",
            to_workspace="workspace",
            to_namespace="target_namespace",
            was_workspace=pl.col("was_workspace").fill_null(""),
            was_namespace=pl.col("was_namespace").fill_null(""),
            told_by="position",
            told_at="last_at",
        )
    )


def move(frame: pl.LazyFrame, moved: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``frame`` (open summaries or slots) with what :func:`moves` says, ``is_moved`` and ``adopted_by``."""
    names = ("summary", *TARGET, "unmapped_uid")
    return (
        frame.join(moved, left_on="summary", right_on="was", how="left", suffix="_to", maintain_order="left")
        .with_columns(
            is_moved=pl.col("summary_to").is_not_null(),
            adopted_by=pl.col("adopted_by").fill_null(0),
            **{name: pl.coalesce(f"{name}_to", name) for name in names},
        )
        .drop(f"{name}_to" for name in names)
    )
