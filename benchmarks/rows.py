"""Seeded rows as decoding yields them, made by columns: a million in a second, for what is measured behind decoding.

Eight clusters, forty namespaces, sixty workloads, ten reasons; every Event says something of its own, and is told of
again as often as one asks.
"""

import polars as pl

from batcher import schema
from benchmarks.load import START

CLUSTERS = 8
_SAFE = "bcdfghjklmnpqrst"
_UUID = "{}-9f0b-4521-87db-7bc5ed098d60"
_MOUNT_FAILED = (
    'MountVolume.SetUp failed for volume "data" : rpc error: code = Internal desc = mount failed: exit status 32 '
    "Mounting arguments: -t ext4 /dev/vdb /var/lib/kubelet/pods/{}/volumes/mount"
)
_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("BackOff", "Back-off restarting failed container app in pod {}_{}({})", ("pod", "namespace", "uid")),
    ("Unhealthy", 'Readiness probe failed: Get "http://{}:8080/healthz": context deadline exceeded', ("ip",)),
    ("Scheduled", "Successfully assigned {}/{} to node-{}", ("namespace", "pod", "few")),
    ("Pulled", 'Successfully pulled image "acme/app:1.{}" in {}ms ({}ms including waiting). Image size: {} bytes.',
     ("few", "many", "many", "number")),
    ("Started", "Started container app", ()),
    ("Failed", 'Failed to pull image "ghcr.io/acme/app:1.{}": rpc error: code = NotFound desc = not found', ("few",)),
    ("FailedMount", _MOUNT_FAILED, ("uid",)),
    ("FailedScheduling", "0/{} nodes are available: {} Insufficient cpu, {} node(s) had untolerated taint.",
     ("few", "few", "few")),
    ("SuccessfulCreate", "Created pod: {}", ("pod",)),
    ("ScalingReplicaSet", "Scaled up replica set {} to {} from {}", ("replica_set", "few", "few")),
)  # fmt: skip


def rows(count: int, *, repeats: int) -> pl.DataFrame:
    """Return ``count`` :data:`batcher.schema.LINES`, about ``repeats`` revisions an Event."""
    number = pl.int_range(count, dtype=pl.Int64, eager=True).alias("position").to_frame()
    events = number.with_columns(event=pl.col("position").hash(seed=1) % max(1, count // repeats))
    mixed = pl.col("event").hash(seed=2)
    hexadecimal = mixed.cast(pl.String).str.slice(0, 15)
    safe = hexadecimal.str.replace_many(list("0123456789"), list(_SAFE[:10]))
    named = events.with_columns(
        namespace=pl.format("team-{}", mixed % 40),
        uid=pl.format(_UUID, mixed.cast(pl.String).str.slice(0, 8)),
        ip=pl.format("10.42.{}.{}", mixed // 40 % 256, mixed // 10240 % 256),
        replica_set=pl.format("app-{}-{}", mixed // 40 % 60, safe.str.slice(0, 10)),
        pod=pl.format("app-{}-{}-{}", mixed // 40 % 60, safe.str.slice(0, 10), safe.str.slice(10, 5)),
        few=mixed // 7 % 40, many=mixed // 11 % 9999, number=mixed // 13 % 10**9, kind=mixed // 17 % len(_KINDS),
    )  # fmt: skip
    message = pl.coalesce(
        pl.when(pl.col("kind") == index).then(pl.format(text, *names) if names else pl.lit(text))
        for index, (_, text, names) in enumerate(_KINDS)
    )
    said = named.with_columns(
        message=message,
        reason=pl.col("kind").replace_strict(range(len(_KINDS)), [kind[0] for kind in _KINDS]),
        count=pl.int_range(1, pl.len() + 1).over("event"),
    )
    cluster, seconds = mixed // 3 % CLUSTERS, pl.col("position") // 10_000
    received = (pl.lit(START) + pl.duration(microseconds=pl.col("position") * 100)).cast(schema.TIME)
    first, last = (_text(told) for told in (seconds.min().over("event"), seconds))
    lines = said.with_columns(
        received_at=received, cluster_uid=pl.format("0c0ffee0-0000-4000-8000-00000000000{}", cluster),
        cluster=pl.format("us-west{}", cluster), cluster_key=cluster + 1,
        incarnation=pl.lit(0, pl.Int64), delivered=pl.lit("MODIFIED"), identity_high=mixed, identity_low="event",
        name=pl.format("{}.{}", "pod", "event"), resource_version=pl.col("position") + 1,
        created=first, first=first, last=last, identity_time=first,
        type=pl.lit("Warning"), component=pl.lit("kubelet"), reporting_controller=pl.lit("kubelet"),
        regarding_api_version=pl.lit("v1"), regarding_kind=pl.lit("Pod"), regarding_namespace="namespace",
        regarding_name="pod", regarding_uid="uid", series_count=pl.lit(None, pl.Int64),
        event_time=pl.lit(None, pl.String), series_last=pl.lit(None, pl.String),
    )  # fmt: skip
    made = schema.completed(lines.drop("kind", "few", "many", "number"), schema.LINES)
    return pl.DataFrame(pl.from_arrow(made.to_arrow()))  # as decoded: one value a row also where all are the same


def _text(seconds: pl.Expr) -> pl.Expr:
    """The time so many seconds after the start, as Events have it."""
    return (pl.lit(START) + pl.duration(seconds=seconds)).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
