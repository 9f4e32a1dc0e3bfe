"""Rows to sessions and slots: one line while something goes on, however often it happens.

A session of a key ends when nothing was received of it for longer than the window. Time here is the spool's
``received_at``, which never runs backwards along positions; so a session is the same wherever a batch is
cut. (By the clusters' own clocks a late row could join two sessions that were told already.) A slot is a
piece of a session of at most ``longest``, so that one that never ends is still archived. A summary that is not plain
has its clock hour in its key, and goes on for as long as that hour does: no silence ends it.

Rows, slots and sessions are measured by the same columns (:data:`batcher.schema.MEASURES`), and
:func:`_fold` makes the coarser from the finer.
"""

from datetime import datetime, timedelta

import polars as pl

from batcher.schema import LATER_KEY, MEASURES, SESSION, SLOT, SUMMARY_KEY
from batcher.stages.attribute import named_there
from batcher.stages.name import measured_text, named
from batcher.stages.places import hour


def measured(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the kept and unmapped rows as what they add to a session; in order of position.

    In: columns of :func:`batcher.stages.adopt.adopt_rows`.
    """
    unmapped = pl.col("workspace") == ""
    return (
        rows.sort("position")
        .with_columns(
            received=pl.col("received_at"),
            # A Node's Events lie in namespace default, and no claim of that one may adopt them.
            namespace=pl.when(~unmapped | (pl.col("regarding_namespace") != ""))
            .then("namespace")
            .otherwise(pl.lit("")),
            regarding_name=named_there(),
            unmapped_uid=pl.when(unmapped).then("namespace_uid").otherwise(pl.lit("")),
            unmapped_object=pl.when(unmapped & (pl.col("object_uid") == "")).then("claimed_uid").otherwise(pl.lit("")),
            revisions=pl.lit(1, pl.Int64),
            occurrences=pl.col("grew"),
            first_seen=pl.col("since_at"),
            last_seen=pl.col("last_at"),
            messages_vary=pl.lit(value=False),
        )
        .with_columns(last_at=pl.col("received"))
        .select(*SUMMARY_KEY, "received", "adopted_by", *MEASURES)
    )


def sessions(
    rows: pl.LazyFrame, open_summaries: pl.LazyFrame, *, window: timedelta, longest: timedelta
) -> pl.LazyFrame:
    """Add ``began_at`` and ``slot`` to measured rows; a row continues the newest open session of its key, or not.

    What waited for a target and was adopted begins a session of its own, which later rows continue: it had begun
    before anybody knew whose it was. In: ``open_summaries`` with ``adopted_by``, 0 if it was not in this batch.
    """
    previous = (
        open_summaries.filter(~pl.col("closed"))
        .select(*SUMMARY_KEY, open_began="began_at", open_last="last_at", open_adopted_by="adopted_by")
        .sort("open_began")
        .unique(SUMMARY_KEY, keep="last", maintain_order=True)
    )
    before = pl.coalesce(pl.col("received").shift(1).over("same"), "open_last")
    adopted_before = pl.coalesce(pl.col("adopted_by").shift(1).over("same"), "open_adopted_by", 0)
    is_of_another = (pl.col("adopted_by") != 0) & (pl.col("adopted_by") != adopted_before)
    is_silent = (pl.col("kind") == "") & (pl.col("received") - before > window)
    begins = (before.is_null() | is_silent | is_of_another).alias("begins")
    own = pl.col("received").first().over("same", "session")
    return (
        rows.join(previous, on=SUMMARY_KEY, how="left", maintain_order="left")
        .with_row_index("row")
        .with_columns(same=pl.col("row").first().over(SUMMARY_KEY))  # once: a number is grouped by in no time
        .with_columns(begins)
        .with_columns(session=pl.col("begins").cum_sum().over("same"))
        .with_columns(began_at=pl.when(pl.col("session") == 0).then("open_began").otherwise(own))
        .with_columns(slot=_slot(pl.col("received"), longest))
        .select(*SLOT, *MEASURES)
    )


def fold_slots(rows: pl.LazyFrame, open_slots: pl.LazyFrame) -> pl.LazyFrame:
    """Return open slots with ``rows`` added, :data:`batcher.schema.OPEN_SLOTS`; untouched ones stay as they are."""
    return _fold([open_slots.select(*SLOT, *MEASURES), rows.select(*SLOT, *MEASURES)], SLOT)


def fold_summaries(rows: pl.LazyFrame, open_summaries: pl.LazyFrame) -> pl.LazyFrame:
    """Return open sessions with ``rows`` added: ``summary``, :data:`batcher.schema.SESSION` and ``MEASURES``."""
    return _fold([open_summaries.select(*SESSION, *MEASURES), rows.select(*SESSION, *MEASURES)], SESSION)


def _fold(parts: list[pl.LazyFrame], by: tuple[str, ...]) -> pl.LazyFrame:
    newest = [name for name, kind in MEASURES.items() if kind == pl.String]
    return (
        pl.concat(parts)
        .sort("position")
        .group_by(by, maintain_order=True)
        .agg(
            pl.col("position", "last_at", "last_seen").max(),
            pl.col("first_seen").min(),
            pl.col("revisions", "occurrences", "objects").sum(),
            pl.col("messages_vary").any() | (pl.col("message").n_unique() > 1),
            pl.col(newest).last(),
        )
        .with_columns(summary=summary_id())
        .select("summary", *by, *MEASURES)
    )


def summary_id() -> pl.Expr:
    """128 bits of xxh3 over the lengths and values of the session's columns, in hex: stable for ever.

    A column that came later takes part only where it is not empty, last, so that older names stay.
    """
    values = {name: pl.col(name) for name in SESSION} | {"began_at": pl.col("began_at").dt.timestamp("us")}
    later = {name: values.pop(name) for name in LATER_KEY}
    parts = [part for value in values.values() for part in measured_text(value.cast(pl.String))]
    further = [
        pl.when(value == "")
        .then(pl.lit(""))
        .otherwise(pl.concat_str(pl.lit(""), pl.lit(name), *measured_text(value), separator=" "))
        for name, value in later.items()
    ]
    return named(pl.concat_str(pl.concat_str(parts, separator=" "), *further))


def is_closed(now: datetime, window: timedelta) -> pl.Expr:
    """Whether a session (``last_at, kind``) has been silent for longer than the window, or its hour is over."""
    is_silent, last = pl.lit(now) - pl.col("last_at") > window, hour(pl.col("last_at"))
    return pl.when(pl.col("kind") == "").then(is_silent).otherwise(last < hour(pl.lit(now)))


def is_slot_over(now: datetime, window: timedelta, longest: timedelta) -> pl.Expr:
    """Whether no later row can fall into a slot (``began_at, slot, last_at``)."""
    return is_closed(now, window) | (_slot(pl.lit(now), longest) > pl.col("slot"))


def _slot(at: pl.Expr, longest: timedelta) -> pl.Expr:
    return (at - pl.col("began_at")).dt.total_microseconds() // (longest // timedelta(microseconds=1))
