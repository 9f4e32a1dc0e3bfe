"""Which workspace and namespace a row belongs to, and the verdict that follows.

An Event about an object without a namespace (a Node) is nobody's but the cluster owner's, unless that object itself
says whose it is: no rule on namespaces can hand it to a tenant. Where no rule matches and the cluster has no workspace
of its own, the row is ``unmapped``: archived, and never written anywhere.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import polars as pl

from batcher.schema import CLAIMED, OBJECT, TARGET
from batcher.stages.attribute import ObjectKind
from batcher.stages.expire import FOR_EVER
from batcher.stages.rule import RULED, Rule, first_named, is_named, matches, ruled_namespace, target_namespace, targets
from batcher.telemetry import Verdict

_CLAIM = ("claimed", "claimed_namespace", "flaw")
_OWN = {"own": "workspace", "own_namespace": "target_namespace", "own_name": "target_name", "own_flaw": "flaw"}
"""What an object claims, as a row has it, by the columns of :data:`batcher.schema.OBJECTS`."""
_PLACE = ("cluster", "namespace", "cluster_scoped", *_CLAIM, *_OWN)
_ANSWER = (*TARGET, "target_name")


class Trust(NamedTuple):
    """Whose word on the workspace of a namespace counts."""

    locators: bool = False
    """Whether a Namespace's locator goes before all rules; one with a flaw leaves the namespace unmapped."""
    rules_first: int = 0
    """How many of the rules go before the locator all the same."""
    allowed: tuple[str, ...] = (".*",)
    """Anchored regular expressions of the workspaces that may be written to; any other leaves a row unmapped."""
    objects: tuple[ObjectKind, ...] = ()
    """Kinds whose objects are believed when they say whose they are; one with a flaw leaves its rows unmapped."""
    objects_after: int = 0
    """How many of the rules, and of the locator as one more, go before what objects say."""


BELIEVES_RULES = Trust()

LOCATOR, FLAW, LABELS, LABELS_FLAW = -1, -2, -3, -4
"""What decides beside the rules, which are named by their place: the word of the namespace, or of the object."""
_NOTHING = pl.lit("")


class Case(NamedTuple):
    """One of those that are asked in turn: a rule, or the namespace's or object's own word; the first that holds
    decides.
    """

    decided_by: int
    """The place of a rule, or :data:`LOCATOR` or :data:`LABELS`, or a flaw of these, which leaves it to nobody."""
    holds: pl.Expr
    workspace: pl.Expr = _NOTHING
    target_namespace: pl.Expr = _NOTHING
    target_name: pl.Expr = _NOTHING


