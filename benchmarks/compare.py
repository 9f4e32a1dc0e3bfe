"""Two runs held against each other: ``python -m benchmarks compare BASE NEW`` fails where the new one is worse.

A figure made of time is divided by what the reference loop took beside it, so that a machine that is slower, or has
other things to do, is not mistaken for a program that is: CPU by CPU, and what passes by what passes. Of what only one
of the two has, it is said so, and nothing is concluded.
"""

from typing import NamedTuple

from benchmarks.measure import UNITS, shown
from benchmarks.results import Measured, Results

LIMIT = 0.20
_CPU, _WALL = 0, 1


class Change(NamedTuple):
    """A figure of both runs."""

    base: Measured
    new: Measured
    worse: float
    """By which part of the base the new one is worse: 0.21 is 21 % more time, or a rate that was 21 % higher."""

    @property
    def sentence(self) -> str:
        """Say it."""
        was, now, unit = shown(self.base.median), shown(self.new.median), self.new.unit
        return f"{self.new.benchmark}: {self.new.name}: {self.worse:+.0%}: {was} to {now} {unit}"


class Comparison(NamedTuple):
    """What became of the figures."""

    worse: list[Change]
    """Above the limit, the worst first."""
    others: list[Change]
    missing: list[Measured]
    """Of the base, and not measured again."""
    new: list[Measured]
    """Not in the base."""


def compare(base: Results, new: Results, *, limit: float = LIMIT) -> Comparison:
    """Hold ``new`` against ``base``; what is worse by more than ``limit`` is worse."""
    before, after = base.by_key(), new.by_key()
    changes = [Change(before[key], after[key], worse(before[key], after[key])) for key in before if key in after]
    changes.sort(key=lambda change: -change.worse)
    return Comparison(
        [change for change in changes if change.worse > limit],
        [change for change in changes if change.worse <= limit],
        [figure for key, figure in before.items() if key not in after],
        [figure for key, figure in after.items() if key not in before],
    )


def worse(base: Measured, new: Measured) -> float:
    """Return by which part of ``base`` ``new`` is worse, at equal references; 0 where that says nothing."""
    unit = UNITS[base.unit]
    if unit.better == "neither":
        return 0.0
    slower = {"cpu": _slower(base, new, _CPU), "wall": _slower(base, new, _WALL), "nothing": 1.0}[unit.depends]
    was, now = base.median, new.median
    if unit.better == "more":
        return _ratio(was, now * slower) - 1
    if abs(now / slower - was) < unit.grain:
        return 0.0
    return _ratio(now / slower, was) - 1


def _slower(base: Measured, new: Measured, which: int) -> float:
    """How many times as much the reference took beside ``new``."""
    return new.reference[which] / base.reference[which]


def _ratio(of: float, to: float) -> float:
    if of == to:
        return 1.0
    return of / to if to else float("inf")


def report(comparison: Comparison) -> str:
    """Return what there is to say, for people."""
    told = [f"WORSE {change.sentence}" for change in comparison.worse]
    told += [f"missing {each.benchmark}: {each.name}, {each.unit}" for each in comparison.missing]
    told += [f"new {each.benchmark}: {each.name}, {each.unit}" for each in comparison.new]
    count = len(comparison.worse) + len(comparison.others)
    return "\n".join([*told, f"{count} figures compared, {len(comparison.worse)} worse by more than {LIMIT:.0%}"])
