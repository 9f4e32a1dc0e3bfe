"""Whose it is that happened before anybody knew: what is unmapped waits, and the first target adopts it.

Only the first target after it, of the same namespace uid, and only if no namespace of that name had another target
before: one that changes hands never shows one tenant's text to the other, whether a Namespace says so or the
configuration, and whatever uid it comes back with. What lies between two targets is nobody's, for ever. Rows are never
told again: their verdict stays ``unmapped``, their summary gets its workspace.

Nothing here decides which target a namespace has: that is :mod:`batcher.stages.locate`'s. What waits for the word of an
object is decided in :mod:`batcher.stages.own`, and adopted here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from batcher.schema import CLAIMS, NOBODYS, SERVED, SESSION, TARGET, empty
from batcher.stages.aggregate import summary_id
from batcher.stages.attribute import attribute, known_as, named_there
from batcher.stages.expire import FOR_EVER
from batcher.stages.locate import Trust, locate
from batcher.stages.own import instead, name_objects, silent
from batcher.stages.rule import Rule

_NAMESPACE = ("cluster_uid", "namespace")
_WAS = ("was_workspace", "was_namespace")
_HAS = ("has_workspace", "has_namespace")
_TO = ("to_workspace", "to_namespace")
_LAST = ("last_workspace", "last_namespace")
MOVING = (*TARGET, "unmapped_uid", "unmapped_object", "regarding_name")
"""What of a summary's name an adoption may change."""
NO_MOVES = empty({**dict.fromkeys(("was", "summary", *MOVING), pl.String()), "adopted_by": pl.Int64})
"""What :func:`moves` returns where nothing waits."""
FRESH = timedelta(hours=1)
"""Of a target that was used within so long the state is not told again."""
_NOW = 2**63 - 1
"""A position behind all others."""


class Mapping(NamedTuple):
    """By what a namespace finds its target, and for how long one that was deleted counts as such."""

    rules: Sequence[Rule]
    trust: Trust
    remembered: timedelta = FOR_EVER


class Before(NamedTuple):
    """What the state before the batch says of namespaces."""

    claims: pl.LazyFrame
    """:data:`batcher.schema.CLAIMS`."""
    served: pl.LazyFrame
    """:data:`batcher.schema.SERVED`."""
    objects: pl.LazyFrame
    """:data:`batcher.schema.OBJECTS`."""


class Judged(NamedTuple):
    """What Namespaces and objects say, with the targets that follow."""

    claims: pl.LazyFrame
    """:func:`judge`"""
    objects: pl.LazyFrame
    """:func:`batcher.stages.own.judge_objects`"""


def uses(targets: pl.LazyFrame) -> pl.LazyFrame:
    """Return the targets that rows of :func:`batcher.stages.locate.locate` had while no Namespace told of theirs.

    In: also ``position, received_at, regarding_namespace``; out: :data:`batcher.schema.SERVED` and ``position``.
    """
    used = ~pl.col("is_told") & (pl.col("workspace") != "") & (pl.col("regarding_namespace") != "")
    return targets.filter(used).select(*_NAMESPACE, *TARGET, "position", seen_at="received_at").sort("position")


def judge(
    claims: pl.LazyFrame, used: pl.LazyFrame, served: pl.LazyFrame, mapping: Mapping, *, lasts: timedelta = FOR_EVER
) -> pl.LazyFrame:
    """Return ``claims`` with the target of each as ``to_*`` (null: none) and ``has_*``, and the target that its
    namespace had last before it in ``was_*``; for a Namespace's first word, if it was ``used`` (or ``served``, by the
    state) not longer ago than that ``lasts``.

    In: claims of :func:`batcher.stages.contest.contest`. What the state says that a namespace had, and it has not by
    the rules of today, it had before as well.
    """
    asked = claims.select("position", "received_at", "cluster", *_NAMESPACE, regarding_namespace="namespace")
    targets = locate(asked, claims, rules=mapping.rules, trust=mapping.trust).select(
        *_NAMESPACE, "position", to_workspace="workspace", to_namespace="target_namespace"
    )
    found = claims.join(targets, on=(*_NAMESPACE, "position"), how="left", maintain_order="left").with_columns(
        pl.when(pl.col("to_workspace") != "").then(name).alias(name) for name in _TO
    )
    lost = (pl.col("has_workspace") != "") & pl.any_horizontal(
        pl.col(has).ne_missing(pl.col(to)) for has, to in zip(_HAS, _TO, strict=True)
    )
    had = {was: pl.when(lost).then(has).otherwise(was) for was, has in zip(_WAS, _HAS, strict=True)}
    has_now = {has: pl.col(to).fill_null("") for has, to in zip(_HAS, _TO, strict=True)}
    changed = pl.any_horizontal(pl.col(has) != now for has, now in has_now.items())
    judged = found.with_columns(is_kept=pl.col("is_kept") & ~changed, **had).with_columns(**has_now)
    names = claims.filter(~pl.col("is_known")).select(_NAMESPACE)
    told = _in_turn(judged.join(names, on=_NAMESPACE, how="semi"), used, served, mapping, lasts)
    return pl.concat([judged.join(names, on=_NAMESPACE, how="anti"), told]).sort("position", "namespace")


