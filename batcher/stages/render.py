"""An open summary as the Event that its workspace will hold.

Legacy fields only (no eventTime, series, action): every kubectl shows them as "x240 over 55m". The name is a
function of the session, so a write is idempotent by name. Nothing here decides whether or when to write.
Source of each field: the object at the end of ``docs`` on what we write, accepted by a real kcp.
"""

from datetime import datetime

import polars as pl

INT32 = 2**31 - 1
_MESSAGE_BYTES = 1024
_SECONDS = "%Y-%m-%dT%H:%M:%SZ"
_MICROSECONDS = "%Y-%m-%dT%H:%M:%S%.6fZ"


def render(summaries: pl.LazyFrame, *, now: datetime, prefix: bool) -> pl.LazyFrame:
    """Return ``summary, version, resource_version`` (the one last written), and the write's
    ``workspace, namespace, name, event`` (JSON without resourceVersion).

    In: :data:`batcher.schema.OPEN_SUMMARIES`. ``prefix`` puts the cluster in front of the message, because
    plain ``kubectl get events`` shows it nowhere else.
    """
    return summaries.with_columns(event_name=_name()).select(
        "summary",
        "version",
        "resource_version",
        "workspace",
        namespace="target_namespace",
        name="event_name",
        event=_event(now, prefix=prefix).struct.json_encode(),
    )


def _name() -> pl.Expr:
    """``<cluster>-<object>.<hash>``, a DNS-1123 subdomain: cluster <= 63, object <= 150, hash 16 characters."""
    safe = pl.col("regarding_name").str.to_lowercase().str.replace_all("[^a-z0-9]+", "-").str.slice(0, 150)
    middle = pl.concat_str(pl.lit("-"), safe.str.strip_chars("-"))
    return pl.concat_str("cluster", pl.when(middle == "-").then(pl.lit("")).otherwise(middle), pl.lit("."),
                         pl.col("summary").str.slice(0, 16))  # fmt: skip


def _event(now: datetime, *, prefix: bool) -> pl.Expr:
    return pl.struct(
        pl.lit("v1").alias("apiVersion"),
        pl.lit("Event").alias("kind"),
        _metadata(now).alias("metadata"),
        _regarding().alias("involvedObject"),
        _related().alias("related"),
        pl.col("type"),
        pl.col("reason"),
        _message(prefix=prefix).alias("message"),
        pl.struct(component=pl.concat_str("cluster", pl.lit("/"), "component")).alias("source"),
        pl.col("reporting_controller").alias("reportingComponent"),
        pl.lit("batcher").alias("reportingInstance"),
        pl.col("first_seen").dt.strftime(_SECONDS).alias("firstTimestamp"),
        pl.col("last_seen").dt.strftime(_SECONDS).alias("lastTimestamp"),
        pl.col("occurrences").clip(1, INT32).alias("count"),
    )


def _metadata(now: datetime) -> pl.Expr:
    labels = {"kcp.io/sync-target": pl.col("cluster"), "batcher.kcp.io/kind": pl.lit("summary")}
    annotations = {
        "kcp.io/source-cluster": pl.col("cluster"),
        "kcp.io/workspace-path": pl.col("workspace"),
        "kcp.io/synced-at": pl.lit(now).dt.strftime(_SECONDS),
        "batcher.kcp.io/occurrences": pl.col("occurrences").cast(pl.String),
        "batcher.kcp.io/first-seen": pl.col("first_seen").dt.strftime(_MICROSECONDS),
        "batcher.kcp.io/last-seen": pl.col("last_seen").dt.strftime(_MICROSECONDS),
    }
    return pl.struct(
        pl.col("event_name").alias("name"),
        pl.col("target_namespace").alias("namespace"),
        pl.struct(value.alias(key) for key, value in labels.items()).alias("labels"),
        pl.struct(value.alias(key) for key, value in annotations.items()).alias("annotations"),
    )


def _regarding() -> pl.Expr:
    """The object in the workspace; its uid is left out, for a downstream one hides the Event from describe."""
    return pl.struct(
        pl.col("regarding_api_version").alias("apiVersion"),
        pl.col("regarding_kind").alias("kind"),
        pl.col("target_namespace").alias("namespace"),
        pl.col("regarding_name").alias("name"),
    )


def _related() -> pl.Expr:
    reference = pl.struct(
        pl.col("related_api_version").alias("apiVersion"),
        pl.col("related_kind").alias("kind"),
        pl.when(pl.col("related_namespace") != "").then("target_namespace").alias("namespace"),
        pl.col("related_name").alias("name"),
        pl.col("related_field_path").alias("fieldPath"),
    )
    return pl.when(pl.col("related_name") != "").then(reference)


def _message(*, prefix: bool) -> pl.Expr:
    """The newest message, said to vary when it did, cut at a character so that it stays within 1024 bytes."""
    start = pl.concat_str(pl.lit("["), "cluster", pl.lit("] ")) if prefix else pl.lit("")
    end = pl.when("messages_vary").then(pl.lit(" (messages vary)")).otherwise(pl.lit(""))
    room = _MESSAGE_BYTES - start.str.len_bytes().cast(pl.Int64) - end.str.len_bytes().cast(pl.Int64)
    text = pl.col("message")
    # A character is at most four bytes, so a quarter of the room always fits; most text is ASCII and needs no cut.
    cut = pl.concat_str(text.str.slice(0, room // 4 - 1), pl.lit("…"))
    return pl.concat_str(start, pl.when(text.str.len_bytes() <= room).then(text).otherwise(cut), end)
