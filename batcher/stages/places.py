"""The first so many of a group within a clock period, by position: what has a place, wherever a batch is cut.

A group has ``most`` places, and who comes first takes one; once they are taken, nobody gets one until the period is
over. So what a row gets depends on nothing that came after it. The clock is the spool's ``received_at``, which never
runs backwards along positions. The state holds who has a place (:data:`batcher.schema.PLACES`), and only as long as
the period goes on.

Nothing here knows what a place is good for.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from batcher.schema import PLACES
from batcher.stages.expire import FOR_EVER

EVER = timedelta(0)
"""No silence at all: every row takes a place."""


class Level(NamedTuple):
    """One bound on how many of a group have a place."""

    name: str
    silence: timedelta = FOR_EVER
    """A key that was silent for longer takes another place."""

    @property
    def group(self) -> str:
        """The column that says who shares places, UInt64, the period in it; null: a row that asks for none."""
        return f"{self.name}_group"

    @property
    def key(self) -> str:
        """The column that says who takes a place, UInt64."""
        return f"{self.name}_key"

    @property
    def has(self) -> str:
        """The column that says whether a row has a place; null: it asks for none."""
        return f"{self.name}_has"

    @property
    def taken(self) -> str:
        """The column that says whether a row took a place: not one that its key had already."""
        return f"{self.name}_taken"

    @property
    def columns(self) -> tuple[str, ...]:
        """What :func:`place` adds."""
        return self.has, self.group, self.key, self.taken


def hour(at: pl.Expr) -> pl.Expr:
    """Return the clock hour (UTC) that ``at`` is in, by its beginning."""
    return at.dt.truncate("1h")


def minute(at: pl.Expr) -> pl.Expr:
    """Return the clock minute that ``at`` is in, by its beginning."""
    return at.dt.truncate("1m")


def place(
    rows: pl.LazyFrame, known: pl.LazyFrame, level: Level, *, group: pl.Expr, key: pl.Expr, most: int
) -> pl.LazyFrame:
    """Add the columns of ``level``.

    In: rows in a total order by position, of few columns, for all are copied; where a silence counts ``received_at``
    and ``previous_at``, when these rows had the key before (null: never); ``known``, :data:`batcher.schema.PLACES` of
    the state. A key is of one group. The order stays.
    """
    mine = known.filter(level=level.name)
    had = mine.select(pl.col("key").alias(level.key), known_at="last_at")
    used = mine.group_by(pl.col("group").alias(level.group)).agg(used=pl.sum("taken"))
    asks = pl.col(level.group).is_not_null()
    rank = pl.col("begins").cum_sum().over(level.group) + pl.col("used").fill_null(0)
    return (
        rows.with_columns(group.alias(level.group))
        .with_columns(pl.when(asks).then(key).alias(level.key))
        .join(had, on=level.key, how="left", maintain_order="left")
        .join(used, on=level.group, how="left", maintain_order="left")
        .with_columns(begins=asks & _begins(level))
        .with_columns(has=pl.when("begins").then(rank <= most))
        .with_columns(pl.when(asks).then(_goes_on(level).fill_null(value=True)).alias(level.has))
        .with_columns((pl.col("begins") & pl.col(level.has)).fill_null(value=False).alias(level.taken))
        .drop("known_at", "used", "begins", "has")
    )


def _goes_on(level: Level) -> pl.Expr:
    """Whether a row has the place that its key took, now or before it; null: before all rows.

    What a key that began without a place goes on with has none either, for none becomes free.
    """
    if level.silence == EVER:
        return pl.col("has")
    if level.silence == FOR_EVER:  # it begins once, with its first row
        return pl.col("has").max().over(level.key)
    return pl.col("has").forward_fill().over(level.key)


def _begins(level: Level) -> pl.Expr:
    """Whether a row that asks needs a place that its key does not have."""
    if level.silence == EVER:
        return pl.lit(value=True)
    if level.silence == FOR_EVER:
        return pl.col("known_at").is_null() & pl.col(level.key).is_first_distinct()
    before = pl.coalesce("previous_at", "known_at")
    return before.is_null() | (pl.col("received_at") - before > level.silence)


def taken(rows: pl.LazyFrame, known: pl.LazyFrame, level: Level, until: str) -> pl.LazyFrame:
    """Return the places that ``rows`` of :func:`place` took or went on with, to replace those in the state.

    Out: :data:`batcher.schema.PLACES`. ``until`` is the column that says when the period of a row is over.
    """
    changes = level.taken if level.silence == FOR_EVER else level.has
    before = known.filter(level=level.name).select("key", known_taken="taken")
    return (
        rows.filter(pl.col(changes))
        .group_by(key=level.key)
        .agg(
            group=pl.first(level.group),
            until=pl.first(until),
            last_at=pl.max("received_at"),
            taken=pl.sum(level.taken).cast(pl.Int64),
        )
        .join(before, on="key", how="left")
        .with_columns(level=pl.lit(level.name), taken=pl.col("taken") + pl.col("known_taken").fill_null(0))
        .select(*PLACES)
    )


def outdated(known: pl.LazyFrame, now: datetime) -> pl.LazyFrame:
    """Return the places (``level, key``) of periods in which nothing can be received any more."""
    return known.filter(pl.col("until") <= now).select("level", "key")
