"""The state between batches: its tables, and the only way that it moves on.

A batch changes no state; it says what changes (:class:`Change`), so that what was committed can be applied again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from batcher import schema
from batcher.schema import CLAIMED, OCCURRENCE
from batcher.stages.gaps import STREAM

STATE_KEYS: dict[str, tuple[str, ...]] = {
    "seen": OCCURRENCE,
    "open_slots": ("summary", "slot"),
    "open_summaries": ("summary",),
    "contacts": STREAM,
    "clocks": ("cluster_key",),
    "claims": ("cluster_uid", "namespace"),
    "objects": CLAIMED,
    "listings": ("cluster_uid",),
    "served": ("cluster_uid", "namespace"),
    "nodes": ("cluster_uid", "name"),
    "definitions": ("name",),
    "places": ("level", "key"),
    "members": ("incident", "summary"),
    "presence": ("workspace", "cluster_uid"),
    "happenings": ("position",),
    "known_links": schema.LINKED,
    "causes": ("summary",),
    "pods": ("cluster_uid", "namespace", "name"),
}
"""The tables of the state, each with the columns that name a row."""

STATE_COLUMNS: dict[str, schema.Columns] = {
    "seen": schema.SEEN,
    "open_slots": schema.OPEN_SLOTS,
    "open_summaries": schema.OPEN_SUMMARIES,
    "contacts": schema.CONTACTS,
    "clocks": schema.CLOCKS,
    "claims": schema.CLAIMS,
    "objects": schema.OBJECTS,
    "listings": schema.LISTINGS,
    "served": schema.SERVED,
    "nodes": schema.NODES,
    "definitions": schema.DEFINITIONS,
    "places": schema.PLACES,
    "members": schema.MEMBERS,
    "presence": schema.PRESENCE,
    "happenings": schema.HAPPENINGS,
    "known_links": schema.KNOWN_LINKS,
    "causes": schema.KNOWN_CAUSES,
    "pods": schema.PODS,
}

State = dict[str, pl.DataFrame]
"""One frame for each of :data:`STATE_COLUMNS`."""


_MOST_CHUNKS = 16
"""Of a table, before it is laid out in one piece again: every look at it goes through each."""


_MOST_HELD = 4
"""Times as much memory as rows take may be held for them: then their texts are copied out of it."""


class Change(NamedTuple):
    """Rows to put into a table of the state, replacing those of the same key, and keys to take out."""

    put: pl.DataFrame
    removed: pl.DataFrame


def empty_state() -> State:
    """Return the state before the first batch."""
    return {name: schema.empty(columns) for name, columns in STATE_COLUMNS.items()}


def told_again_stays(table: str, told: pl.DataFrame, gone: pl.DataFrame) -> Change:
    """Put what was ``told``, and take out what of ``gone`` was not."""
    keys = STATE_KEYS[table]
    left = gone.join(told, on=keys, how="anti") if len(gone) else gone
    return Change(told, left.select(keys))


def with_others(
    changed: pl.DataFrame, moved: pl.DataFrame, keys: Sequence[str], goes_on: pl.Expr, columns: schema.Columns
) -> pl.DataFrame:
    """What goes on of ``changed``, and what only has another name now."""
    there = changed.filter(goes_on).select(*columns)
    return pl.concat([there, moved.join(changed, on=keys, how="anti").select(*columns)]) if len(moved) else there


def advance(state: State, *changes: dict[str, Change]) -> State:
    """Return ``state`` with ``changes`` applied in their order; the only way that state ever moves on.

    Many at once cost about as much as one, because a large table is gone through once.
    """
    merged = {name: _merged([change[name] for change in changes], STATE_KEYS[name]) for name in STATE_KEYS}
    return {name: _apply(state[name], merged[name], STATE_KEYS[name]) for name in STATE_KEYS}


def _merged(changes: Sequence[Change], keys: Sequence[str]) -> Change:
    """One change that does what ``changes`` do one after the other: of each key, the last word counts."""
    if len(changes) == 1:
        return changes[0]
    said = [part for put, removed in changes for part in (
        removed.with_columns(is_put=pl.lit(value=False)), put.with_columns(is_put=pl.lit(value=True)))]  # fmt: skip
    last = pl.concat(said, how="diagonal").unique(subset=keys, keep="last", maintain_order=True)
    columns = changes[0].put.columns
    return Change(last.filter("is_put").select(columns), last.filter(~pl.col("is_put")).select(keys))


def _apply(table: pl.DataFrame, change: Change, keys: Sequence[str]) -> pl.DataFrame:
    gone = pl.concat([change.put.select(keys), change.removed.select(keys)])
    if gone.is_empty():
        return table
    # To leave rows out is to copy all others, and most changes of a large table only add to it: look at keys first.
    kept = table.select(keys).with_row_index("row").join(gone, on=keys, how="anti", maintain_order="left")["row"]
    changed = pl.concat([table if len(kept) == len(table) else table[kept], _alone(change.put)])
    return changed.rechunk() if changed.n_chunks() > _MOST_CHUNKS else changed


def _alone(rows: pl.DataFrame) -> pl.DataFrame:
    """Copy the texts of ``rows`` if they are few among those of their batch: they would keep all of them in memory."""
    if rows.is_empty():
        return rows
    held = rows.to_arrow(compat_level=pl.CompatLevel.newest()).get_total_buffer_size()
    if held <= _MOST_HELD * rows.estimated_size():
        return rows
    return pl.DataFrame(rows.to_arrow(compat_level=pl.CompatLevel.oldest()), schema=rows.schema)
