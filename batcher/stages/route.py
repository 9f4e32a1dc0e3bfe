"""Where else a row is told, or that it is only archived: what the configuration's routes say.

Every route that matches applies; a row that none matches goes where it is mapped. What is less severe than anybody is
to read is archived only, whatever routes say. What is told elsewhere says whose it is (``origin``), and is a summary of
its own, so that nobody's text is mixed with it. Judged before adoption: what has no workspace yet is in none that a
route could name. Nothing here decides where a row is mapped.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from batcher.stages.grade import NORMAL, grade, is_severe
from batcher.stages.locate import glob
from batcher.telemetry import Verdict

DEFAULT_NAMESPACE = "default"
_IS_TOLD = pl.col("verdict") != Verdict.ARCHIVE_ONLY.value


class Where(NamedTuple):
    """A place of a route; without ``workspace`` it is in the one that the row is mapped to."""

    workspace: str = ""
    namespace: str = DEFAULT_NAMESPACE


class Route(NamedTuple):
    """Rows that match all of what is given, and where they go. Globs know ``*`` and ``?``."""

    name: str
    severities: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    """Downstream namespaces."""
    clusters: tuple[str, ...] | None = None
    """Names of clusters, no globs; None: all."""
    workspaces: tuple[str, ...] = ()
    """Anchored regular expressions of the workspaces that rows are mapped to."""
    mapped: bool = False
    """Whether they go where they are mapped."""
    elsewhere: tuple[Where, ...] = ()


def route(
    rows: pl.LazyFrame, routes: Sequence[Route], *, critical: Sequence[str] = (), minimum: str = NORMAL
) -> pl.LazyFrame:
    """Add ``routes`` (the names of those that match), and the verdict ``archive-only`` to what is told nowhere: because
    of its routes, or because it is less severe than ``minimum``.

    In: ``cluster, namespace, type, reason, workspace, verdict``.
    """
    names: list[pl.Expr] = [pl.when(_matches(each, critical)).then(pl.lit(each.name)) for each in routes]
    named = rows.with_columns(routes=pl.concat_str(names or [pl.lit("")], separator=",", ignore_nulls=True))
    is_told = _goes(routes, [each for each in routes if each.mapped or each.elsewhere]) & is_severe(minimum, critical)
    return named.with_columns(verdict=pl.when(is_told).then("verdict").otherwise(pl.lit(Verdict.ARCHIVE_ONLY.value)))


def told_mapped(rows: pl.LazyFrame, routes: Sequence[Route]) -> pl.LazyFrame:
    """Return the rows of :func:`route` that go where they are mapped, with an empty ``origin``."""
    goes = _goes(routes, [each for each in routes if each.mapped]) & _IS_TOLD
    return rows.filter(goes).with_columns(origin=pl.lit(""))


def told_elsewhere(rows: pl.LazyFrame, routes: Sequence[Route], *, allowed: Sequence[str]) -> pl.LazyFrame:
    """Return the rows of :func:`route` once for each other place that they go to, with that as ``workspace`` and
    ``target_namespace``, and ``origin``: the mapped workspace and namespace, both empty if unmapped.

    No place that is not ``allowed`` (anchored regular expressions), and none where a row is mapped already.
    """
    mapped_too = _goes(routes, [each for each in routes if each.mapped])
    origin = pl.concat_str("workspace", "target_namespace", separator="/")
    copies = [rows.clear().with_columns(origin=origin)]
    for place in sorted({place for each in routes for place in each.elsewhere}):
        workspace = pl.lit(place.workspace) if place.workspace else pl.col("workspace")
        is_allowed = pl.any_horizontal(pl.lit(value=False), *(workspace.str.contains(pattern) for pattern in allowed))
        here = (pl.col("workspace") == workspace) & (pl.col("target_namespace") == place.namespace) & mapped_too
        named = _named([each for each in routes if place in each.elsewhere])
        goes = named & _IS_TOLD & is_allowed & (workspace != "") & ~here
        copies.append(
            rows.filter(goes).with_columns(origin=origin, workspace=workspace, target_namespace=pl.lit(place.namespace))
        )
    return pl.concat(copies)


def _goes(routes: Sequence[Route], through: Sequence[Route]) -> pl.Expr:
    """Whether no route matches a row, or one of ``through`` does."""
    return pl.lit(value=True) if not routes else (pl.col("routes") == "") | _named(through)


def _named(routes: Sequence[Route]) -> pl.Expr:
    names = "|".join(re.escape(each.name) for each in routes)
    return pl.col("routes").str.contains(f"(^|,)({names})(,|$)") if routes else pl.lit(value=False)


def _matches(each: Route, critical: Sequence[str]) -> pl.Expr:
    texts = {"reason": each.reasons, "namespace": each.namespaces}
    conditions = [_any(pl.col(name), [glob(text) for text in given]) for name, given in texts.items() if given]
    if each.severities:
        conditions.append(grade(critical).is_in(list(each.severities)))
    if each.types:
        conditions.append(pl.col("type").is_in(list(each.types)))
    if each.clusters is not None:
        conditions.append(pl.col("cluster").is_in(list(each.clusters)))
    if each.workspaces:
        conditions.append(_any(pl.col("workspace"), each.workspaces))
    return pl.all_horizontal(pl.lit(value=True), *conditions)


def _any(text: pl.Expr, patterns: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal(*(text.str.contains(pattern) for pattern in patterns))
