"""What a rule of the mapping says, and which of many holds first of a place.

Most rules give a namespace, a cluster or both by their names. Those are looked up, so that a thousand of them cost what
ten do; only globs are asked one by one. Nothing here knows what else may decide, nor who is allowed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from batcher.schema import Columns

_ANY = "*"
_PLACEHOLDER = "{namespace}"


class Rule(NamedTuple):
    """Maps namespaces of clusters to a workspace; the globs know ``*`` (any text) and ``?`` (one character)."""

    cluster: str
    namespace: str
    workspace: str
    target_namespace: str = _PLACEHOLDER
    """``{namespace}`` stands for the downstream namespace's name."""
    cluster_scoped: bool = False
    """Whether it also takes Events about objects without a namespace, into namespace ``default``."""


def glob(pattern: str) -> str:
    """Return the anchored, linear-time regular expression of a glob of ``*`` and ``?``."""
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    return "^" + "".join(parts.get(char) or re.escape(char) for char in pattern) + "$"


def matches(rule: Rule) -> pl.Expr:
    """Whether ``rule`` holds of a place: ``cluster, namespace``, and ``cluster_scoped``, that its object is in none."""
    name = pl.col("cluster").str.contains(glob(rule.cluster))
    namespace = pl.col("namespace").str.contains(glob(rule.namespace)) & ~pl.col("cluster_scoped")
    return name & (namespace | (pl.col("cluster_scoped") & rule.cluster_scoped))


def target_namespace(rule: Rule) -> pl.Expr:
    """Return the namespace of the workspace that ``rule`` gives a place."""
    return _within(*map(pl.lit, _parts(rule)))


def _parts(rule: Rule) -> tuple[str, bool, str]:
    """What stands before and after the namespace's own name, and between them whether that is named."""
    before, placeholder, after = rule.target_namespace.partition(_PLACEHOLDER)
    return before, bool(placeholder), after


def _within(before: pl.Expr, is_named: pl.Expr, after: pl.Expr) -> pl.Expr:
    middle = pl.when(is_named).then("namespace").otherwise(pl.lit(""))
    return pl.when("cluster_scoped").then(pl.lit("default")).otherwise(pl.concat_str(before, middle, after))


def is_named(rule: Rule) -> bool:
    """Whether ``rule`` gives names, or takes all, so that :func:`first_named` finds where it holds."""
    return all(each == _ANY or not {"*", "?"}.intersection(each) for each in (rule.cluster, rule.namespace))


def first_named(rows: pl.LazyFrame, rules: Sequence[Rule], turns: Mapping[int, int]) -> pl.LazyFrame:
    """Add ``named_turn``, the least of the ``turns`` of those ``rules`` that are named and hold of a row; null: none
    does. ``turns`` are by the place of a rule, and grow with it. Order and number of rows stay.
    """
    tables: dict[tuple[str, ...], dict[tuple[bool | str, ...], int]] = {}
    for place, rule in enumerate(rules):
        for names in _names(rule):
            tables.setdefault(tuple(names), {}).setdefault(tuple(names.values()), turns[place])
    columns = [f"named_turn_{number}" for number in range(len(tables))]
    for column, (on, table) in zip(columns, tables.items(), strict=True):
        schema = {name: pl.Boolean if name == "cluster_scoped" else pl.String for name in on} | {column: pl.Int64}
        known = pl.LazyFrame([(*names, turn) for names, turn in table.items()], schema=schema, orient="row")
        rows = rows.join(known, on=on, how="left", maintain_order="left")
    return rows.with_columns(named_turn=pl.min_horizontal(*columns, pl.lit(None, pl.Int64))).drop(columns)


_Names = dict[str, bool | str]


def _names(rule: Rule) -> list[_Names]:
    """The columns and values of the places of which ``rule`` holds, one where it has a name for them."""
    if not is_named(rule):
        return []
    cluster: _Names = {} if rule.cluster == _ANY else {"cluster": rule.cluster}
    namespace: _Names = {} if rule.namespace == _ANY else {"namespace": rule.namespace}
    within: _Names = {"cluster_scoped": False, **cluster, **namespace}
    return [within, {"cluster_scoped": True, **cluster}] if rule.cluster_scoped else [within]


RULED: Columns = {"ruled_workspace": pl.String, "before": pl.String, "is_named": pl.Boolean, "after": pl.String}
"""What :func:`targets` has of a rule."""


def targets(rules: Sequence[Rule], turns: Mapping[int, int]) -> pl.LazyFrame:
    """Return ``turn`` of each rule, and :data:`RULED`, of which :func:`ruled_namespace` is made."""
    rows = [(turns[place], rule.workspace, *_parts(rule)) for place, rule in enumerate(rules)]
    return pl.LazyFrame(rows, schema={"turn": pl.Int64, **RULED}, orient="row")


def ruled_namespace() -> pl.Expr:
    """Return the same as :func:`target_namespace`, of rows with :data:`RULED`."""
    return _within(pl.col("before"), pl.col("is_named"), pl.col("after"))
