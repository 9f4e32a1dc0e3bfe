"""Small frames for the tests of stages: what a test does not say takes a default."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from batcher import schema

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def frame(columns: schema.Columns, rows: Sequence[Mapping[str, Any]], **defaults: Any) -> pl.LazyFrame:
    """Rows of ``columns``; strings default to empty, numbers to 0, times to the start."""
    usual = {name: _usual(kind) for name, kind in columns.items()} | defaults
    return pl.LazyFrame([usual | dict(row) for row in rows], schema=columns)


def _usual(kind: Any) -> Any:
    if kind == pl.String:
        return ""
    if kind == pl.Boolean:
        return False
    return START if kind == schema.TIME else 0
