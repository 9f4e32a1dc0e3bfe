"""What "the same" means has changed: every open summary ends, and what goes on begins a new one.

How long a silence ends a session, how long a slot is, whom a summary is about and whether its messages distinguish it
decide which rows are one summary. The state keeps what they were (:data:`batcher.schema.DEFINITIONS`), so that a batch
knows whether it is the first with others, however the plans before it were cut. A row is of the summary that it came
into, before and after: nothing is counted again.
"""

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from batcher.schema import DEFINITIONS
from batcher.telemetry import SummaryKind

KEY, COLUMNS = "aggregation.key", "object, type, reason"
"""A setting that came later than the others, and what was so before anybody could say otherwise."""


class Redefined(NamedTuple):
    """What is said now of which rows are one summary."""

    changed: pl.DataFrame
    """What the state does not say so, :data:`batcher.schema.DEFINITIONS`, by name."""
    others: tuple[str, ...]
    """Names of those that were something else: what an older version did not say has not changed."""

    @property
    def ends(self) -> bool:
        """Whether what is open ends."""
        return bool(self.others)


def redefined(known: pl.DataFrame, said: Mapping[str, str]) -> Redefined:
    """Return what of ``said`` differs from ``known``, :data:`batcher.schema.DEFINITIONS`."""
    before: dict[str, str] = dict(known.select("name", "value").iter_rows())
    was = ({KEY: COLUMNS} if before else {}) | before
    changed = [(name, value) for name, value in sorted(said.items()) if before.get(name) != value]
    frame = pl.DataFrame(changed, schema=DEFINITIONS, orient="row")
    return Redefined(frame, tuple(name for name, value in changed if was.get(name, value) != value))


def end_all(summaries: pl.LazyFrame, *, redefined: bool) -> pl.LazyFrame:
    """Return :data:`batcher.schema.OPEN_SUMMARIES` with ``is_cut``: whether one that goes on ends now.

    What is told of an incident does not depend on it.
    """
    cut = ~pl.col("closed") & redefined & (pl.col("kind") != SummaryKind.INCIDENT.value)
    return summaries.with_columns(is_cut=cut).with_columns(closed=pl.col("closed") | cut)
