"""An open summary as the Event that its workspace will hold.

Legacy fields only (no eventTime, series, action): every kubectl shows them as "x240 over 55m". The name is a
function of the session, so a write is idempotent by name. Nothing here decides whether or when to write.
Source of each field: the object at the end of ``docs`` on what we write, accepted by a real kcp.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import polars as pl

from batcher.redact import Redaction, redacted
from batcher.schema import KNOWN_CAUSES, empty
from batcher.stages.announce import LABEL, short
from batcher.stages.conceal import conceal, origin_namespace
from batcher.stages.explain import explain
from batcher.stages.fold import OURS
from batcher.stages.word import words
from batcher.telemetry import SummaryKind

INT32 = 2**31 - 1
_MESSAGE_BYTES = 1024
_LONGEST = {
    "regarding_api_version": 253, "regarding_kind": 63, "regarding_name": 253, "related_api_version": 253,
    "related_kind": 63, "related_name": 253, "related_field_path": 253, "type": 63, "reason": 128, "component": 128,
    "reporting_controller": 128,
}  # fmt: skip
"""Characters: what an API server takes of the new-style fields, and more than any real one has of the others."""
_LONGEST_ORIGIN = 200
"""Characters of whose it is, in front of a message that has room left whatever they are; an annotation has them all."""
_LOGICAL = "^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$"
_NO_CAUSES = empty(KNOWN_CAUSES).lazy()
_NULL = r'"(?:batcher\.)?kcp\.io/[a-z-]+":null'
"""One of our own labels or annotations; those of the configuration are never null, and no other field is called so."""
_SECONDS = "%Y-%m-%dT%H:%M:%SZ"
_SEVERAL = pl.col("cluster") == ""
"""Whether a summary tells of all clusters together."""
_MICROSECONDS = "%Y-%m-%dT%H:%M:%S%.6fZ"
_IS_INCIDENT = pl.col("kind") == SummaryKind.INCIDENT.value
"""Such a summary is of many clusters: where another names its own, it names none (:mod:`batcher.stages.announce`)."""
_OF_MANY = _SEVERAL | _IS_INCIDENT
_ROOM = _MESSAGE_BYTES - pl.col("start").str.len_bytes().cast(pl.Int64) - pl.col("end").str.len_bytes().cast(pl.Int64)
_FITS = pl.col("message").str.len_bytes() <= _ROOM


class Look(NamedTuple):
    """How summaries look to tenants."""

    prefix: bool = True
    """The cluster in front of the message, because plain ``kubectl get events`` shows it nowhere else."""
    expose_nodes: bool = False
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    redactions: Sequence[Redaction] = ()
    """Of messages, as they came."""


def render(
    summaries: pl.LazyFrame, nodes: pl.LazyFrame, *, now: datetime, look: Look, causes: pl.LazyFrame = _NO_CAUSES
) -> pl.LazyFrame:
    """Return ``summary, version, resource_version`` (the one last written), and the write's
    ``workspace, namespace, name, event`` (JSON without resourceVersion).

    In: :data:`batcher.schema.OPEN_SUMMARIES`, :data:`batcher.schema.NODES`, :data:`batcher.schema.KNOWN_CAUSES`.
    """
    said = summaries.with_columns(redacted(pl.col("message"), look.redactions))
    why = explain(said, causes, expose_nodes=look.expose_nodes).select("summary", "cause_text")
    concealed = conceal(said.join(why, on="summary", how="left"), None if look.expose_nodes else nodes)
    return _cut(concealed, look).with_columns(event_name=_name()).select(
        "summary",
        "version",
        "resource_version",
        "workspace",
        namespace="target_namespace",
        name="event_name",
        event=_present(_event(now, look).struct.json_encode()),
    )  # fmt: skip


def _present(event: pl.Expr) -> pl.Expr:
    """Leave out the labels and annotations that are null: an API server would take them for empty ones.

    They are found as JSON has them, for no text in it has a quotation mark that is not escaped.
    """
    return event.str.replace_all(f"{_NULL},", "").str.replace_all(f",?{_NULL}\\}}", "}")


def _cut(summaries: pl.LazyFrame, look: Look) -> pl.LazyFrame:
    """Cut every text to its size; ``truncated`` names the fields that were longer."""
    begun = summaries.with_columns(start=_start(prefix=look.prefix), end=_end())
    long = {name: pl.col(name).str.len_chars() > most for name, most in _LONGEST.items()}
    names = [pl.when(is_long).then(pl.lit(name)) for name, is_long in (long | {"message": ~_FITS}).items()]
    return begun.with_columns(
        pl.concat_str(names, separator=",", ignore_nulls=True).alias("truncated"),
        _message().alias("message"),
        *(pl.col(name).str.slice(0, most) for name, most in _LONGEST.items()),
    )


def _name() -> pl.Expr:
    """``<cluster>-<object>.<hash>``, a DNS-1123 subdomain: cluster <= 63, object <= 150, hash 16 characters.

    Of an incident ``incident-<object>.<ID>``.
    """
    safe = pl.col("regarding_name").str.to_lowercase().str.replace_all("[^a-z0-9]+", "-").str.slice(0, 150)
    middle = pl.concat_str(pl.lit("-"), safe.str.strip_chars("-"))
    begin = pl.when(_IS_INCIDENT).then(pl.lit("incident")).when(_SEVERAL).then(pl.lit(OURS)).otherwise("cluster")
    end = pl.when(_IS_INCIDENT).then(short(pl.col("incident"))).otherwise(pl.col("summary").str.slice(0, 16))
    return pl.concat_str(begin, pl.when(middle == "-").then(pl.lit("")).otherwise(middle), pl.lit("."), end)


def _event(now: datetime, look: Look) -> pl.Expr:
    return pl.struct(
        pl.lit("v1").alias("apiVersion"),
        pl.lit("Event").alias("kind"),
        _metadata(now, look).alias("metadata"),
        _regarding().alias("involvedObject"),
        _related().alias("related"),
        pl.col("type"),
        pl.col("reason"),
        pl.col("message"),
        pl.struct(component=_component()).alias("source"),
        pl.col("reporting_controller").alias("reportingComponent"),
        pl.lit("batcher").alias("reportingInstance"),
        pl.col("first_seen").dt.strftime(_SECONDS).alias("firstTimestamp"),
        pl.col("last_seen").dt.strftime(_SECONDS).alias("lastTimestamp"),
        pl.col("occurrences").clip(1, INT32).alias("count"),
    )


def _metadata(now: datetime, look: Look) -> pl.Expr:
    """Ours go over those of the configuration."""
    about = pl.when(pl.col("origin") == "").then("workspace").otherwise(pl.col("origin").str.extract("^(.*)/"))
    is_logical = about.str.contains(_LOGICAL)
    name = pl.when(pl.col("kind") == "").then("regarding_name").otherwise(origin_namespace())
    regarding = pl.concat_str("regarding_api_version", "regarding_kind", origin_namespace(), name, separator="/")
    labels = {name: pl.lit(value) for name, value in look.labels.items()} | {
        "kcp.io/sync-target": pl.when(~_OF_MANY).then("cluster"),
        "kcp.io/workspace": pl.when(is_logical).then(about),
        "batcher.kcp.io/kind": pl.when(pl.col("kind") == "").then(pl.lit("summary")).otherwise("kind"),
        LABEL: pl.when(pl.col("incident") != "").then(short(pl.col("incident"))),
    }
    annotations = {name: pl.lit(value) for name, value in look.annotations.items()} | {
        "kcp.io/source-cluster": pl.when(~_OF_MANY).then("cluster"),
        "kcp.io/workspace-path": pl.when(~is_logical & (about != "")).then(about),
        "kcp.io/synced-at": pl.lit(now).dt.strftime(_SECONDS),
        "batcher.kcp.io/occurrences": pl.col("occurrences").cast(pl.String),
        "batcher.kcp.io/objects": pl.when(pl.col("objects") > 0).then(pl.col("objects").cast(pl.String)),
        "batcher.kcp.io/first-seen": pl.col("first_seen").dt.strftime(_MICROSECONDS),
        "batcher.kcp.io/last-seen": pl.col("last_seen").dt.strftime(_MICROSECONDS),
        "batcher.kcp.io/clusters": pl.when(_IS_INCIDENT).then("clusters"),
        "batcher.kcp.io/cause": pl.when(_IS_INCIDENT & (pl.col("cause") != "")).then("cause").otherwise("cause_text"),
        "batcher.kcp.io/regarding": pl.when(pl.col("origin") != "").then(regarding),
        "batcher.kcp.io/truncated": pl.when(pl.col("truncated") != "").then("truncated"),
    }
    return pl.struct(
        pl.col("event_name").alias("name"),
        pl.col("target_namespace").alias("namespace"),
        pl.struct(value.alias(key) for key, value in labels.items()).alias("labels"),
        pl.struct(value.alias(key) for key, value in annotations.items()).alias("annotations"),
    )


def _component() -> pl.Expr:
    return pl.when(_OF_MANY).then("component").otherwise(pl.concat_str("cluster", pl.lit("/"), "component"))


def _regarding() -> pl.Expr:
    """The object in the workspace; its uid is left out, for a downstream one hides the Event from describe.

    Of what is told elsewhere, the namespace is the Event's all the same: kcp takes no other. An incident names it as
    ``related``, because it may be another tomorrow, and what a summary is about is part of its name.
    """
    fields = {"apiVersion": "api_version", "kind": "kind", "name": "name"}
    about = {
        field: pl.when(_IS_INCIDENT).then(f"related_{name}").otherwise(f"regarding_{name}")
        for field, name in fields.items()
    }
    return pl.struct(
        about["apiVersion"].alias("apiVersion"),
        about["kind"].alias("kind"),
        pl.col("target_namespace").alias("namespace"),
        about["name"].alias("name"),
    )


def _related() -> pl.Expr:
    reference = pl.struct(
        pl.col("related_api_version").alias("apiVersion"),
        pl.col("related_kind").alias("kind"),
        pl.when(pl.col("related_namespace") != "").then("target_namespace").alias("namespace"),
        pl.col("related_name").alias("name"),
        pl.col("related_field_path").alias("fieldPath"),
    )
    return pl.when((pl.col("related_name") != "") & ~_IS_INCIDENT).then(reference)


def _message() -> pl.Expr:
    """The newest message, said to vary when it did, within 1024 bytes."""
    text = pl.col("message")
    # A character is at most four bytes, so a quarter of the room always fits; most text is ASCII and needs no cut.
    cut = pl.concat_str(text.str.slice(0, (_ROOM // 4 - 1).clip(0)), pl.lit("…"))
    return pl.concat_str("start", pl.when(_FITS).then(text).otherwise(cut), "end")


def _start(*, prefix: bool) -> pl.Expr:
    """What is in front of the message: whose it is, or the words of a summary of many."""
    origin = pl.col("origin").str.strip_chars("/").str.slice(0, _LONGEST_ORIGIN)
    whose = pl.when(origin == "").then(pl.lit("")).otherwise(pl.concat_str(origin, pl.lit(" ")))
    cluster = pl.when(_SEVERAL).then(pl.lit("several clusters")).otherwise("cluster")
    named = pl.concat_str(pl.lit("["), whose, cluster, pl.lit("] ")) if prefix else pl.lit("")
    return pl.when(_IS_INCIDENT).then(pl.lit("")).otherwise(pl.concat_str(named, words()))


def _end() -> pl.Expr:
    """What is behind it: that messages vary; those of a summary of many need not be said to."""
    varies = pl.col("messages_vary") & (pl.col("kind") == "")
    return pl.when(varies).then(pl.lit(" (messages vary)")).otherwise(pl.lit(""))
