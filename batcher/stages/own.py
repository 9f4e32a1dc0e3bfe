"""Whose an object is by its own word, and what waits for that word.

As of a position, as a Namespace's word is: see :mod:`batcher.stages.adopt`, whose rules hold here too. From the first
thing that an object of its name says, what is unmapped of it waits for the target of an object of its uid, and for its
namespace's no more; until then for whichever comes first. A target that it said before, or that its namespace had,
counts as one that it had, whether or not anything was told there: what lies between that and another is nobody's.

What is known from a batch before is not judged again: a target that follows only from what has changed since, in the
configuration or in the namespace, holds for what happens from then on and adopts nothing. What is about an object
without a namespace waits for nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from batcher.schema import CLAIMED, OBJECT_LISTS, OBJECTS, TARGET, Columns, empty
from batcher.stages.locate import Trust, locate
from batcher.stages.miss import miss, settle_lists
from batcher.stages.rule import Rule

_NAMESPACE = ("cluster_uid", "namespace")
_WAS = ("was_workspace", "was_namespace")
_TO = ("to_workspace", "to_namespace", "to_name")
_ADOPTING = (*_TO, *_WAS, "told_by", "told_at")


class Said(NamedTuple):
    """What objects say, before and in the batch."""

    lines: pl.LazyFrame
    """:data:`batcher.schema.OBJECTS` by position, with ``spoken``: the position, 0 for what the state knew."""
    lists: pl.LazyFrame
    """:data:`batcher.schema.OBJECT_LISTS`."""


_SPOKEN: Columns = {**OBJECTS, "spoken": pl.Int64}
SILENCE = Said(empty(_SPOKEN).lazy(), empty(OBJECT_LISTS).lazy())
"""No object has ever said anything."""
NO_WORD = empty({**_SPOKEN, **dict.fromkeys(_TO, pl.String())})
"""What :func:`judge_objects` returns then."""


def hear(known: pl.LazyFrame, told: pl.LazyFrame, lists: pl.LazyFrame) -> Said:
    """Return what is ``known`` and ``told``, and a line for each object that ``lists`` miss."""
    all_told = pl.concat([told, miss(pl.concat([known, told]).sort("position"), lists)])
    spoken = [known.with_columns(spoken=pl.lit(0, pl.Int64)), all_told.with_columns(spoken="position")]
    return Said(pl.concat(spoken).sort("position", *CLAIMED), lists)


def judge_objects(
    said: Said, claims: pl.LazyFrame, had: pl.LazyFrame, *, rules: Sequence[Rule], trust: Trust, remembered: timedelta
) -> pl.LazyFrame:
    """Return the lines that were ``said`` with the target of each that is told as ``to_*`` (null: none), and the one
    that it had before as ``was_*`` (empty: none).

    In: ``claims``, those of Namespaces; ``had``, the targets that they had: ``cluster_uid, namespace, position,
    had_workspace, had_namespace``.
    """
    told = said.lines.filter(pl.col("spoken") > 0)
    asked = told.select(
        "position", "received_at", "cluster", *CLAIMED, regarding_namespace="namespace", object_uid="uid"
    )
    located = locate(asked, claims, rules=rules, trust=trust, remembered=remembered, objects=said.lines)
    is_mapped = pl.col("workspace") != ""
    answers = dict(zip(_TO, (*TARGET, "target_name"), strict=True))
    targets = located.select(
        *CLAIMED, "position", **{to: pl.when(is_mapped).then(name) for to, name in answers.items()}
    )
    left = pl.col("received_at") - pl.col("gone_at").shift(1).over(CLAIMED) > remembered
    return (
        said.lines.join(targets, on=(*CLAIMED, "position"), how="left", maintain_order="left")
        .with_columns(life=left.fill_null(value=False).cum_sum().over(CLAIMED))
        .with_columns(_had_before(was, name) for was, name in zip(_WAS, TARGET, strict=True))
        .sort("position")
        .join_asof(had.sort("position"), on="position", by=_NAMESPACE, check_sortedness=False)
        .with_columns(_inherited(was) for was in _WAS)
        .select(*OBJECTS, "spoken", *_TO)
    )


def _had_before(was: str, name: str) -> pl.Expr:
    """The last target that was said up to the line before; the state's own line knows the one before it."""
    is_said = (pl.col("flaw") == "") & (pl.col("workspace") != "")
    said = pl.coalesce(pl.when(is_said).then(name), pl.when(pl.col("was_workspace") != "").then(was))
    return pl.coalesce(said.forward_fill().shift(1).over(*CLAIMED, "life"), was).alias(was)


