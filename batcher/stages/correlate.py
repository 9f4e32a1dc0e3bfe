"""The same trouble in several clusters of a workspace: which summaries belong to one incident.

A table gives each reason one dimension (an object of the workspace, an image, a volume, a node), so that a row has
one correlation key (:data:`batcher.schema.ALIKE`). An incident is a gap session of that key from its second cluster
on, cut at multiples of the longest duration: it grows and never merges, whoever else fails meanwhile. (Connected
components would merge two that were told already.) With one cluster so far it is a candidate in the same state.

Time is the spool's ``received_at``, as in :mod:`batcher.stages.aggregate`: neither cuts nor the clusters' clocks make
or break an incident. What waited for a target was nobody's when it happened, and is not part of any.

Never looks beyond one workspace, and tells nobody anything: that is :mod:`batcher.stages.announce`'s.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from batcher.schema import ALIKE, CAUSES, INCIDENT, MEMBERS, TIME, Columns
from batcher.stages import details
from batcher.stages.aggregate import summary_id
from batcher.stages.enrich import regard_owner
from batcher.stages.grade import NORMAL, grade
from batcher.stages.name import measured_text, named
from batcher.stages.once import once
from batcher.telemetry import Dimension, SummaryKind

PULLING, MOUNTING = "BackOff", "FailedMount"
DIMENSIONS: dict[Dimension, dict[str, str]] = {
    Dimension.IMAGE: dict.fromkeys(
        ("BackOff", "ErrImageNeverPull", "ErrImagePull", "Failed", "ImagePullBackOff", "InspectFailed"), PULLING
    ),
    Dimension.VOLUME: {
        **dict.fromkeys(("FailedAttachVolume", "FailedMapVolume", "FailedMount"), MOUNTING),
        **{name: name for name in ("FailedBinding", "ProvisioningFailed", "VolumeResizeFailed")},
    },
    Dimension.NODE: {
        name: name
        for name in (
            "EvictionThresholdMet", "FilesystemIsReadOnly", "FreeDiskSpaceFailed", "ImageGCFailed",
            "InvalidDiskCapacity", "KernelOops", "NodeHasDiskPressure", "NodeHasInsufficientMemory",
            "NodeHasInsufficientPID", "NodeNotReady", "NodeNotSchedulable", "OOMKilling", "Rebooted", "SystemOOM",
            "TaskHung",
        )
    },
}  # fmt: skip
"""By dimension: its reasons, each with the one that it is told under, because a kubelet says ``Failed`` and
``BackOff`` in turns of one image. A reason that is not here, or a row that says nothing of its dimension, is about its
object, under its own reason."""

STAGED: Columns = {
    **MEMBERS, "formed_by": pl.Int64, "formed_at": TIME, "is_formed": pl.Boolean, "is_over": pl.Boolean,
}  # fmt: skip
"""Columns of :func:`stages_of`."""

_SAYS_IT_AGAIN = "^Error: (ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName|ImageInspectError)$"
"""The kubelet says each failed pull twice, once with the image: this one would be an incident beside it."""
_OBJECT = ("regarding_api_version", "regarding_kind", "regarding_name")
_SUMS, _LEAST, _MOST = ("revisions", "occurrences"), ("first_seen",), ("position", "last_at", "last_seen")


def keyed(rows: pl.LazyFrame, *, critical: Sequence[str] = ()) -> pl.LazyFrame:
    """Return ``position``, the rest of the key (``alike``, its reason, ``dimension``, ``value``) and, as ``of_*``, the
    object (a guessed owner) of the rows that can be part of an incident: warnings, by :mod:`batcher.stages.grade`, in
    a workspace.

    In: the rows that are told (:data:`batcher.schema.OCCURRENCES`, ``origin``, ``kind``, ``adopted_by``).
    """
    mapped = (pl.col("workspace") != "") & (pl.col("origin") == "") & (pl.col("kind") == SummaryKind.PLAIN.value)
    bad = regard_owner(rows.filter(mapped & (pl.col("adopted_by") == 0) & (grade(critical) != NORMAL)))
    said = _said(bad)
    about = pl.concat_str("target_namespace", "regarding_kind", details.workload(), separator="/")
    unknown = pl.col("found").is_null()
    return (
        said.filter((pl.col("reason") != "Failed") | ~pl.col("message").str.contains(_SAYS_IT_AGAIN))
        .with_columns(
            dimension=pl.when(unknown).then(pl.lit(Dimension.OBJECT.value)).otherwise("wanted"),
            alike=pl.when(unknown).then("reason").otherwise("alike"),
            value=pl.coalesce("found", about),
        )
        .select("position", "alike", "dimension", "value", **{f"of_{name}": name for name in _OBJECT})
    )


def _said(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``wanted``, the dimension of the reason, ``found``, the value in it, and ``alike``, what it is told under."""
    reason, tables = pl.col("reason"), DIMENSIONS.items()
    wanted = {dimension: reason.is_in(list(reasons)) for dimension, reasons in tables}
    asked = pl.when(wanted[Dimension.IMAGE] | wanted[Dimension.VOLUME]).then("message")
    text = pl.col("asked")
    values = {
        Dimension.IMAGE: pl.col("image"),
        # The claim itself is known by its kind, whatever its message says.
        Dimension.VOLUME: pl.concat_str("target_namespace", details.volume(pl.col("made_of")), separator="/"),
        Dimension.NODE: pl.when(pl.col("regarding_kind") == "Node").then("regarding_name"),
    }
    names = {name: alike for _, reasons in tables for name, alike in reasons.items()}
    read = once(rows.with_columns(asked=asked), "asked", image=details.image(text), made_of=details.named_volume(text))
    return read.with_columns(
        found=pl.coalesce(pl.when(wanted[dimension]).then(value) for dimension, value in values.items()),
        wanted=pl.coalesce(pl.when(condition).then(pl.lit(d.value)) for d, condition in wanted.items()),
        alike=reason.replace(names),
    )