def locate(
    rows: pl.LazyFrame,
    claims: pl.LazyFrame,
    *,
    rules: Sequence[Rule],
    trust: Trust = BELIEVES_RULES,
    remembered: timedelta = FOR_EVER,
    objects: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """Add ``workspace, target_namespace`` (empty when unmapped), ``target_name`` (of an object that said it for itself;
    empty: as it is called), ``verdict``, and ``is_told``: whether a Namespace was, or an object that decided.

    In: ``position, received_at, cluster_uid, cluster, namespace, regarding_namespace``; ``claims``, those of the state
    and of the batch, :data:`batcher.schema.CLAIMS`. What a Namespace claimed last before a row's position goes before
    the first rule that matches, also after it was deleted, for as long as that is ``remembered``. The same for
    ``objects`` (:data:`batcher.schema.OBJECTS`); rows then have :data:`batcher.schema.OBJECT` and ``object_uid``.
    """
    rows = with_claims(rows, claims, remembered=remembered, objects=objects)
    places = (
        decide(rows.select(_PLACE).unique(), rules, trust)
        .with_columns(pl.when("is_allowed").then(name).otherwise(pl.lit("")).alias(name) for name in _ANSWER)
        .with_columns(is_told=pl.col("flaw").is_not_null() | (pl.col("decided_by") == LABELS).fill_null(value=False))
        .drop("decided_by", "is_allowed")
    )
    mapped = pl.when(pl.col("workspace") != "").then(pl.lit(Verdict.KEPT.value))
    return (
        rows.join(places, on=_PLACE, how="left", nulls_equal=True)
        .with_columns(verdict=mapped.otherwise(pl.lit(Verdict.UNMAPPED.value)))
        .drop("cluster_scoped", *_CLAIM, *_OWN)
    )


def decide(rows: pl.LazyFrame, rules: Sequence[Rule], trust: Trust) -> pl.LazyFrame:
    """Add to rows of :func:`with_claims` who decides (``decided_by`` of its :class:`Case`; null: nobody), the target
    that follows, and whether its workspace ``is_allowed``.
    """
    turns = {decided_by: turn for turn, decided_by in enumerate(_in_turn(rules, trust))}
    one_by_one = [decided_by for decided_by in turns if decided_by < 0 or not is_named(rules[decided_by])]
    words = _words(trust)
    others = [pl.when(_case(each, rules, words).holds).then(pl.lit(turns[each], pl.Int64)) for each in one_by_one]
    decided_by = pl.lit(list(turns), pl.List(pl.Int64)).list.get("turn")
    is_allowed = pl.any_horizontal(pl.lit(value=False), *(pl.col("workspace").str.contains(p) for p in trust.allowed))
    return (
        first_named(rows, rules, turns)
        .with_columns(turn=pl.min_horizontal("named_turn", pl.coalesce(*others, pl.lit(None, pl.Int64))))
        .with_columns(decided_by=decided_by)
        .join(targets(rules, turns), on="turn", how="left", maintain_order="left")
        .with_columns(
            workspace=_answer("ruled_workspace", "claimed", "own"),
            target_namespace=_answer(ruled_namespace(), "claimed_namespace", "own_namespace"),
            target_name=_answer(_NOTHING, _NOTHING, "own_name"),
        )
        .with_columns(is_allowed=is_allowed)
        .drop("named_turn", "turn", *RULED)
    )


def _answer(ruled: pl.Expr | str, claimed: pl.Expr | str, own: pl.Expr | str) -> pl.Expr:
    """What the one says that decides: a rule, the namespace or the object; nothing where there is none, or a flaw."""
    decided_by = pl.col("decided_by")
    return (
        pl.when(decided_by >= 0).then(ruled).when(decided_by == LOCATOR).then(claimed).when(decided_by == LABELS)
        .then(own).otherwise(_NOTHING)
    )  # fmt: skip


def with_claims(
    rows: pl.LazyFrame,
    claims: pl.LazyFrame,
    *,
    remembered: timedelta = FOR_EVER,
    objects: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """Add what :func:`cases` ask: ``cluster_scoped``, and ``claimed, claimed_namespace, flaw`` as of each row's
    position; null where no Namespace was told of, or one that was deleted longer ago than is ``remembered``. And what
    its object claims.
    """
    said = claims.select(
        "cluster_uid",
        "namespace",
        "position",
        "flaw",
        claimed="workspace",
        claimed_namespace="target_namespace",
        left_at="gone_at",
    )
    found = _with_objects(rows, objects, remembered).join_asof(
        said.sort("position"), on="position", by=("cluster_uid", "namespace"), check_sortedness=False
    )
    forgotten = pl.col("received_at") - pl.col("left_at") > remembered
    return found.with_columns(
        *(pl.when(forgotten).then(None).otherwise(name).alias(name) for name in _CLAIM),
        cluster_scoped=pl.col("regarding_namespace") == "",
    ).drop("left_at")


def _with_objects(rows: pl.LazyFrame, objects: pl.LazyFrame | None, remembered: timedelta) -> pl.LazyFrame:
    """Add :data:`_OWN` by position. What an object of the same name said before this one, or after it, is not its."""
    if objects is None:
        return rows.sort("position").with_columns(pl.lit(None, pl.String).alias(name) for name in _OWN)
    said = objects.select(*CLAIMED, "position", own_uid="uid", left_at="gone_at", **_OWN).sort("position")
    place = ("cluster_uid", "regarding_namespace", *OBJECT)
    found = rows.sort("position").join_asof(
        said, on="position", by_left=place, by_right=CLAIMED, check_sortedness=False
    )
    same = (pl.col("object_uid") == "") | (pl.col("object_uid") == pl.col("own_uid"))
    remembers = (pl.col("received_at") - pl.col("left_at") <= remembered).fill_null(value=True)
    ours = [pl.when(same & remembers).then(name).alias(name) for name in _OWN]
    return found.with_columns(ours).drop("own_uid", "left_at")


def cases(rules: Sequence[Rule], trust: Trust) -> list[Case]:
    """Return who is asked about rows of :func:`with_claims`, in turn: a flaw ends the search, so that what is doubtful
    falls to nobody.
    """
    words = _words(trust)
    return [_case(decided_by, rules, words) for decided_by in _in_turn(rules, trust)]


def _in_turn(rules: Sequence[Rule], trust: Trust) -> list[int]:
    """Who decides, in the order in which they are asked."""
    asked = [[place] for place in range(len(rules))]
    asked.insert(trust.rules_first, [FLAW, LOCATOR])
    if trust.objects:
        in_vain = 0 if trust.locators else 1  # the locator is asked first, for those who want to know
        asked.insert(trust.objects_after + in_vain, [LABELS_FLAW, LABELS])
    return [decided_by for each in asked for decided_by in each]


def _case(decided_by: int, rules: Sequence[Rule], words: Mapping[int, Case]) -> Case:
    if decided_by in words:
        return words[decided_by]
    rule = rules[decided_by]
    return Case(decided_by, matches(rule), pl.lit(rule.workspace), target_namespace(rule))


def _words(trust: Trust) -> dict[int, Case]:
    """What decides beside the rules."""
    ours = ~pl.col("cluster_scoped") & trust.locators
    said = (
        Case(FLAW, ours & (pl.col("flaw") != "")),
        Case(LOCATOR, ours & (pl.col("claimed") != ""), pl.col("claimed"), pl.col("claimed_namespace")),
        Case(LABELS_FLAW, pl.col("own_flaw") != ""),
        Case(LABELS, pl.col("own") != "", pl.col("own"), pl.col("own_namespace"), pl.col("own_name")),
    )
    return {case.decided_by: case for case in said}
