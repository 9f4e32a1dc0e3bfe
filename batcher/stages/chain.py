"""What led to what: the likely cause of each happening, and the root that its causes go back to.

The cause of an effect is the newest happening that a rule of :mod:`batcher.causes` allows: of the same thing, not more
than the rule's lag before it, nor more than :data:`batcher.stages.happen.SKEW` after it, for their clocks may differ.
Of several rules the surest decides; everything else is decided by time and position. It is chosen when nothing that
could change it can still come (``due_at``), so that neither cuts nor the order of delivery choose; before, it is a
guess, which is never archived. What comes too late for that is linked only to what came in the same minute: a list
after an outage tells of causes and effects at once.

Objects are names here: that one is deleted meanwhile changes nothing. Nothing leaves its cluster.
"""

import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from batcher.causes import CauseRule, meanings
from batcher.schema import FOLLOWED, KNOWN_CAUSES, LINKED, LINKS, Columns, empty
from batcher.stages.happen import LATENESS, ONE_MINUTE, SKEW

FOUND: Columns = {"position": pl.Int64, "cause_position": pl.Int64, "rule": pl.String, "confidence": pl.Float64}
"""An effect, its cause, the rule that says so, and how sure that is: its weight, less up to a half by its lag."""

REMEMBERED = timedelta(hours=1)
"""A link that is found again within so long is not written again."""

_OBJECT = ("regarding_kind", "regarding_namespace", "regarding_name")
_OTHER = ("other_kind", "regarding_namespace", "other_name")
_WAYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "refers": (_OTHER, _OBJECT),
    "referred": (_OBJECT, _OTHER),
    **{
        way: (part, part)
        for way, part in {
            "object": _OBJECT,
            "owner": ("regarding_namespace", "owner"),
            "node": ("node",),
            "volume": ("regarding_namespace", "volume"),
            "image": ("image",),
            "namespace": ("regarding_namespace",),
        }.items()
    },
}
"""By how a rule joins: which columns of the cause have to be the same as which of the effect."""
_RELATED = ("refers", "referred")
_ON_TIME = 0
"""``came_in`` is the minute of receipt of what came too late to be linked across minutes."""
_SAID = ("summary", "reason", "kind", "namespace", "name", "at", "position", "workspace", "target_namespace")
"""What is said of a cause or a root, in the columns of the happening that it is."""


def find(effects: pl.LazyFrame, happenings: pl.LazyFrame, *, rules: Sequence[CauseRule]) -> pl.LazyFrame:
    """Return :data:`FOUND` of those of ``effects`` that have a cause among ``happenings``.

    In: :data:`batcher.schema.HAPPENINGS`.
    """
    ways = [way for way in _WAYS if len(_table("effect", way, tuple(rules)))]
    joined = [_joined(effects, happenings, way, tuple(rules)) for way in ways]
    return _surest(pl.concat(joined)) if joined else empty(FOUND).lazy()


def within_reach(effects: pl.DataFrame, rules: Sequence[CauseRule]) -> pl.Expr:
    """Whether a happening may be a cause of any of ``effects`` by ``rules``, as far as its time and reason say."""
    first, last = effects["happened_at"].min(), effects["happened_at"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime) or not rules:
        return pl.lit(value=False)
    lag = max(rule.largest_lag for rule in rules)
    is_near = pl.col("happened_at").is_between(first - lag, last + SKEW)
    return is_near & pl.col("reason").is_in(sorted({reason for rule in rules for reason in rule.cause.reasons}))


