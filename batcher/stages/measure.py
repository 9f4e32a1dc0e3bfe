"""What a decoded line says: when, and how often so far.

Both notions are older than the API they are read from, and live in four fields each. Here they become one:
``count`` is the cumulative count, ``first_at`` and ``last_at`` the times of the first and newest occurrence.
"""

import polars as pl

_FORMAT = "%Y-%m-%dT%H:%M:%S%.f%#z"


def measure(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``created_at, first_at, last_at`` (UTC) and replace ``count`` by the effective count (at least 1).

    In: :data:`batcher.schema.LINES`. The text columns of times are dropped. A time that is missing or
    unreadable is passed over in favour of the next. Source: ``printEvent`` of kubectl for the order of the
    fields; KEP-383 for ``series``.
    """
    created, first, last = _time("created"), _time("first"), _time("last")
    event_time, series_last = _time("event_time"), _time("series_last")
    received = pl.col("received_at")
    return lines.with_columns(
        created_at=pl.coalesce(created, received),
        first_at=pl.coalesce(first, event_time, created, received),
        last_at=pl.coalesce(pl.max_horizontal(series_last, last, event_time, first, created), received),
        count=pl.coalesce("series_count", "count").fill_null(1).clip(1),
    ).drop("created", "first", "last", "event_time", "series_last", "series_count")


def _time(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime(_FORMAT, time_unit="us", time_zone="UTC", strict=False)
