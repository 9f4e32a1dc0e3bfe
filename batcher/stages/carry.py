"""What goes on after a batch, and what ends with it: open slots and summaries, with the batch's rows added.

Only what changes is returned; what is not returned stays in the state as it is. Nothing here applies a
change: the pipeline tells it, and :func:`batcher.pipeline.advance` makes it.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import OF_INCIDENTS, OPEN_SLOTS, OPEN_SUMMARIES
from batcher.stages.aggregate import fold_slots, fold_summaries, is_closed, is_slot_over
from batcher.stages.expire import Bounds, crowded_out, expire, is_overdue
from batcher.stages.settle import ending
from batcher.telemetry import SummaryKind

BOOKKEEPING = ("version", "closed", "written_version", "written_at", "resource_version", "writes", "refusal")
"""What publishing adds to a summary."""


_SLOT = ("summary", "slot")


def carry_slots(
    gathered: pl.LazyFrame,
    open_slots: pl.LazyFrame,
    *,
    now: datetime,
    window: timedelta,
    longest: timedelta,
    all_over: bool = False,
) -> pl.LazyFrame:
    """Return slots that rows touch or time ends: :data:`OPEN_SLOTS`, ``over``, ``held`` (by the state).

    In: what :func:`batcher.stages.aggregate.gather` found, and :data:`batcher.schema.OPEN_SLOTS`. With
    ``all_over``, those that no row touches end, whatever the time.
    """
    touched = fold_slots(gathered, open_slots.join(gathered, on=_SLOT, how="semi"))
    untouched = open_slots.join(gathered, on=_SLOT, how="anti")
    over = is_slot_over(now, window, longest) | (pl.col("cut") & all_over)
    held = open_slots.select(*_SLOT, held=pl.lit(value=True))
    return (
        pl.concat([touched.with_columns(cut=False), untouched.with_columns(cut=True).filter(over)], how="diagonal")
        .join(held, on=_SLOT, how="left")
        .with_columns(pl.col("held").fill_null(value=False), over=over)
        .select(*OPEN_SLOTS, "over", "held")
    )


def carry_summaries(
    gathered: pl.LazyFrame,
    settled: pl.LazyFrame,
    touched: pl.LazyFrame,
    *,
    batch: int,
    now: datetime,
    bounds: Bounds,
) -> pl.LazyFrame:
    """Return summaries that rows, an outcome, a request or time changes: :data:`OPEN_SUMMARIES`, ``is_new``, ``end``.

    In: ``gathered`` of :func:`batcher.stages.aggregate.gather`; ``settled`` is the state with outcomes and requests
    applied, ``touched`` the ``summary`` of those that they are about. ``end`` is null for a summary that goes on.
    """
    grown, crowded = _grown(gathered, settled, batch), crowded_out(settled, bounds)
    concerned = pl.concat([touched.select("summary"), crowded]).unique()
    # Looked at by name only: each join of whole summaries copies all of their columns.
    names = settled.select("summary", is_due=is_due_to_change(now, bounds))
    for name, summaries in {"is_grown": grown.select("summary"), "is_concerned": concerned}.items():
        marked = summaries.with_columns(pl.lit(value=True).alias(name))
        names = names.join(marked, on="summary", how="left", maintain_order="left")
    is_told = ~pl.col("is_grown").fill_null(value=False) & (
        pl.col("is_concerned").fill_null(value=False) | pl.col("is_due")
    )
    same = (
        pl.concat([settled, names.select(is_told=is_told)], how="horizontal")
        .filter("is_told")
        .with_columns(is_new=pl.lit(value=False))
    )
    changed = pl.concat([grown, same.select(*OPEN_SUMMARIES, "is_new")]).with_columns(
        closed=pl.col("closed") | is_closed(now, bounds.window)
    )
    return expire(changed, crowded, now=now, bounds=bounds).with_columns(end=ending(now, bounds.hold))


def is_due_to_change(now: datetime, bounds: Bounds) -> pl.Expr:
    """Whether time alone changes an open summary: it closes, or has waited long enough, with a workspace or without."""
    is_incident = pl.col("kind") == SummaryKind.INCIDENT.value  # which ends with its members
    closes = ~pl.col("closed") & is_closed(now, bounds.window) & ~is_incident
    given_up = (pl.col("workspace") == "") & ending(now, bounds.hold).is_not_null()
    return closes | pl.col("closed") & given_up | is_overdue(now, bounds)


def _grown(gathered: pl.LazyFrame, settled: pl.LazyFrame, batch: int) -> pl.LazyFrame:
    """Summaries with rows in this batch; ``version`` is the batch, because their totals are new."""
    touched = fold_summaries(gathered, settled.join(gathered, on="summary", how="semi"))
    return (
        _as_open(touched, settled.select("summary", *BOOKKEEPING, *OF_INCIDENTS))
        .with_columns(pl.col(OF_INCIDENTS).fill_null(""), version=pl.lit(batch, pl.Int64))
        .select(*OPEN_SUMMARIES, "is_new")
    )


def _as_open(summaries: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Add to ``summaries`` what is ``known`` of them, and ``is_new``: nothing was; ``version`` is null then."""
    return summaries.join(known, on="summary", how="left").with_columns(
        pl.col("closed").fill_null(value=False),
        pl.col("written_version", "writes").fill_null(0),
        pl.col("refusal").fill_null(""),
        is_new=pl.col("version").is_null(),
    )


def carry_incidents(
    told: pl.LazyFrame,
    over: pl.LazyFrame,
    settled: pl.LazyFrame,
    touched: pl.LazyFrame,
    *,
    batch: int,
    now: datetime,
    bounds: Bounds,
) -> pl.LazyFrame:
    """Return the summaries of incidents that change, as :func:`carry_summaries` does of all others.

    In: ``told`` of :func:`batcher.stages.announce.announce`, with ``grew``, of incidents that grow or end; ``over``,
    the ``incident`` of those that end; ``settled``, those of the state, and ``touched`` as there.
    """
    changes = pl.col("grew") | pl.col("is_new")
    grown = (
        _as_open(told, settled.select("summary", *BOOKKEEPING))
        .with_columns(version=pl.when(changes).then(pl.lit(batch, pl.Int64)).otherwise("version"))
        .select(*OPEN_SUMMARIES, "is_new")
    )
    others = settled.join(grown, on="summary", how="anti")
    crowded = crowded_out(settled, bounds)
    changed = others.filter(is_overdue(now, bounds)).select("summary")
    due = pl.concat([touched.select("summary"), crowded, changed])
    same = others.join(due, on="summary", how="semi").with_columns(is_new=pl.lit(value=False))
    ended = over.select("incident", is_over=pl.lit(value=True)).unique()
    closed = (
        pl.concat([grown, same.select(*OPEN_SUMMARIES, "is_new")])
        .join(ended, on="incident", how="left")
        .with_columns(closed=pl.col("closed") | pl.col("is_over").fill_null(value=False))
        .drop("is_over")
    )
    return expire(closed, crowded, now=now, bounds=bounds).with_columns(end=ending(now, bounds.hold))