def _in_turn(
    judged: pl.LazyFrame, used: pl.LazyFrame, served: pl.LazyFrame, mapping: Mapping, lasts: timedelta
) -> pl.LazyFrame:
    """Put into ``was_*`` what the claims before a claim say; only for namespaces of which the batch tells."""
    ordered = judged.sort("position", "namespace")
    left = pl.col("received_at") - pl.col("gone_at").shift(1).over(_NAMESPACE) > mapping.remembered
    lives = ordered.with_columns(life=left.fill_null(value=False).cum_sum().over(_NAMESPACE))
    return (
        _with_first_use(lives, used, served, lasts)
        .with_columns(_had_before(was, to) for was, to in zip(_WAS, _TO, strict=True))
        .select(pl.exclude("life"))
    )


def _with_first_use(claims: pl.LazyFrame, used: pl.LazyFrame, served: pl.LazyFrame, lasts: timedelta) -> pl.LazyFrame:
    """Put into ``was_*`` of a Namespace's first word what its name was used for before it."""
    old = served.select(*SERVED, position=pl.lit(0, pl.Int64))
    last = pl.concat([old, used.select(*SERVED, "position")]).rename(dict(zip(TARGET, _LAST, strict=True)))
    first = pl.col("life").ne_missing(pl.col("life").shift(1).over(_NAMESPACE)) & ~pl.col("is_known")
    recent = pl.col("received_at") - pl.col("seen_at") <= lasts
    return (
        claims.join_asof(last.sort("position"), on="position", by=_NAMESPACE, check_sortedness=False)
        .with_columns(
            pl.when(first & recent).then(name).otherwise(was).alias(was) for was, name in zip(_WAS, _LAST, strict=True)
        )
        .drop("seen_at", *_LAST)
    )


def _had_before(was: str, to: str) -> pl.Expr:
    """The last target up to the claim before; what is known of before the first is its own."""
    life = (*_NAMESPACE, "life")
    own = pl.when(pl.col(was) != "").then(was)
    had = pl.coalesce(to, own).forward_fill().shift(1).over(life)
    return pl.coalesce(had, own, pl.lit("")).alias(was)


def had(judged: pl.LazyFrame, used: pl.LazyFrame, before: Before) -> pl.LazyFrame:
    """Return the targets that namespaces had, from each ``position`` on: ``had_workspace, had_namespace``."""
    has = pl.col("has_workspace") != ""
    names = ("had_workspace", "had_namespace")
    said = {name: pl.when(has).then(f"has_{name[4:]}").otherwise(f"was_{name[4:]}") for name in names}
    served = {name: pl.col(column) for name, column in zip(names, TARGET, strict=True)}
    return pl.concat([
        judged.select(*_NAMESPACE, "position", **said),
        used.select(*_NAMESPACE, "position", **served),
        before.served.select(*_NAMESPACE, position=pl.lit(0, pl.Int64), **served),
    ])  # fmt: skip


def claims_now(judged: pl.LazyFrame, now: datetime, *, remembered: timedelta) -> pl.LazyFrame:
    """Return the newest of ``judged`` of each namespace, :data:`batcher.schema.CLAIMS`, with ``is_kept`` and
    ``is_forgotten``: whether it was deleted longer ago than is ``remembered``.
    """
    names = judged.filter(~pl.col("is_known")).select(_NAMESPACE)
    told = judged.join(names, on=_NAMESPACE, how="semi").sort("position")
    newest = told.group_by(_NAMESPACE, maintain_order=True).last()
    forgotten = (pl.lit(now) - pl.col("gone_at") > remembered).fill_null(value=False)
    others = judged.join(names, on=_NAMESPACE, how="anti")
    both = pl.concat([frame.select(*CLAIMS, "is_kept") for frame in (others, newest)])
    return both.with_columns(is_forgotten=forgotten)


