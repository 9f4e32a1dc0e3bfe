"""What is told to nobody because the configuration says so, and what is only counted.

Rules are asked in the file's order, and the first that matches a row decides: ``drop`` files it away, ``keep`` lets it
pass. A ``shadow`` rule decides nothing: it says what it would have been asked for, and the search goes on. A row that
no rule decides is asked of the built-in ones, which are the three short settings; so a ``keep`` keeps also what those
would drop. A row that is dropped is archived all the same, with the name of the rule in its verdict.

One pass of expressions over the frame. A row is judged by itself alone, so neither order nor cuts can matter. Nothing
here counts: that is :mod:`batcher.stages.tally`'s.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from batcher.stages.grade import GRADES, NORMAL
from batcher.stages.match import Match, matches
from batcher.telemetry import Action, Verdict

EXCLUDE_TYPES, INCLUDE_TYPES, MINIMUM_SEVERITY = "excludeTypes", "includeTypes", "minimumSeverity"
"""Names of the built-in rules: those of their settings, which no rule of a user can have."""


class FilterRule(NamedTuple):
    """A rule: for which rows, and what becomes of them."""

    name: str
    action: Action
    match: Match = Match()


class Filter(NamedTuple):
    """All that a row is asked of before it is told."""

    rules: tuple[FilterRule, ...] = ()
    minimum: str = NORMAL
    """The least severity that passes."""
    include_types: tuple[str, ...] = ()
    """Types that pass; none: all."""
    exclude_types: tuple[str, ...] = ()


PASSES_ALL = Filter()


class Case(NamedTuple):
    """A rule or a built-in one, in the order in which they are asked."""

    name: str
    action: Action
    match: Match
    negated: bool = False
    """Whether it is for what does not match."""


def cases(said: Filter) -> list[Case]:
    """Return the rules, and the built-in ones that ``said`` asks for behind them."""
    below = GRADES[: GRADES.index(said.minimum)]
    built_in = [
        (said.exclude_types, Case(EXCLUDE_TYPES, Action.DROP, Match(types=said.exclude_types))),
        (said.include_types, Case(INCLUDE_TYPES, Action.DROP, Match(types=said.include_types), negated=True)),
        (below, Case(MINIMUM_SEVERITY, Action.DROP, Match(severities=below))),
    ]
    return [*(Case(*rule) for rule in said.rules), *(case for given, case in built_in if given)]


def filter_rows(rows: pl.LazyFrame, said: Filter, *, critical: Sequence[str] = ()) -> pl.LazyFrame:
    """Put ``filtered:<rule>`` into the ``verdict`` of what is dropped, and add ``shadowed`` (the names of the shadow
    rules that were asked and matched), ``kept_by`` (the rule that kept it) and ``matched`` (all names that match,
    asked or not); names are separated by commas, none is empty.

    In: what :func:`batcher.stages.match.matches` needs, and ``verdict``.
    """
    asked = cases(said)
    if not asked:
        return rows.with_columns(shadowed=pl.lit(""), kept_by=pl.lit(""), matched=pl.lit(""))
    flags = [f"matches {number}" for number in range(len(asked))]
    return (
        rows.with_columns(_hits(case, critical).alias(flag) for flag, case in zip(flags, asked, strict=True))
        .with_columns(decided=_decided(asked, flags))
        .with_columns(
            verdict=pl.coalesce(_of_decided(asked, Action.DROP, f"{Verdict.FILTERED.value}:"), "verdict"),
            shadowed=_shadowed(asked, flags),
            kept_by=pl.coalesce(_of_decided(asked, Action.KEEP), pl.lit("")),
            matched=_named(zip(asked, map(pl.col, flags), strict=True)),
        )
        .drop("decided", *flags)
    )


def _hits(case: Case, critical: Sequence[str]) -> pl.Expr:
    hit = matches(case.match, critical=critical)
    return ~hit if case.negated else hit


def _decided(asked: Sequence[Case], flags: Sequence[str]) -> pl.Expr:
    """The number of the first rule that matches and decides; behind all if there is none."""
    deciding = [number for number, case in enumerate(asked) if case.action is not Action.SHADOW]
    numbers = [pl.when(flags[number]).then(pl.lit(number, pl.Int64)) for number in deciding]
    return pl.coalesce(*numbers, pl.lit(len(asked), pl.Int64))


def _of_decided(asked: Sequence[Case], action: Action, before: str = "") -> pl.Expr:
    """The name of the rule that decided, if that is its action, behind ``before``; else null."""
    names = {number: f"{before}{case.name}" for number, case in enumerate(asked) if case.action is action}
    return pl.col("decided").replace_strict(names, default=None, return_dtype=pl.String)


def _shadowed(asked: Sequence[Case], flags: Sequence[str]) -> pl.Expr:
    return _named(
        (case, pl.col(flag) & (pl.col("decided") > number))
        for number, (case, flag) in enumerate(zip(asked, flags, strict=True))
        if case.action is Action.SHADOW
    )


def _named(hits: Iterable[tuple[Case, pl.Expr]]) -> pl.Expr:
    names = [pl.when(hit).then(pl.lit(case.name)) for case, hit in hits]
    return pl.concat_str(names, separator=",", ignore_nulls=True) if names else pl.lit("")


def kind_of_verdict() -> pl.Expr:
    """Return the column ``verdict`` without the name of a rule: a :class:`batcher.telemetry.Verdict`."""
    return pl.col("verdict").str.extract("^[^:]*", 0)