def _joined(effects: pl.LazyFrame, happenings: pl.LazyFrame, way: str, rules: tuple[CauseRule, ...]) -> pl.LazyFrame:
    """The newest cause of each effect by each rule that joins ``way``, if it is near."""
    key = ("number", "cluster_uid", "came_in", *(f"key_{n}" for n in range(len(_WAYS[way][0]))))
    wants = _sided(effects, "effect", way, rules).with_columns(until=pl.col("happened_at") + SKEW)
    late = wants.filter(pl.col("received_at") - pl.col("happened_at") > LATENESS).with_columns(came_in=_minute())
    wanted = pl.concat([wants.with_columns(came_in=pl.lit(_ON_TIME, pl.Int64)), late])
    is_late = pl.col("received_at") - pl.col("happened_at") > pl.col("lag") + LATENESS
    offered = (
        _sided(happenings, "cause", way, rules)
        .with_columns(came_in=pl.when(is_late).then(_minute()).otherwise(_ON_TIME))
        .select(*key, until="happened_at", cause_at="happened_at", cause_position="position")
        .join(wanted, on=key, how="semi")
        .sort("until", "cause_position")
        .unique((*key, "until"), keep="last", maintain_order=True)
    )
    return (
        wanted.sort("until", "position")
        .join_asof(offered, on="until", by=key, check_sortedness=False)
        .filter(_is_near())
        .select("position", "cause_position", "cause_at", "happened_at", "number", "rule", "lag", "weight")
    )


def _sided(
    happenings: pl.LazyFrame, role: Literal["cause", "effect"], way: str, rules: tuple[CauseRule, ...]
) -> pl.LazyFrame:
    """A row for each rule that a happening can be the ``role`` of, with the key that it is joined by."""
    columns = _WAYS[way][role == "effect"]
    kind, about = pl.col("side_kind"), pl.col("side_about")
    return (
        happenings.filter(pl.col(columns[-1]) != "")
        .join(_table(role, way, rules).lazy(), on="reason")
        .filter(((kind == "") | (kind == pl.col("regarding_kind"))) & ((about == "") | (about == pl.col("about"))))
        .select(
            "number", "cluster_uid", "position", "received_at", "happened_at", "rule", "lag", "weight",
            **{f"key_{n}": pl.col(name) for n, name in enumerate(columns)},
        )
    )  # fmt: skip


@functools.lru_cache(maxsize=256)
def _table(role: Literal["cause", "effect"], way: str, rules: tuple[CauseRule, ...]) -> pl.DataFrame:
    """Those of ``rules`` that join ``way``, by the reasons of one side; kept, because a batch asks for many."""
    rows = [
        (number, rules[number].name, reason, kind, about, rules[number].largest_lag, rules[number].weight)
        for number, side, reason, kind, about in meanings(rules)
        if side == role and way in (_RELATED if rules[number].join == "related" else (rules[number].join,))
    ]
    columns: Columns = {
        "number": pl.Int64, "rule": pl.String, "reason": pl.String, "side_kind": pl.String, "side_about": pl.String,
        "lag": pl.Duration("us"), "weight": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=columns, orient="row")


def _minute() -> pl.Expr:
    return pl.col("received_at").dt.truncate("1m").dt.timestamp("us")


def _is_near() -> pl.Expr:
    """Whether the newest cause is within the rule's lag, and still known when the effect was received."""
    within = pl.col("happened_at") - pl.col("cause_at") <= pl.col("lag")
    known = pl.col("received_at") - pl.col("cause_at") <= pl.col("lag") + LATENESS + ONE_MINUTE
    other = pl.col("cause_position") != pl.col("position")
    return within & other & (known | (pl.col("came_in") != _ON_TIME))


def _surest(joined: pl.LazyFrame) -> pl.LazyFrame:
    apart = (pl.col("happened_at") - pl.col("cause_at")).abs().dt.total_microseconds()
    lag = apart / pl.max_horizontal(pl.col("lag"), pl.lit(SKEW)).dt.total_microseconds()
    return (
        joined.with_columns(confidence=(pl.col("weight") * (1 - lag / 2)).round(3))
        .sort("position", "confidence", "cause_at", "cause_position", "number")
        .unique("position", keep="last", maintain_order=True)
        .select(*FOUND)
    )


