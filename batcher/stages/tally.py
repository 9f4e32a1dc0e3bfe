"""How often each rule of the filter was hit, and which rules took rows from others.

A rule that never fires, one that eats everything, and one that stands behind another that takes all it is for look the
same in a file; here they differ. Nothing is decided here.
"""

from collections.abc import Sequence

import polars as pl

from batcher.schema import TIME, Columns
from batcher.stages.filter import Case
from batcher.telemetry import Action

TALLY: Columns = {
    "rule": pl.String,
    "taken_by": pl.String,
    "rows": pl.Int64,
    "occurrences": pl.Int64,
    "position": pl.Int64,
    "received_at": TIME,
}
"""Rows that a rule matches: hits where ``taken_by`` is empty, else what that rule had decided before.

``position`` and ``received_at`` are the largest."""


def tally(rows: pl.LazyFrame, asked: Sequence[Case]) -> pl.LazyFrame:
    """Return :data:`TALLY`, one row a rule and rule that took from it, in order of both.

    In: ``matched`` of :func:`batcher.stages.filter.filter_rows` with the same rules, ``grew, position, received_at``.
    """
    rules = pl.LazyFrame(
        [(case.name, number, case.action is not Action.SHADOW) for number, case in enumerate(asked)],
        schema={"rule": pl.String, "number": pl.Int64, "decides": pl.Boolean},
        orient="row",
    )
    alike = (
        rows.filter(pl.col("matched") != "")
        .group_by("matched")
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.sum("grew").alias("occurrences"),
            pl.max("position", "received_at"),
        )
    )
    first = pl.col("number").filter("decides").min().over("matched")
    decided = pl.col("rule").filter(pl.col("number") == pl.col("first")).first().over("matched")
    return (
        alike.with_columns(rule=pl.col("matched").str.split(","))
        .explode("rule")
        .join(rules, on="rule")
        .with_columns(first=first)
        .with_columns(taken_by=pl.when(pl.col("number") > pl.col("first")).then(decided).otherwise(pl.lit("")))
        .group_by("rule", "taken_by")
        .agg(pl.sum("rows", "occurrences"), pl.max("position", "received_at"))
        .sort("rule", "taken_by")
        .select(*TALLY)
    )
