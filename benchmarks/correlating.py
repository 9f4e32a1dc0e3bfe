"""What incidents cost a row, from ten thousand rows in a batch to a million.

Protects the decision that correlating is one pass over the rows of a batch: a key by expressions, a gap session by
numbered keys, one group a member. A cost that grew with the rows would be a join that is not one to one.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import polars as pl

from batcher import schema
from batcher.stages.aggregate import measured, sessions
from batcher.stages.announce import announce
from batcher.stages.correlate import correlate, fold_members, keyed, stages_of
from benchmarks.load import START
from benchmarks.measure import Figure, cpu_micros

WINDOW, LONGEST = timedelta(minutes=10), timedelta(hours=6)
REASONS = ("BackOff", "Failed", "Unhealthy", "FailedMount", "Pulled", "Created", "Started")
CLUSTERS, NAMESPACES, WORKLOADS = 8, 40, 60


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the cost a row at each size; four of seven rows are warnings, each workload has all reasons."""
    runs, sizes = (3, (10_000, 100_000)) if quick else (5, (10_000, 100_000, 1_000_000))
    for size in sizes:
        told = rows(size).lazy()
        waiting = schema.empty(schema.OPEN_SUMMARIES).lazy().with_columns(adopted_by=pl.lit(0, pl.Int64))
        parts = sessions(measured(told), waiting, window=timedelta(minutes=5), longest=timedelta(hours=1)).collect()
        yield cpu_micros(f"incidents, {size:,} rows a batch", size, partial(_follow, told, parts), runs)


def rows(count: int) -> pl.DataFrame:
    """Return ``count`` rows that are told, spread over clusters, namespaces, workloads and reasons."""
    number = pl.int_range(1, count + 1, dtype=pl.Int64, eager=True).alias("position").to_frame()
    mixed = pl.col("position").hash(seed=1)
    cluster = pl.concat_str(pl.lit("c"), (mixed % CLUSTERS).cast(pl.String))
    namespace = pl.concat_str(pl.lit("team-"), (mixed // 8 % NAMESPACES).cast(pl.String))
    owner = pl.concat_str(pl.lit("app-"), (mixed // 320 % WORKLOADS).cast(pl.String))
    reason = (mixed // 19200 % len(REASONS)).replace_strict(range(len(REASONS)), REASONS, return_dtype=pl.String)
    told = number.with_columns(
        cluster=cluster, cluster_uid=cluster, namespace=namespace, target_namespace=namespace,
        regarding_namespace=namespace, workspace=pl.lit("root:team"), regarding_kind=pl.lit("Deployment"),
        regarding_name=owner, reason=reason, grew=pl.lit(1, pl.Int64), revisions=pl.lit(1, pl.Int64),
        received_at=(pl.lit(START) + pl.duration(microseconds=pl.col("position") * 1000)).cast(schema.TIME),
    )  # fmt: skip
    told = told.with_columns(
        type=pl.when(pl.col("reason").is_in(REASONS[:4])).then(pl.lit("Warning")).otherwise(pl.lit("Normal")),
        message=pl.format(
            'Back-off pulling image "registry.example/{}:1", context deadline exceeded', "regarding_name"
        ),
    )
    columns: schema.Columns = {
        **schema.OCCURRENCES,
        **dict.fromkeys(("origin", "kind", "template", "unmapped_uid"), pl.String()),
        "adopted_by": pl.Int64(),
    }
    absent = {name: pl.lit(_usual(kind)).cast(kind) for name, kind in columns.items() if name not in told.columns}
    return told.with_columns(**absent).with_columns(since_at="received_at", last_at="received_at").select(*columns)


def _usual(kind: object) -> object:
    if kind == pl.String:
        return ""
    return START if kind == schema.TIME else 0


def _follow(told: pl.LazyFrame, parts: pl.DataFrame) -> None:
    none = schema.empty(schema.MEMBERS).lazy()
    keys = keyed(told)
    added = correlate(parts.lazy(), keys, none, window=WINDOW, longest=LONGEST).collect(engine="in-memory")
    members = stages_of(fold_members(none, added.lazy()), over=pl.lit(value=False)).filter("is_formed").collect()
    clusters = schema.empty(schema.PRESENCE).lazy()
    assert len(announce(members.lazy(), clusters).collect())