def follow(found: pl.LazyFrame, reached: pl.LazyFrame, *, now: datetime) -> pl.LazyFrame:
    """Return those of ``found`` whose cause is among ``reached``, with its root: :data:`batcher.schema.FOLLOWED`.

    In: ``found``, :data:`batcher.schema.HAPPENINGS` with :data:`FOUND`; ``reached``, happenings with ``final_at``
    whose own causes are followed already. What is due by ``now`` is final.
    """
    is_root = pl.col("path") == ""
    causes = reached.join(found, left_on="position", right_on="cause_position", how="semi").select(
        **{f"cause_{name}": _said(name) for name in _SAID},
        **{f"of_root_{name}": pl.when(is_root).then(_said(name)).otherwise(f"root_{name}") for name in _SAID},
        cause_path=pl.when(is_root).then("reason").otherwise("path"),
        cause_certainty="certainty",
        cause_final_at="final_at",
    )
    return (
        found.join(causes, on="cause_position")
        .with_columns(
            path=pl.concat_str("cause_path", pl.lit(" > "), "reason"),
            certainty=(pl.col("cause_certainty") * pl.col("confidence")).round(3),
            final_at=pl.max_horizontal("due_at", "cause_final_at"),
            is_final=pl.col("due_at") < now,
            **{f"root_{name}": pl.col(f"of_root_{name}") for name in _SAID},
        )
        .select(*FOLLOWED)
    )


def _said(name: str) -> pl.Expr:
    columns = {"kind": "told_kind", "name": "told_name", "namespace": "regarding_namespace", "at": "happened_at"}
    return pl.col(columns.get(name, name))


def link(followed: pl.LazyFrame, known: pl.LazyFrame, *, batch: int) -> pl.LazyFrame:
    """Return the links that are new, :data:`batcher.schema.LINKS`: the first of each in an hour in which it recurs.

    In: :data:`batcher.schema.FOLLOWED`, :data:`batcher.schema.KNOWN_LINKS`.
    """
    used = _links(followed, batch).join(known, on=LINKED, how="left").sort("final_at", "effect_position")
    before = pl.coalesce(pl.col("final_at").shift(1).over(LINKED), "used_at")
    is_new = before.is_null() | (pl.col("final_at") - before > REMEMBERED)
    return used.filter(is_new).select(*LINKS)


def _links(followed: pl.LazyFrame, batch: int) -> pl.LazyFrame:
    """What a summary counts, and neither counts nor was counted as its own cause."""
    told = followed.filter(
        pl.col("is_final") & (pl.col("summary") != "") & (pl.col("summary") != pl.col("cause_summary"))
    )
    return told.with_columns(
        batch=pl.lit(batch, pl.Int64),
        root_confidence="certainty",
        **{f"effect_{name}": _said(name) for name in _SAID},
    )


def remember_links(followed: pl.LazyFrame) -> pl.LazyFrame:
    """Return what the state has to hold of the links that were found, written or not."""
    return _links(followed, 0).group_by(LINKED).agg(used_at=pl.max("final_at")).sort(LINKED)


def forgotten_links(known: pl.LazyFrame, now: datetime) -> pl.LazyFrame:
    """Return the links that would be written if they were found again, and so need not be known any more."""
    return known.filter(pl.lit(now) - pl.col("used_at") > REMEMBERED).select(LINKED).sort(LINKED)


def surest(followed: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Return the surest cause of each summary that ``followed`` speaks of.

    In: :data:`batcher.schema.FOLLOWED`. In and out: :data:`batcher.schema.KNOWN_CAUSES`. By the step to the effect, not
    by the whole way: a longer one is known better, not less. What is final goes before a guess.
    """
    told = followed.filter((pl.col("summary") != "") & (pl.col("summary") != pl.col("root_summary")))
    return (
        pl.concat([known.join(told, on="summary", how="semi"), told.select(*KNOWN_CAUSES)])
        .sort("summary", "confidence", "is_final", "position")
        .unique("summary", keep="last", maintain_order=True)
    )


def rename(frame: pl.LazyFrame, moved: pl.LazyFrame, *, of: str) -> pl.LazyFrame:
    """Return those rows of ``frame`` whose ``<of>summary`` has another name and target now, with these.

    In: what :func:`batcher.stages.adopt.moves` says.
    """
    names = ("summary", "workspace", "target_namespace")
    to = moved.select("was", **{f"to_{name}": pl.col(name) for name in names})
    there = [name for name in names if f"{of}{name}" in frame.collect_schema().names()]
    return (
        frame.join(to, left_on=f"{of}summary", right_on="was")
        .with_columns(pl.col(f"to_{name}").alias(f"{of}{name}") for name in there)
        .drop(f"to_{name}" for name in names)
    )