def name_namespaces(rows: pl.LazyFrame, judged: pl.LazyFrame, *, remembered: timedelta = FOR_EVER) -> pl.LazyFrame:
    """Add ``namespace_uid`` as of each row's position; before the first claim of a namespace it is that one's.

    In: ``position, received_at, cluster_uid, namespace``.
    """
    said = judged.select(*_NAMESPACE, "position", said_uid="uid", left_at="gone_at").sort("position")
    before = rows.sort("position").join_asof(said, on="position", by=_NAMESPACE, check_sortedness=False)
    after = before.join_asof(
        said, on="position", by=_NAMESPACE, strategy="forward", suffix="_next", check_sortedness=False
    )
    forgotten = pl.col("received_at") - pl.col("left_at") > remembered
    said_last = pl.when(~forgotten.fill_null(value=False)).then("said_uid")
    return after.with_columns(namespace_uid=pl.coalesce(said_last, "said_uid_next", pl.lit(""))).drop(
        "said_uid", "said_uid_next", "left_at", "left_at_next"
    )


def adopt_rows(
    rows: pl.LazyFrame, judged: pl.LazyFrame, objects: pl.LazyFrame, mapping: Mapping, *, hold: timedelta
) -> pl.LazyFrame:
    """Give unmapped rows the first target after them, if it is told within ``hold``; add ``adopted_by``.

    In: rows of :func:`name_namespaces` and :func:`batcher.stages.own.name_objects`. ``adopted_by`` is the position of
    the claim, 0 for what was not adopted.
    """
    later = _targets(judged).rename({"uid": "namespace_uid"})
    found = rows.sort("position").join_asof(
        later, on="position", by=(*_NAMESPACE, "namespace_uid"), strategy="forward", check_sortedness=False
    )
    found = _with_own(found, objects, mapping)
    waits = (pl.col("workspace") == "") & (pl.col("regarding_namespace") != "")
    return _decided(found, waits & pl.col("to_workspace").is_not_null(), pl.col("received_at"), "namespace_uid", hold)


def _with_own(found: pl.LazyFrame, objects: pl.LazyFrame, mapping: Mapping) -> pl.LazyFrame:
    if not mapping.trust.objects:
        return found.with_columns(to_name=pl.lit(""))
    return instead(found, objects, remembered=mapping.remembered)


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
        pl.when(adopted).then("to_name").otherwise("target_name").alias("target_name"),
        pl.when(waits & ~first).then(pl.lit(NOBODYS)).otherwise(uid).alias(uid),
        adopted_by=pl.when(adopted).then("told_by").otherwise(0),
    ).drop(*_TO, "to_name", *_WAS, "told_by", "told_at")


def is_waiting() -> pl.Expr:
    """Whether an open summary may be adopted yet."""
    return (pl.col("workspace") == "") & (pl.col("unmapped_uid") != NOBODYS) & (pl.col("namespace") != "")


def moves(
    summaries: pl.LazyFrame, judged: Judged, before: Before, mapping: Mapping, *, now: datetime, hold: timedelta
) -> pl.LazyFrame:
    """Return what open summaries are from now on: ``was`` (their name so far), ``summary``, :data:`MOVING` and
    ``adopted_by``; only of those that change.

    In: :data:`batcher.schema.OPEN_SUMMARIES`. A rule that the configuration has since a batch ago adopts as well.
    """
    is_told, waits = pl.col("object_uid") != "", pl.col("workspace") == ""
    waiting = (
        summaries.filter(is_waiting())
        .select(
            *SESSION, "position", "last_at", "cluster",
            was="summary", regarding_namespace="namespace", received_at="last_at",
        )
        .with_columns(
            claimed_uid=pl.when(is_told).then("object_uid").otherwise("unmapped_object"), target_name=pl.lit("")
        )
        .pipe(attribute, mapping.trust.objects)
        .sort("position")
    )  # fmt: skip
    if mapping.trust.objects:
        waiting = name_objects(waiting, judged.objects, remembered=mapping.remembered)
    named = name_namespaces(waiting, judged.claims, remembered=mapping.remembered).with_columns(
        unmapped_uid=pl.when(pl.col("unmapped_uid") == "").then("namespace_uid").otherwise("unmapped_uid")
    )
    later = _targets(judged.claims).rename({"uid": "unmapped_uid"})
    found = named.sort("position").join_asof(
        later, on="position", by=(*_NAMESPACE, "unmapped_uid"), strategy="forward", check_sortedness=False
    )
    found = _with_own(found, judged.objects, mapping)
    ruled = _ruled(silent(waiting, before.objects), judged.claims, before, mapping, now)
    both = found.join(ruled, on="was", how="left", suffix="_ruled").with_columns(
        pl.coalesce(f"{name}_ruled", name).alias(name) for name in (*_TO, *_WAS, "told_by", "told_at")
    )
    decided = _decided(both, pl.col("to_workspace").is_not_null(), pl.col("last_at"), "unmapped_uid", hold)
    # What is about many objects is about the Namespace, which has another name in the workspace.
    folds = (pl.col("kind") != "") & ~waits
    moved = (
        decided.with_columns(
            known_as(),
            unmapped_uid=pl.when(waits).then("unmapped_uid").otherwise(pl.lit("")),
            unmapped_object=pl.when(waits & ~is_told).then("claimed_uid").otherwise(pl.lit("")),
        )
        .with_columns(regarding_name=pl.when(folds).then("target_namespace").otherwise(named_there()))
        .with_columns(summary=summary_id())
        .filter(pl.col("summary") != pl.col("was"))
        .select("was", "summary", *MOVING, "adopted_by")
    )
    # One that would take the name of another stays as it is: two summaries of one name could not be told apart.
    taken = summaries.select("summary")
    return moved.join(taken, on="summary", how="anti").unique("summary", keep="none", maintain_order=True)


