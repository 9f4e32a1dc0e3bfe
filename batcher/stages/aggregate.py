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
    And ``part``, a number that rows of one slot have in common.

    What waited for a target and was adopted begins a session of its own, which later rows continue: it had begun
    before anybody knew whose it was. In: ``open_summaries`` with ``adopted_by``, 0 if it was not in this batch.
    """
    previous = (
        open_summaries.filter(~pl.col("closed"))
        .select(*SUMMARY_KEY, open_began="began_at", open_last="last_at", open_adopted_by="adopted_by")
        .sort("open_began")
        .unique(SUMMARY_KEY, keep="last", maintain_order=True)
    )
    # Keys are compared once, and once each with the open ones: a number is grouped by in no time.
    numbered = rows.with_row_index("row").with_columns(same=pl.col("row").first().over(SUMMARY_KEY)).cache()
    keys = numbered.filter(pl.col("row") == pl.col("same")).select("same", *SUMMARY_KEY)
    known = keys.join(previous, on=SUMMARY_KEY).select("same", "open_began", "open_last", "open_adopted_by")
    found = (
        numbered.select("row", "same", "received", "adopted_by", is_plain=pl.col("kind") == "")
        .join(known, on="same", how="left", maintain_order="left")
        .sort("same", maintain_order=True)
        .with_columns(is_first=(pl.col("same") != pl.col("same").shift(1)).fill_null(value=True))
        .with_columns(begins=_begins(window))
        .with_columns(began_at=pl.when("begins").then("received").when("is_first").then("open_began").forward_fill())
        .with_columns(slot=_slot(pl.col("received"), longest))
        .with_columns(part=_part())
        .sort("row")
        .select("began_at", "slot", "part")
    )
    return pl.concat([numbered, found], how="horizontal").select(*SLOT, *MEASURES, "part")


def _begins(window: timedelta) -> pl.Expr:
    """Whether a row begins a session; rows lie by key and position here, and below."""
    before = pl.when("is_first").then("open_last").otherwise(pl.col("received").shift(1))
    adopted_before = pl.when("is_first").then("open_adopted_by").otherwise(pl.col("adopted_by").shift(1)).fill_null(0)
    is_of_another = (pl.col("adopted_by") != 0) & (pl.col("adopted_by") != adopted_before)
    is_silent = pl.col("is_plain") & (pl.col("received") - before > window)
    return before.is_null() | is_silent | is_of_another


def _part() -> pl.Expr:
    is_other = pl.col("is_first") | pl.col("begins") | (pl.col("slot") != pl.col("slot").shift(1))
    return is_other.cum_sum()


def gather(parts: pl.LazyFrame) -> pl.LazyFrame:
    """Return what rows of :func:`sessions` add, one row a ``part``: also ``summary``, :data:`SLOT` and ``MEASURES``."""
    return _fold(parts, "part", "slot").with_columns(summary=summary_id()).select("summary", "part", *SLOT, *MEASURES)


def fold_slots(gathered: pl.LazyFrame, open_slots: pl.LazyFrame) -> pl.LazyFrame:
    """Return open slots with what :func:`gather` found, :data:`batcher.schema.OPEN_SLOTS`; others stay as they are."""
    columns = ("summary", *SLOT, *MEASURES)
    both = pl.concat([open_slots.select(columns), gathered.select(columns)])
    return _fold(both, "summary", "slot").select(columns)


def fold_summaries(gathered: pl.LazyFrame, open_summaries: pl.LazyFrame) -> pl.LazyFrame:
    """Return open sessions with what :func:`gather` found: ``summary``, :data:`SESSION` and ``MEASURES``."""
    columns = ("summary", *SESSION, *MEASURES)
    both = pl.concat([open_summaries.select(columns), gathered.select(columns)])
    return _fold(both, "summary").select(columns)


def _fold(parts: pl.LazyFrame, *by: str) -> pl.LazyFrame:
    """One row for those that are alike ``by`` columns, which name a slot or a session."""
    newest = [name for name, kind in MEASURES.items() if kind == pl.String]
    return (
        parts.sort("position")
        .with_row_index("said")
        .with_columns(pl.col("said").first().over("message"))  # numbers are compared faster than texts
        .group_by(by, maintain_order=True)
        .agg(
            pl.col(SESSION).first(),
            pl.col("position", "last_at", "last_seen").max(),
            pl.col("first_seen").min(),
            pl.col("revisions", "occurrences", "objects").sum(),
            pl.col("messages_vary").any() | (pl.col("said").min() != pl.col("said").max()),
            pl.col(newest).last(),
        )
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
