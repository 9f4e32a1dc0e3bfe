"""What goes on after a batch, and what ends with it: open slots and summaries, with the batch's rows added.

Only what changes is returned; what is not returned stays in the state as it is. Nothing here applies a
change: the pipeline tells it, and :func:`batcher.pipeline.advance` makes it.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import OPEN_SLOTS, OPEN_SUMMARIES, SESSION, SLOT
from batcher.stages.aggregate import fold_slots, fold_summaries, is_closed, is_slot_over
from batcher.stages.expire import Bounds, crowded_out, expire, is_overdue
from batcher.stages.settle import ending

_BOOKKEEPING = ("version", "closed", "written_version", "written_at", "resource_version", "writes", "refusal")


def carry_slots(
    parts: pl.LazyFrame,
    open_slots: pl.LazyFrame,
    *,
    now: datetime,
    window: timedelta,
    longest: timedelta,
    all_over: bool = False,
) -> pl.LazyFrame:
    """Return slots that ``parts`` touch or time ends: :data:`OPEN_SLOTS`, ``over``, ``held`` (by the state).

    In: ``parts`` of :func:`batcher.stages.aggregate.sessions`, and :data:`batcher.schema.OPEN_SLOTS`. With
    ``all_over``, those that no row touches end, whatever the time.
    """
    touched = fold_slots(parts, open_slots.join(parts, on=SLOT, how="semi"))
    untouched = open_slots.join(touched, on=SLOT, how="anti")
    over = is_slot_over(now, window, longest) | (pl.col("cut") & all_over)
    held = open_slots.select("summary", "slot", held=pl.lit(value=True))
    return (
        pl.concat([touched.with_columns(cut=False), untouched.with_columns(cut=True).filter(over)], how="diagonal")
        .join(held, on=("summary", "slot"), how="left")
        .with_columns(pl.col("held").fill_null(value=False), over=over)
        .select(*OPEN_SLOTS, "over", "held")
    )


def carry_summaries(
    parts: pl.LazyFrame,
    settled: pl.LazyFrame,
    touched: pl.LazyFrame,
    *,
    batch: int,
    now: datetime,
    bounds: Bounds,
) -> pl.LazyFrame:
    """Return summaries that rows, an outcome, a request or time changes: :data:`OPEN_SUMMARIES`, ``is_new``, ``end``.

    In: ``settled`` is the state with outcomes and requests applied, ``touched`` the ``summary`` of those that they
    are about. ``end`` is null for a summary that goes on.
    """
    grown = _grown(parts, settled, batch)
    others = settled.join(grown, on="summary", how="anti")
    told = others.join(touched, on="summary", how="semi")
    rest = others.join(told, on="summary", how="anti")
    crowded = crowded_out(settled, bounds)
    late = rest.join(crowded, on="summary", how="semi")
    silent = rest.join(crowded, on="summary", how="anti").filter(is_due_to_change(now, bounds))
    same = pl.concat([told, late, silent]).with_columns(is_new=pl.lit(value=False))
    changed = pl.concat([grown, same.select(*OPEN_SUMMARIES, "is_new")]).with_columns(
        closed=pl.col("closed") | is_closed(now, bounds.window)
    )
    return expire(changed, crowded, now=now, bounds=bounds).with_columns(end=ending(now, bounds.hold))


def is_due_to_change(now: datetime, bounds: Bounds) -> pl.Expr:
    """Whether time alone changes an open summary: it closes, or has waited long enough, with a workspace or without."""
    closes = ~pl.col("closed") & is_closed(now, bounds.window)
    given_up = (pl.col("workspace") == "") & ending(now, bounds.hold).is_not_null()
    return closes | pl.col("closed") & given_up | is_overdue(now, bounds)


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
