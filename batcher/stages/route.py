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

from batcher.stages.grade import NORMAL, is_severe
from batcher.stages.match import Match, matches
from batcher.telemetry import Verdict

DEFAULT_NAMESPACE = "default"
_MAY_BE_TOLD = pl.col("verdict").is_in([Verdict.KEPT.value, Verdict.UNMAPPED.value, Verdict.LIMITED.value])
"""What is filtered or only archived is told nowhere, whatever a route says."""


class Where(NamedTuple):
    """A place of a route; without ``workspace`` it is in the one that the row is mapped to."""

    workspace: str = ""
    namespace: str = DEFAULT_NAMESPACE


class Route(NamedTuple):
    """Rows, and where they go."""

    name: str
    match: Match = Match()
    mapped: bool = False
    """Whether they go where they are mapped."""
    elsewhere: tuple[Where, ...] = ()


def route(
    rows: pl.LazyFrame, routes: Sequence[Route], *, critical: Sequence[str] = (), minimum: str = NORMAL
) -> pl.LazyFrame:
    """Add ``routes`` (the names of those that match), and the verdict ``archive-only`` to what is told nowhere: because
    of its routes, or because it is less severe than ``minimum``.

    In: what :func:`batcher.stages.match.matches` needs, and ``verdict``, which stays where nobody is told anyway.
    """
    names: list[pl.Expr] = [pl.when(matches(each.match, critical=critical)).then(pl.lit(each.name)) for each in routes]
    named = rows.with_columns(routes=pl.concat_str(names or [pl.lit("")], separator=",", ignore_nulls=True))
    is_told = _goes(routes, [each for each in routes if each.mapped or each.elsewhere]) & is_severe(minimum, critical)
    stays = is_told | ~_MAY_BE_TOLD
    return named.with_columns(verdict=pl.when(stays).then("verdict").otherwise(pl.lit(Verdict.ARCHIVE_ONLY.value)))


def told_mapped(rows: pl.LazyFrame, routes: Sequence[Route]) -> pl.LazyFrame:
    """Return the rows of :func:`route` that go where they are mapped, with an empty ``origin``."""
    goes = _goes(routes, [each for each in routes if each.mapped]) & _MAY_BE_TOLD
    return rows.filter(goes).with_columns(origin=pl.lit(""))


def told_elsewhere(rows: pl.LazyFrame, routes: Sequence[Route], *, allowed: Sequence[str]) -> pl.LazyFrame:
    """Return the rows of :func:`route` once for each other place that they go to, with that as ``workspace`` and
    ``target_namespace``, and ``origin``: the mapped workspace and namespace, both empty if unmapped.

    No place that is not ``allowed`` (anchored regular expressions), and none where a row is mapped already.
    """
    rows = rows.filter(_MAY_BE_TOLD)
    mapped_too = _goes(routes, [each for each in routes if each.mapped])
    origin = pl.concat_str("workspace", "target_namespace", separator="/")
    copies = [rows.clear().with_columns(origin=origin)]
    for place in sorted({place for each in routes for place in each.elsewhere}):
        workspace = pl.lit(place.workspace) if place.workspace else pl.col("workspace")
        is_allowed = pl.any_horizontal(pl.lit(value=False), *(workspace.str.contains(pattern) for pattern in allowed))
        here = (pl.col("workspace") == workspace) & (pl.col("target_namespace") == place.namespace) & mapped_too
        named = _named([each for each in routes if place in each.elsewhere])
        goes = named & is_allowed & (workspace != "") & ~here
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
