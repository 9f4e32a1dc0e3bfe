"""What the rules of the filter did: of a batch, and added up over batches.

A rule is known by its name and action, whatever its match is by now: one whose text changes counts on, one that goes
from ``shadow`` to ``drop`` begins anew, and one that is gone is forgotten, so that there are never more counts than
rules.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from batcher.clock import to_micros
from batcher.stages.filter import Case
from batcher.telemetry import RuleCount


def rule_counts(tally: pl.DataFrame, asked: Sequence[Case], *, rows: int, now: datetime) -> tuple[RuleCount, ...]:
    """Return what each of ``asked`` did in a batch of ``rows`` revisions.

    In: :data:`batcher.stages.tally.TALLY`.
    """
    found = {case.name: RuleCount(case.name, case.action, to_micros(now), rows) for case in asked}
    for row in tally.iter_rows(named=True):
        found[row["rule"]] = _with(found[row["rule"]], row)
    return tuple(found.values())


def _with(count: RuleCount, row: dict[str, Any]) -> RuleCount:
    matches = count.matches + row["rows"]
    if row["taken_by"]:
        return msgspec.structs.replace(count, matches=matches, taken=count.taken | {row["taken_by"]: row["rows"]})
    return msgspec.structs.replace(
        count,
        matches=matches,
        hits=row["rows"],
        occurrences=row["occurrences"],
        last_at=to_micros(row["received_at"]),
        last_position=row["position"],
    )


def add_counts(so_far: Iterable[RuleCount], batch: Iterable[RuleCount]) -> list[RuleCount]:
    """Return the counts of ``batch``, each added to the one before of the same name and action."""
    before = {(count.name, count.action): count for count in so_far}
    return [_added(before.get((count.name, count.action), count), count) for count in batch]


def _added(before: RuleCount, count: RuleCount) -> RuleCount:
    if before is count:
        return count
    newest = count if count.hits else before
    sums = {name: getattr(before, name) + getattr(count, name) for name in ("rows", "hits", "occurrences", "matches")}
    taken = dict(Counter(before.taken) + Counter(count.taken))
    return msgspec.structs.replace(
        before, **sums, taken=taken, last_at=newest.last_at, last_position=newest.last_position
    )