def correlate(
    parts: pl.LazyFrame, keys: pl.LazyFrame, members: pl.LazyFrame, *, window: timedelta, longest: timedelta
) -> pl.LazyFrame:
    """Return what the rows of a batch add to incidents, a row a part and incident: :data:`batcher.schema.MEMBERS`.

    In: ``parts`` of :func:`batcher.stages.aggregate.sessions`, ``keys`` of :func:`keyed`, ``members`` of the state.
    """
    is_plain = (pl.col("origin") == "") & (pl.col("kind") == SummaryKind.PLAIN.value)
    plain = parts.filter(is_plain).with_columns(
        first_seen=pl.min_horizontal("first_seen", "last_at"), last_seen=pl.min_horizontal("last_seen", "last_at")
    )
    # Named once a part: a session has many columns, and few of them are told of a member.
    names = plain.unique("part").select("part", "cluster_uid", "target_namespace", summary=summary_id(), said="reason")
    rows = plain.select("part", "workspace", "cluster", *_SUMS, *_LEAST, *_MOST).join(keys, on="position")
    newest = ("workspace", "cluster", "alike", "dimension", "value", *(f"of_{name}" for name in _OBJECT))
    return (
        _in_sessions(rows.sort("position"), members, window=window, longest=longest)
        .group_by("key", "opened_at", "slot", "part")
        .agg(
            pl.col(newest).last(),
            pl.col(_MOST).max(),
            pl.col(_LEAST).min(),
            pl.col(_SUMS).sum(),
            first_position=pl.col("position").min(),
            first_at=pl.col("last_at").min(),
        )
        .join(names, on="part")
        .with_columns(reason="alike", began_at="opened_at", **{name: pl.col(f"of_{name}") for name in _OBJECT})
        .with_columns(
            incident=incident_id(), **{name: pl.lit(None, CAUSES[name]) for name in CAUSES if name != "summary"}
        )
        .select(*MEMBERS)
        .sort("position")
    )


def _in_sessions(rows: pl.LazyFrame, members: pl.LazyFrame, *, window: timedelta, longest: timedelta) -> pl.LazyFrame:
    """Add ``opened_at`` and ``slot``, the ``began_at`` and ``slot`` of the incident that a row is of; rows lie by
    ``key``, a number, and position then.
    """
    alike = ("workspace", "alike", "dimension", "value")
    previous = (
        members.group_by(*ALIKE, "began_at")
        .agg(open_last=pl.max("last_at"))
        .rename({"reason": "alike", "began_at": "open_began"})
        .sort("open_began")
        .unique(alike, keep="last", maintain_order=True)
    )
    numbered = rows.with_row_index("row").with_columns(key=pl.col("row").first().over(alike)).cache()
    keys = numbered.filter(pl.col("row") == pl.col("key")).select("key", *alike)
    known = keys.join(previous, on=alike).select("key", "open_last", "open_began")
    before = pl.when("is_first").then("open_last").otherwise(pl.col("last_at").shift(1))
    slot = (pl.col("last_at") - pl.col("opened_at")).dt.total_microseconds() // (longest // timedelta(microseconds=1))
    return (
        numbered.join(known, on="key", how="left", maintain_order="left")
        .sort("key", maintain_order=True)
        .with_columns(is_first=(pl.col("key") != pl.col("key").shift(1)).fill_null(value=True))
        .with_columns(begins=before.is_null() | (pl.col("last_at") - before > window))
        .with_columns(opened_at=pl.when("begins").then("last_at").when("is_first").then("open_began").forward_fill())
        .with_columns(slot=slot)
    )


