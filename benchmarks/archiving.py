"""What an archive costs and how fast it answers, once it is kept.

Protects three decisions: files of a day are rewritten a few at a time and sorted by place, so that a question about
one namespace opens a few row groups; a row costs what is new in it, because alike stands beside alike; and a rewriting
reads so much at once and no more, so that it fits beside a service. Rows are seeded: 40 namespaces, 70 % of them
repeats of an Event, names and uids as random as those of a cluster. ``ARCHIVE_DAYS`` and ``ARCHIVE_ROWS`` (rows a day)
in the environment make it larger; the figures of the contract are those of 30 and 1000000. ``ARCHIVE_ROOT`` names a
folder where the archive is made, and found again.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from batcher.archive import Deliverer, scan
from batcher.archive.compact import compact
from batcher.archive.read import open_to_read
from batcher.archive.rewrite import held
from batcher.schema import OCCURRENCES, TIME
from batcher.staging import stage
from benchmarks.load import START
from benchmarks.measure import Figure, alone, figure, peak_bytes

NAMESPACES, APPS, PODS, NODES = 40, 60, 20_000, 300
REASONS = ("BackOff", "Failed", "Unhealthy", "FailedMount", "Pulled", "Created", "Started", "Scheduled", "Killing")
WARNINGS = REASONS[:4]
TEXTS = (
    "Back-off restarting failed container app in pod {}_{}({})",
    "Error: failed to pull and unpack image registry.example/{}:1.4.2 for {} ({}): context deadline exceeded",
    "Readiness probe of {} in {} failed ({}): HTTP probe failed with statuscode: 503",
    "MountVolume.SetUp failed for volume config of pod {} in {} ({}): configmap not found",
    "Successfully pulled image of {} in {} ({}) in 1.532s (1.532s including waiting)",
    "Created container app of {} in {} ({})",
    "Started container app of {} in {} ({})",
    "Successfully assigned {} of {} ({}) to a node",
    "Stopping container app of {} in {} ({})",
)
DAY = timedelta(days=1)
FILES = 200
"""Staged files a day."""
OWNER = "0123456789abcdef"
FIRST = START.replace(hour=0)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield bytes a row, time and memory of compaction, then the time of two questions to the last days."""
    days = int(os.environ.get("ARCHIVE_DAYS", "2" if quick else "8"))
    count = int(os.environ.get("ARCHIVE_ROWS", "40000" if quick else "200000"))
    given = os.environ.get("ARCHIVE_ROOT")
    root = Path(given or tempfile.mkdtemp())
    of = f"{days} days of {count:,} rows"
    try:
        seconds, peaks = _made(root, days, count)
        files = held(open_to_read(root, "occurrences"))
        rows_there = sum(file.rows for file in files)
        yield figure(f"archive after compaction, {of}", "bytes a row", [sum(file.size for file in files) / rows_there])
        yield figure(f"files a day after compaction, {of}", "files", [len(files) / days])
        if seconds:
            yield figure("compaction", "µs wall a row", [each / count * 1e6 for each in seconds])
            yield figure("compaction, peak memory", "MiB", [peak / 2**20 for peak in peaks])
        runs = 5 if quick else 15
        yield _timed(f"warnings of one namespace in the last hour, {of}", lambda: _warnings(root, days), runs)
        yield _timed(f"top 20 reasons of a week, {of}", lambda: _reasons(root, days), runs)
    finally:
        if not given:
            shutil.rmtree(root)


def _timed(name: str, ask: Callable[[], pl.DataFrame], runs: int) -> Figure:
    assert len(ask())
    values = []
    for _ in range(runs):
        began = time.perf_counter()
        ask()
        values.append((time.perf_counter() - began) * 1000)
    return figure(name, "ms", values)


def _made(root: Path, days: int, count: int) -> tuple[list[float], list[int]]:
    """Deliver and compact each day that is not there, in processes of their own; return seconds and peaks."""
    there = {file.date for file in held(open_to_read(root, "occurrences"))}
    seconds, peaks = [], []
    for number in range(days):
        day = FIRST + number * DAY
        if f"{day:%F}" not in there:
            alone(_delivered, root, number, count)
            took, peak = alone(_compacted, root, day)
            seconds.append(took)
            peaks.append(peak)
    return seconds, peaks