def _ruled(
    waiting: pl.LazyFrame, judged: pl.LazyFrame, before: Before, mapping: Mapping, now: datetime
) -> pl.LazyFrame:
    """The targets that namespaces have by the rules of today, before anything is told in this batch.

    Only where what waits is of the Namespace that is there, and its summary would go on: rules that are the same as in
    the batch before give nothing that was not given then.
    """
    asked = waiting.drop(*TARGET, "target_name").with_columns(position=pl.lit(_NOW), received_at=pl.lit(now))
    located = locate(
        asked, before.claims, rules=mapping.rules, trust=mapping.trust, remembered=mapping.remembered
    ).filter(pl.col("workspace") != "")
    remembered = pl.lit(now) - pl.col("gone_at") <= mapping.remembered
    there = judged.filter(pl.col("is_known") & remembered.fill_null(value=True)).select(*_NAMESPACE, "uid", *_WAS)
    last = before.served.select(*_NAMESPACE, **dict(zip(_LAST, TARGET, strict=True)))
    places = waiting.select("was", told_by="position", told_at="last_at")
    return (
        located.join(there, on=_NAMESPACE, how="left")
        .filter(pl.col("uid").fill_null("") == pl.col("unmapped_uid"))
        .join(last, on=_NAMESPACE, how="left")
        .join(places, on="was")
        .select(
            "was",
            "told_by",
            "told_at",
            to_workspace="workspace",
            to_namespace="target_namespace",
            was_workspace=pl.coalesce("was_workspace", "last_workspace", pl.lit("")),
            was_namespace=pl.coalesce("was_namespace", "last_namespace", pl.lit("")),
        )
    )


def move(frame: pl.LazyFrame, moved: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``frame`` (open summaries or slots) with what :func:`moves` says, ``is_moved`` and ``adopted_by``."""
    names = ("summary", *MOVING)
    return (
        frame.join(moved, left_on="summary", right_on="was", how="left", suffix="_to", maintain_order="left")
        .with_columns(
            is_moved=pl.col("summary_to").is_not_null(),
            adopted_by=pl.col("adopted_by").fill_null(0),
            **{name: pl.coalesce(f"{name}_to", name) for name in names},
        )
        .drop(f"{name}_to" for name in names)
    )


def served_now(used: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Return what of ``used`` (:func:`uses`) the state has to hold, :data:`batcher.schema.SERVED`.

    Of what it has (``known``) nothing, as long as that is :data:`FRESH`.
    """
    newest = used.sort("position").group_by(_NAMESPACE, maintain_order=True).last()
    old = known.select(*_NAMESPACE, **{f"old_{name}": pl.col(name) for name in (*TARGET, "seen_at")})
    same = pl.all_horizontal(pl.col(name) == pl.col(f"old_{name}") for name in TARGET)
    fresh = pl.col("seen_at") - pl.col("old_seen_at") <= FRESH
    return newest.join(old, on=_NAMESPACE, how="left").filter(~(same & fresh).fill_null(value=False)).select(*SERVED)
