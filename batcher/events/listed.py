"""The newest revision of each Event, newest Events first until enough are found.

A month has millions of Events, and who asks without a time means the last ones. So days are looked at one by one, from
the newest, first their keys and then the rows that are shown: memory is bounded by a day's keys and by what is shown,
whatever the archive has. What was received last has the largest position.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl

from batcher.events.chosen import LIMIT, Selection, condition
from batcher.schema import OCCURRENCES, empty

_EVENT = ("cluster_uid", "uid")
_DAYS = 32
"""So many days are looked at one by one, and what is older together."""
_DAY = timedelta(days=1)


def newest(occurrences: pl.LazyFrame, selection: Selection, *, now: datetime, limit: int = LIMIT) -> pl.DataFrame:
    """Return the columns of ``occurrences``, of the newest revision of each Event, the last seen last.

    At most ``limit`` Events (0: all), those of which a revision was received last.
    """
    rows = occurrences.filter(condition(selection))
    found = [empty(OCCURRENCES)]
    for piece in _pieces(rows, selection, now) if limit else [rows]:
        missing = limit - sum(map(len, found)) if limit else None
        found.append(_newest_of(piece, pl.concat(part.select(_EVENT) for part in found), missing))
        if limit and sum(map(len, found)) >= limit:
            break
    return pl.concat(found).sort("last_at", "position")


def _pieces(rows: pl.LazyFrame, selection: Selection, now: datetime) -> Iterator[pl.LazyFrame]:
    """The rows by the time of their receipt, newest first; in one piece if they are of a day."""
    at, end = pl.col("received_at"), None
    begin = (selection.until or now) - _DAY
    for _ in range(_DAYS):
        if selection.since is not None and begin <= selection.since:
            break
        yield rows.filter(at > begin) if end is None else rows.filter(at > begin, at <= end)
        begin, end = begin - _DAY, begin
    yield rows if end is None else rows.filter(at <= end)


def _newest_of(rows: pl.LazyFrame, before: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    """The newest revisions of Events that are not among those ``before``."""
    keys = rows.group_by(_EVENT).agg(pl.max("position")).collect(engine="in-memory").join(before, on=_EVENT, how="anti")
    shown = keys if limit is None else keys.top_k(limit, by="position")
    if shown.is_empty():
        return empty(OCCURRENCES)
    there = rows.filter(pl.col("position").is_between(shown["position"].min(), shown["position"].max()))
    return there.join(shown.lazy(), on=(*_EVENT, "position"), how="semi").collect(engine="in-memory")