def _inherited(was: str) -> pl.Expr:
    had = pl.col(was.replace("was_", "had_")).fill_null("")
    return pl.when(pl.col("was_workspace") == "").then(had).otherwise(was).alias(was)


def objects_now(judged: pl.LazyFrame, lists: pl.LazyFrame, now: datetime, *, remembered: timedelta) -> pl.LazyFrame:
    """Return the newest of ``judged`` of each object, :data:`batcher.schema.OBJECTS`, without those that were deleted
    longer ago than is ``remembered``.
    """
    newest = judged.sort("position").group_by(CLAIMED, maintain_order=True).last()
    forgotten = (pl.lit(now) - pl.col("gone_at") > remembered).fill_null(value=False)
    return settle_lists(newest.filter(~forgotten), lists).select(*OBJECTS)


def name_objects(rows: pl.LazyFrame, judged: pl.LazyFrame, *, remembered: timedelta) -> pl.LazyFrame:
    """Fill ``claimed_uid``, where it is empty, with the uid of the row's object as of its position; before the first
    line of an object it is that one's.

    In: ``position, received_at, cluster_uid, namespace`` and :data:`batcher.schema.OBJECT`.
    """
    lines = judged.select(*CLAIMED, "position", said_uid="uid", left_at="gone_at").sort("position")
    before = rows.sort("position").join_asof(lines, on="position", by=CLAIMED, check_sortedness=False)
    both = before.join_asof(
        lines, on="position", by=CLAIMED, strategy="forward", suffix="_next", check_sortedness=False
    )
    remembers = (pl.col("received_at") - pl.col("left_at") <= remembered).fill_null(value=True)
    found = pl.coalesce(pl.when(remembers).then("said_uid"), "said_uid_next", pl.lit(""))
    uid = pl.when(pl.col("claimed_uid") == "").then(found).otherwise("claimed_uid")
    return both.with_columns(claimed_uid=uid).drop("said_uid", "said_uid_next", "left_at", "left_at_next")


def instead(found: pl.LazyFrame, judged: pl.LazyFrame, *, remembered: timedelta) -> pl.LazyFrame:
    """Put the first target of a row's own object after it in place of its namespace's (``to_*, was_*, told_by,
    told_at``; null: none), if an object of that name had said anything when that one was told; add ``to_name``.

    In: rows of :func:`name_objects`.
    """
    lines = judged.sort("position")
    # When an object that is known said its first word is not: before the batch.
    said = lines.select(*CLAIMED, told_by="spoken", is_said=pl.lit(value=True), left_at="gone_at").sort("told_by")
    told = {"told_by": pl.col("position"), "told_at": pl.col("received_at")}
    own = lines.filter(pl.col("to_workspace").is_not_null()).select(
        *CLAIMED, "position", *_TO, *_WAS, **told, claimed_uid="uid"
    )
    both = (
        found.with_columns(to_name=pl.lit(""))
        .sort("told_by")
        .join_asof(said, on="told_by", by=CLAIMED, check_sortedness=False)
        .sort("position")
        .join_asof(
            own, on="position", by=(*CLAIMED, "claimed_uid"), strategy="forward", suffix="_own", check_sortedness=False
        )
    )
    remembers = (pl.col("told_at") - pl.col("left_at") <= remembered).fill_null(value=True)
    is_own = pl.col("told_by").is_null() | (pl.col("is_said").is_not_null() & remembers)
    ours = [pl.when(is_own).then(f"{name}_own").otherwise(name).alias(name) for name in _ADOPTING]
    named = both.with_columns(ours).with_columns(pl.col("to_name").fill_null(""))
    return named.drop("is_said", "left_at", *(f"{name}_own" for name in _ADOPTING))


def silent(waiting: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Return what of ``waiting`` is of no object that is ``known`` to have said anything."""
    return waiting.join(known, on=CLAIMED, how="anti")