def _delivered(root: Path, number: int, count: int) -> None:
    """Stage a day in files as a service does, and deliver them."""
    staged = root / "staged"
    made, step = rows(FIRST + number * DAY, count), -(-count // FILES)
    files = [
        file
        for batch, some in enumerate(made.iter_slices(step), start=1 + number * FILES)
        for file in stage(
            staged, "occurrences", some.with_columns(batch=pl.lit(batch, pl.Int64)), batch=batch, owner=OWNER
        )
    ]
    Deliverer(root, staged, OWNER).deliver(files)
    shutil.rmtree(staged)


def _compacted(root: Path, day: datetime) -> tuple[float, int]:
    began = time.perf_counter()
    compact(root, "occurrences", now=day + DAY)
    return time.perf_counter() - began, peak_bytes()


def _warnings(root: Path, days: int) -> pl.DataFrame:
    """What ``batcher events`` shows of a namespace: the newest row of each Event."""
    since = FIRST + days * DAY - timedelta(hours=1)
    shown = (
        "cluster",
        "namespace",
        "type",
        "reason",
        "count",
        "regarding_kind",
        "regarding_name",
        "message",
        "last_at",
    )
    recent = scan(root, "occurrences", since=since).filter(
        pl.col("received_at") >= since, pl.col("namespace") == "team-7", pl.col("type") == "Warning"
    )
    newest = recent.select("position", "cluster_uid", "uid", *shown).sort("position")
    return newest.group_by("cluster_uid", "uid", maintain_order=True).last().collect()


def _reasons(root: Path, days: int) -> pl.DataFrame:
    since = FIRST + (days - 7) * DAY
    recent = scan(root, "occurrences", since=since).filter(pl.col("received_at") >= since)
    return (
        recent.group_by("reason")
        .agg(pl.sum("grew"))
        .sort("grew", "reason", descending=[True, False])
        .head(20)
        .collect()
    )


def rows(day: datetime, count: int) -> pl.DataFrame:
    """Return ``count`` rows of :data:`batcher.schema.OCCURRENCES` received on ``day``, in order of position."""
    seed = day.toordinal()
    events = int(count * 0.3)
    number = pl.int_range(count, dtype=pl.Int64)
    told = pl.DataFrame({"row": pl.select(number).to_series()}).with_columns(
        event=pl.when(pl.col("row") < events).then("row").otherwise(_drawn("row", seed) % events),
    )
    told = told.with_columns(
        began=_drawn("event", seed + 1) % 86_000_000_000, after=_drawn("row", seed + 2) % 3_600_000_000
    ).with_columns(
        micros=pl.min_horizontal(
            pl.col("began") + pl.when(pl.col("row") < events).then(0).otherwise("after"), 86_399_999_999
        )
    )
    told = told.sort("micros", "row").with_columns(
        position=pl.int_range(count, dtype=pl.Int64) * 1000 + seed * 10**12,
        count=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("event"),
        pod=_drawn("event", seed + 3) % PODS,
    )
    return _columns(told, day, seed)


def _drawn(column: str, seed: int) -> pl.Expr:
    """A random number of 0 to 2**62 for each value of ``column``."""
    return (pl.col(column).hash(seed=seed) // 4).cast(pl.Int64)


def _uid(column: str, seed: int) -> pl.Expr:
    one, two = _drawn(column, seed), _drawn(column, seed + 1)
    return pl.format(
        "{}-4{}-8{}-{}", _digits(one, 8), _digits(two, 3), _digits(two // 16**3, 3), _digits(one // 16**8, 12)
    )


def _digits(drawn: pl.Expr, count: int) -> pl.Expr:
    letters = pl.Series(list("0123456789abcdef"))
    return pl.concat_str(
        (drawn // 16**k % 16).replace_strict(range(16), letters, return_dtype=pl.String) for k in range(count)
    )


def _columns(told: pl.DataFrame, day: datetime, seed: int) -> pl.DataFrame:
    pod = pl.col("pod")
    reason = _drawn("event", seed + 4) % len(REASONS)
    at = (pl.lit(day) + pl.duration(microseconds="micros")).cast(TIME)
    second = at.dt.truncate("1s")
    first = second.first().over("event")
    namespace = pl.format("team-{}", pod % NAMESPACES)
    app = pl.format("app-{}", pod // NAMESPACES % APPS)
    name = pl.format("{}-7c5d8f9b6d-{}", app, _digits(_drawn("pod", 1), 5))
    made = told.with_columns(
        batch=pl.col("micros") // 5_000_000 + (seed * 17280), received_at=at, namespace=namespace,
        cluster=pl.format("edge-{}", pod % 8), regarding_name=name, host=pl.format("node-{}", pod % NODES),
        reason=reason.replace_strict(range(len(REASONS)), REASONS, return_dtype=pl.String), which=reason,
        created_at=first, first_at=first, last_at=second, uid=_uid("event", seed + 5),
        regarding_uid=_uid("pod", 77), resource_version=pl.col("position") // 1000,
    )  # fmt: skip
    made = made.with_columns(
        cluster_uid=pl.format("0c0ffee0-0000-4000-8000-0000000000{}", pl.col("cluster").str.slice(-1)),
        name=pl.format("{}.{}", "regarding_name", _digits(_drawn("event", seed + 6), 16)),
        type=pl.when(pl.col("reason").is_in(WARNINGS)).then(pl.lit("Warning")).otherwise(pl.lit("Normal")),
        message=pl.coalesce(
            pl.when(pl.col("which") == k).then(pl.format(text, "regarding_name", "namespace", "regarding_uid"))
            for k, text in enumerate(TEXTS)
        ),
        workspace=pl.format("root:org:{}", "namespace"), target_namespace=pl.col("namespace"),
        namespace_uid=pl.format("{}-3587-433e-91fd-1d10ead72f88", pl.col("pod") % NAMESPACES),
        identity_time=pl.col("first_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), since_at=pl.col("last_at"),
        delivered=pl.when(pl.col("count") == 1).then(pl.lit("ADDED")).otherwise(pl.lit("MODIFIED")),
        target_name=pl.col("regarding_name"),
    )  # fmt: skip
    fixed = {
        "incarnation": 0, "grew": 1, "recreated": False, "component": "kubelet", "reporting_controller": "kubelet",
        "regarding_api_version": "v1", "regarding_kind": "Pod", "regarding_field_path": "spec.containers{app}",
        "verdict": "kept",
    }  # fmt: skip
    made = made.with_columns(
        **{key: pl.lit(value) for key, value in fixed.items()},
        reporting_instance=pl.col("host"), regarding_namespace=pl.col("namespace"),
    )  # fmt: skip
    absent = {
        key: pl.lit("" if kind == pl.String else None).cast(kind)
        for key, kind in OCCURRENCES.items()
        if key not in made.columns
    }
    return made.with_columns(**absent).select(pl.col(key).cast(kind) for key, kind in OCCURRENCES.items())