def incident_id() -> pl.Expr:
    """128 bits of xxh3 over the lengths and values of :data:`batcher.schema.INCIDENT`, in hex: stable for ever."""
    values = {name: pl.col(name) for name in INCIDENT} | {"began_at": pl.col("began_at").dt.timestamp("us")}
    parts = [part for value in values.values() for part in measured_text(value.cast(pl.String))]
    return named(pl.concat_str(parts, separator=" "))


def fold_members(members: pl.LazyFrame, added: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``members`` with those of the batch, both :data:`batcher.schema.MEMBERS`."""
    least, keys = ("first_position", "first_at", *_LEAST), ("incident", "summary")
    first = ("cause_reason", "cause_object", "cause_at", "cause_text", "confidence", *INCIDENT)
    rest = [name for name in MEMBERS if name not in {*_SUMS, *least, *_MOST, *keys, *first}]
    return (
        pl.concat([members.select(*MEMBERS), added.select(*MEMBERS)])
        .sort("position")
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col(_SUMS).sum(),
            pl.col(least).min(),
            pl.col(_MOST).max(),
            pl.col(first).drop_nulls().first(),
            pl.col(rest).last(),
        )
        .select(*MEMBERS)
    )


def with_causes(members: pl.LazyFrame, causes: pl.LazyFrame) -> pl.LazyFrame:
    """Give ``members`` the cause of their summary that is known now, and add ``is_explained``: it is another.

    In: :data:`batcher.schema.CAUSES`, at most one a summary; of one that is not there, what was known stays.
    """
    names = [name for name in CAUSES if name != "summary"]
    known = pl.col("cause_text_new").is_not_null()
    return (
        members.join(causes, on="summary", how="left", suffix="_new", maintain_order="left")
        .with_columns(is_explained=known & pl.col("cause_text").ne_missing(pl.col("cause_text_new")))
        .with_columns(pl.when(known).then(f"{name}_new").otherwise(name).alias(name) for name in names)
        .select(*MEMBERS, "is_explained")
    )


def formed(members: pl.LazyFrame) -> pl.LazyFrame:
    """Return the ``incident`` of each that has a second cluster by now."""
    clusters = members.group_by("incident").agg(clusters=pl.col("cluster_uid").n_unique())
    return clusters.filter(pl.col("clusters") > 1).select("incident")


def is_silent(now: datetime, window: timedelta) -> pl.Expr:
    """Whether a session of incidents (``quiet_since``) has been silent for longer than the window."""
    return pl.lit(now) - pl.col("quiet_since") > window


def stages_of(members: pl.LazyFrame, *, over: pl.Expr) -> pl.LazyFrame:
    """Add to each of ``members`` what its incident is by now: ``is_formed``, ``formed_by, formed_at`` and ``is_over``.

    ``formed_*`` are position and receipt of the row that brought the second cluster; null: a candidate. An incident
    is over when its session is (``over``, as :func:`is_silent` says), or a later slot of it has begun.
    """
    first = members.group_by("incident", "cluster_uid").agg(pl.min("first_position", "first_at"))
    second = first.group_by("incident").agg(
        formed_by=pl.col("first_position").sort().get(1, null_on_oob=True),
        formed_at=pl.col("first_at").sort().get(1, null_on_oob=True),
    )
    session = (*ALIKE, "began_at")
    incidents = members.group_by("incident").agg(pl.col(session).first(), pl.max("slot"), pl.max("last_at"))
    sessions = incidents.group_by(session).agg(quiet_since=pl.max("last_at"), newest=pl.max("slot"))
    known = (
        incidents.join(sessions, on=session)
        .join(second, on="incident")
        .select(
            "incident",
            "formed_by",
            "formed_at",
            is_formed=pl.col("formed_by").is_not_null(),
            is_over=over | (pl.col("slot") < pl.col("newest")),
        )
    )
    return members.join(known, on="incident", how="left", maintain_order="left").select(*STAGED)
