"""Which workspace and namespace a row belongs to, and the verdict that follows.

An Event about an object without a namespace (a Node) is nobody's but the cluster owner's: no rule on
namespaces can hand it to a tenant. Where no rule matches and the cluster has no workspace of its own, the
row is ``unmapped``: archived, and never written anywhere.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from batcher.telemetry import Verdict

_PLACE = ("cluster", "namespace", "cluster_scoped")


class Rule(NamedTuple):
    """Maps namespaces of clusters to a workspace; the globs know ``*`` (any text) and ``?`` (one character)."""

    cluster: str
    namespace: str
    workspace: str
    target_namespace: str = "{namespace}"
    """``{namespace}`` stands for the downstream namespace's name."""
    cluster_scoped: bool = False
    """Whether it also takes Events about objects without a namespace, into namespace ``default``."""


def locate(rows: pl.LazyFrame, *, rules: Sequence[Rule]) -> pl.LazyFrame:
    """Add ``workspace, target_namespace`` (empty when unmapped) and ``verdict``; the first matching rule wins.

    In: ``cluster, namespace, regarding_namespace``.
    """
    rows = rows.with_columns(cluster_scoped=pl.col("regarding_namespace") == "")
    workspace = _first([(_matches(rule), pl.lit(rule.workspace)) for rule in rules])
    target = _first([(_matches(rule), _target_namespace(rule)) for rule in rules])
    places = rows.select(_PLACE).unique().with_columns(workspace=workspace, target_namespace=target)
    mapped = pl.when(pl.col("workspace") != "").then(pl.lit(Verdict.KEPT.value))
    return (
        rows.join(places, on=_PLACE, how="left")
        .with_columns(verdict=mapped.otherwise(pl.lit(Verdict.UNMAPPED.value)))
        .drop("cluster_scoped")
    )


def _first(cases: list[tuple[pl.Expr, pl.Expr]]) -> pl.Expr:
    """The value of the first case whose condition holds, else empty."""
    return pl.coalesce(*(pl.when(condition).then(value) for condition, value in cases), pl.lit(""))


def _matches(rule: Rule) -> pl.Expr:
    name = pl.col("cluster").str.contains(glob(rule.cluster))
    namespace = pl.col("namespace").str.contains(glob(rule.namespace)) & ~pl.col("cluster_scoped")
    return name & (namespace | (pl.col("cluster_scoped") & rule.cluster_scoped))


def _target_namespace(rule: Rule) -> pl.Expr:
    before, placeholder, after = rule.target_namespace.partition("{namespace}")
    middle = pl.col("namespace") if placeholder else pl.lit("")
    within = pl.concat_str(pl.lit(before), middle, pl.lit(after))
    return pl.when("cluster_scoped").then(pl.lit("default")).otherwise(within)


def glob(pattern: str) -> str:
    """Return the anchored, linear-time regular expression of a glob of ``*`` and ``?``."""
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    return "^" + "".join(parts.get(char) or re.escape(char) for char in pattern) + "$"
