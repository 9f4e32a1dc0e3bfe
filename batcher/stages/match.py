"""Which rows a rule of the configuration is for: one form, whoever asks.

Every pattern of a user runs in polars' own engine, in time linear in the text: text is hostile, and a backtracking
engine would let one message stop every batch. Nothing here decides what becomes of a row that matches.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from batcher.stages.grade import grade
from batcher.stages.rule import glob


class Match(NamedTuple):
    """Rows that match all of what is given, and one of each list. Globs know ``*`` and ``?``."""

    severities: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    """In any case, as kubectl takes them."""
    reasons: tuple[str, ...] = ()
    """Globs."""
    namespaces: tuple[str, ...] = ()
    """Globs of downstream namespaces."""
    objects: tuple[str, ...] = ()
    """Globs ``kind/name`` of the object that an Event is about, as the Event names it; the kind in any case."""
    clusters: tuple[str, ...] | None = None
    """Names of clusters, no globs; None: all."""
    workspaces: tuple[str, ...] = ()
    """Anchored regular expressions of the workspaces that rows are mapped to."""
    message: str = ""
    """A regular expression, found anywhere in the message."""


_LISTS = ("severities", "types", "reasons", "namespaces", "objects", "workspaces")


def matches(match: Match, *, critical: Sequence[str] = ()) -> pl.Expr:
    """Whether a row matches; never null, and what is null in a row matches nothing that is given.

    In: ``cluster, namespace, type, reason, regarding_kind, regarding_name, workspace, message``, those that are given.
    """
    conditions = [*_of_names(match), *_of_lists(match, critical)]
    if match.message:
        conditions.append(pl.col("message").str.contains(match.message))
    return pl.all_horizontal(pl.lit(value=True), *conditions).fill_null(value=False)


def _of_names(match: Match) -> list[pl.Expr]:
    texts = {"reason": match.reasons, "namespace": match.namespaces}
    conditions = [_one_of(pl.col(name), given) for name, given in texts.items() if given]
    if match.objects:
        conditions.append(pl.any_horizontal(*(_is_object(given) for given in match.objects)))
    if match.workspaces:
        conditions.append(_any(pl.col("workspace"), match.workspaces))
    return conditions


def _of_lists(match: Match, critical: Sequence[str]) -> list[pl.Expr]:
    conditions = []
    if match.severities:
        conditions.append(grade(critical).is_in(list(match.severities)))
    if match.types:
        conditions.append(pl.col("type").str.to_lowercase().is_in([each.lower() for each in match.types]))
    if match.clusters is not None:
        conditions.append(pl.col("cluster").is_in(list(match.clusters)))
    return conditions


def _one_of(text: pl.Expr, globs: Sequence[str]) -> pl.Expr:
    return _any(text, [glob(each) for each in globs])


def _any(text: pl.Expr, patterns: Sequence[str]) -> pl.Expr:
    """One pass over the text, however many patterns."""
    return text.str.contains("|".join(f"(?:{pattern})" for pattern in patterns))


def _is_object(given: str) -> pl.Expr:
    kind, _, name = given.partition("/")
    is_kind = pl.col("regarding_kind").str.contains(f"(?i:{glob(kind)})")
    return is_kind & _one_of(pl.col("regarding_name"), [name])


def covers(one: Match, other: Match) -> bool:
    """Whether ``one`` is for every row that ``other`` is for, as far as their texts can prove it."""
    lists = [(getattr(one, name), getattr(other, name)) for name in _LISTS]
    return (
        one.message in {"", other.message}
        and (one.clusters is None or (other.clusters is not None and set(other.clusters) <= set(one.clusters)))
        and all(not mine or "*" in mine or (theirs and set(theirs) <= set(mine)) for mine, theirs in lists)
    )
