"""What goes on after a batch, and what ends with it: open slots and summaries, with the batch's rows added.

Only what changes is returned; what is not returned stays in the state as it is. Nothing here applies a
change: the pipeline tells it, and :func:`batcher.pipeline.advance` makes it.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import OPEN_SLOTS, OPEN_SUMMARIES, SESSION, SLOT
from batcher.stages.aggregate import fold_slots, fold_summaries, is_closed, is_slot_over
from batcher.stages.settle import ending

_BOOKKEEPING = ("version", "closed", "written_version", "written_at", "resource_version", "writes", "refusal")


def carry_slots(
    parts: pl.LazyFrame, open_slots: pl.LazyFrame, *, now: datetime, window: timedelta, longest: timedelta
) -> pl.LazyFrame:
    """Return slots that ``parts`` touch or time ends: :data:`OPEN_SLOTS`, ``over``, ``held`` (by the state).

    In: ``parts`` of :func:`batcher.stages.aggregate.sessions`, and :data:`batcher.schema.OPEN_SLOTS`.
    """
    touched = fold_slots(parts, open_slots.join(parts, on=SLOT, how="semi"))
    untouched = open_slots.join(touched, on=SLOT, how="anti")
    over = is_slot_over(now, window, longest)
    held = open_slots.select("summary", "slot", held=pl.lit(value=True))
    return (
        pl.concat([touched.select(*OPEN_SLOTS), untouched.filter(over).select(*OPEN_SLOTS)])
        .join(held, on=("summary", "slot"), how="left")
        .with_columns(pl.col("held").fill_null(value=False), over=over)
    )


def carry_summaries(
    parts: pl.LazyFrame,
    settled: pl.LazyFrame,
    outcomes: pl.LazyFrame,
    *,
    batch: int,
    now: datetime,
    window: timedelta,
    hold: timedelta,
) -> pl.LazyFrame:
    """Return summaries that rows, an outcome or time changes: :data:`OPEN_SUMMARIES`, ``is_new``, ``end``.

    In: ``settled`` is the state with ``outcomes`` applied. ``end`` is null for a summary that goes on.
    """
    grown = _grown(parts, settled, batch)
    others = settled.join(grown, on="summary", how="anti")
    told = others.join(outcomes, on="summary", how="semi")
    silent = others.join(told, on="summary", how="anti").filter(is_due_to_change(now, window, hold))
    same = pl.concat([told, silent]).with_columns(is_new=pl.lit(value=False))
    return (
        pl.concat([grown, same.select(*OPEN_SUMMARIES, "is_new")])
        .with_columns(closed=pl.col("closed") | is_closed(now, window))
        .with_columns(end=ending(now, hold))
    )


def is_due_to_change(now: datetime, window: timedelta, hold: timedelta) -> pl.Expr:
    """Whether time alone changes an open summary: it closes, or has waited long enough for a workspace."""
    closes = ~pl.col("closed") & is_closed(now, window)
    return closes | pl.col("closed") & (pl.col("workspace") == "") & ending(now, hold).is_not_null()


def _grown(parts: pl.LazyFrame, settled: pl.LazyFrame, batch: int) -> pl.LazyFrame:
    """Summaries with rows in this batch; ``version`` is the batch, because their totals are new."""
    touched = fold_summaries(parts, settled.join(parts, on=SESSION, how="semi"))
    return (
        touched.join(settled.select("summary", *_BOOKKEEPING), on="summary", how="left")
        .with_columns(is_new=pl.col("version").is_null(), version=pl.lit(batch, pl.Int64))
        .with_columns(
            pl.col("closed").fill_null(value=False),
            pl.col("written_version", "writes").fill_null(0),
            pl.col("refusal").fill_null(""),
        )
        .select(*OPEN_SUMMARIES, "is_new")
    )
