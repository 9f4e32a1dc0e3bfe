"""An incident, as it is told: one Event in each namespace that it touches, and one row of the archive at its end.

The Event is a summary like any other from here on (:data:`batcher.schema.OPEN_SUMMARIES`, of kind ``incident``), so
that it is written, refused, expired and written again by what does so for all. What it says of other namespaces is
numbers: a name or a cause that one namespace may read is never told in another. Its name is made of the key and never
changes; the object that it is about is the one that is most affected by now.

Nothing here decides what an incident is: that is :mod:`batcher.stages.correlate`'s.
"""

import polars as pl

from batcher.schema import INCIDENT, OPEN_SUMMARIES
from batcher.stages.aggregate import summary_id
from batcher.stages.carry import BOOKKEEPING
from batcher.telemetry import Dimension, SummaryKind

REASON, CONTROLLER, COMPONENT = "CorrelatedIncident", "batcher.kcp.io/batcher", "batcher"
LABEL = "batcher.kcp.io/incident"
ID = 12
"""Hexadecimal digits of an incident that people see, in the label and the name: 48 bits, within one workspace."""
LISTED = 6
"""Clusters that the message names; the annotation has them all. With the longest names, reason and cause, in ASCII, it
stays below the 1024 bytes of a message, so that its end is not cut."""
KEPT = 1000
"""Members that the archive lists."""

_CAUSE_CHARACTERS = 200
_REASON_CHARACTERS = 128
_SPACE = ("incident", "target_namespace")
_ABOUT = ("regarding_api_version", "regarding_kind", "regarding_name")


def short(incident: pl.Expr) -> pl.Expr:
    """The first digits of an incident's name: its ID for people."""
    return incident.str.slice(0, ID)


def announce(members: pl.LazyFrame, clusters: pl.LazyFrame) -> pl.LazyFrame:
    """Return the Event of each incident of ``members`` in each of its namespaces.

    In: all :data:`batcher.schema.MEMBERS` of these incidents; ``clusters`` of
    :func:`batcher.stages.reach.clusters_of`. Out: :data:`batcher.schema.OPEN_SUMMARIES` without what publishing adds.
    """
    whole = _whole(members, clusters)
    inside = members.group_by(_SPACE).agg(own=pl.col("summary").n_unique().cast(pl.Int64))
    told = (
        inside.join(whole, on="incident")
        .join(_most_affected(members), on=_SPACE, how="left")
        .join(_causes(members, _SPACE), on=_SPACE, how="left")
        .with_columns(pl.col("cause").fill_null(""), spaces=pl.len().over("incident").cast(pl.Int64))
        .with_columns(others=pl.col("members") - pl.col("own"))
    )
    empty = {name: pl.lit("") for name, kind in OPEN_SUMMARIES.items() if kind == pl.String}
    said = {
        "type": pl.lit("Warning"),
        "reason": pl.lit(REASON),
        "kind": pl.lit(SummaryKind.INCIDENT.value),
        "template": pl.col("incident"),
        "regarding_name": _subject(),
        "messages_vary": pl.lit(value=False),
        "message": _message(),
        "component": pl.lit(COMPONENT),
        "reporting_controller": pl.lit(CONTROLLER),
        "related_api_version": pl.col("about_api_version").fill_null("v1"),
        "related_kind": pl.col("about_kind").fill_null("Namespace"),
        "related_name": pl.coalesce("about_name", "target_namespace"),
        "clusters": pl.col("counts"),
    }
    kept = ("incident", "workspace", "target_namespace", "cause")
    filled = {name: value for name, value in (empty | said).items() if name not in kept}
    columns = [name for name in OPEN_SUMMARIES if name not in BOOKKEEPING]
    return told.with_columns(**filled).with_columns(summary=summary_id()).select(columns)


def archive(members: pl.LazyFrame, clusters: pl.LazyFrame) -> pl.LazyFrame:
    """Return a row for each incident of ``members``: :data:`batcher.schema.INCIDENTS` without when it was written."""
    listed = (
        members.sort("first_seen", "cluster", "summary")
        .group_by("incident", maintain_order=True)
        .agg(member_list=_array(_member().head(KEPT)))
    )
    spaces = members.select(_SPACE).unique().sort(_SPACE).group_by("incident", maintain_order=True)
    namespaces = spaces.agg(namespaces=_array(_quoted("target_namespace")))
    return (
        _whole(members, clusters)
        .join(_causes(members, ("incident",)), on="incident", how="left")
        .join(namespaces, on="incident")
        .join(listed, on="incident")
        .with_columns(pl.col("cause").fill_null(""), ended_at="last_at", clusters="spread")
    )


def _whole(members: pl.LazyFrame, clusters: pl.LazyFrame) -> pl.LazyFrame:
    """One row an incident: what is told of it wherever it is told; its ``reason`` is the one that most of it says."""
    by_cluster = (
        members.group_by("incident", "cluster")
        .agg(pl.sum("occurrences"), pl.min("first_seen"))
        .sort("first_seen", "cluster")
        .group_by("incident", maintain_order=True)
        .agg(
            counts=_object(pl.concat_str(_quoted("cluster"), pl.lit(":"), "occurrences")),
            spread=_array(_cluster()),
            named=pl.concat_str("cluster", pl.lit(" x"), "occurrences").head(LISTED).str.join(", "),
            have=pl.len().cast(pl.Int64),
        )
    )
    totals = members.group_by("incident").agg(
        pl.col(name for name in INCIDENT if name != "reason").first(),
        pl.col("position", "last_at", "last_seen").max(),
        pl.col("first_seen").min(),
        pl.col("revisions", "occurrences").sum(),
        members=pl.col("summary").n_unique().cast(pl.Int64),
        objects=pl.struct("target_namespace", "regarding_kind", "regarding_name").n_unique().cast(pl.Int64),
    )
    absent = (
        totals.select("incident", "workspace", "last_at")
        .join(clusters, on="workspace")
        .filter(pl.col("first_at") <= pl.col("last_at"))
        .join(members, on=("incident", "cluster"), how="anti")
        .select("incident", "cluster")
        .unique()
        .sort("incident", "cluster")
        .group_by("incident", maintain_order=True)
        .agg(absent=_array(_quoted("cluster")), have_not=pl.len().cast(pl.Int64))
    )
    said = (
        members.group_by("incident", "said")
        .agg(pl.sum("occurrences"))
        .sort("occurrences", "said", descending=[True, False])
        .group_by("incident", maintain_order=True)
        .agg(reason=pl.col("said").first())
    )
    return (
        totals.join(said, on="incident")
        .join(by_cluster, on="incident")
        .join(absent, on="incident", how="left")
        .with_columns(pl.col("absent").fill_null("[]"), pl.col("have_not").fill_null(0))
    )


def _most_affected(members: pl.LazyFrame) -> pl.LazyFrame:
    """The object of each namespace with most occurrences, as ``about_*``; never a Node, which is the host's."""
    return (
        members.filter(pl.col("regarding_kind") != "Node")
        .group_by(*_SPACE, *_ABOUT)
        .agg(pl.sum("occurrences"))
        .sort("occurrences", *_ABOUT, descending=[True, False, False, False])
        .group_by(_SPACE, maintain_order=True)
        .first()
        .select(*_SPACE, **{name.replace("regarding", "about"): name for name in _ABOUT})
    )


def _causes(members: pl.LazyFrame, by: tuple[str, ...]) -> pl.LazyFrame:
    """The likeliest cause: the one that most clusters show, then the surest, the earliest. A member is none."""
    object_ = pl.concat_str("regarding_kind", pl.lit("/"), "regarding_name")
    own = members.select("incident", cause_reason="said", cause_object=object_)
    found = members.filter(pl.col("cause_text").is_not_null()).join(
        own, on=("incident", "cause_reason", "cause_object"), how="anti"
    )
    return (
        found.group_by(*by, "cause_reason", "cause_object")
        .agg(
            pl.col("cause_text").sort_by("cause_at", "cause_text").first(),
            pl.max("confidence"),
            pl.min("cause_at"),
            shown_by=pl.col("cluster_uid").n_unique(),
        )
        .sort(
            "shown_by", "confidence", "cause_at", "cause_text", descending=[True, True, False, False], nulls_last=True
        )
        .group_by(by, maintain_order=True)
        .agg(cause=pl.col("cause_text").first().str.slice(0, _CAUSE_CHARACTERS))
    )


def _message() -> pl.Expr:
    more = pl.col("have") - LISTED
    clusters = pl.concat_str("named", pl.when(more > 0).then(pl.format(" and {} more", more)).otherwise(pl.lit("")))
    cause = pl.when(pl.col("cause") == "").then(pl.lit("")).otherwise(pl.format("; likely cause: {}", "cause"))
    others = pl.format(
        " ({} more in {} other namespace{})",
        "others",
        pl.col("spaces") - 1,
        pl.when(pl.col("spaces") > 2).then(pl.lit("s")).otherwise(pl.lit("")),  # noqa: PLR2004  plural
    )
    return pl.format(
        "{} in {} of {} clusters ({}) since {}Z{}. Members: kubectl get events -l {}={}{}",
        pl.col("reason").str.slice(0, _REASON_CHARACTERS),
        "have",
        pl.col("have") + pl.col("have_not"),
        clusters,
        pl.col("first_seen").dt.strftime("%H:%M"),
        cause,
        pl.lit(LABEL),
        short(pl.col("incident")),
        pl.when(pl.col("others") > 0).then(others).otherwise(pl.lit("")),
    )


def _subject() -> pl.Expr:
    """What stands in the Event's name: the object, the image without registry and tag, the claim; no node's name."""
    last = pl.col("value").str.extract("([^/]*)$")
    return (
        pl.when(pl.col("dimension") == Dimension.IMAGE.value)
        .then(last.str.extract("^([^:@]*)"))
        .when((pl.col("dimension") == Dimension.NODE.value) | pl.col("value").str.contains("^[^/]*/Node/"))
        .then(pl.lit("node"))
        .otherwise(last)
        .fill_null("")
    )


def _quoted(name: str) -> pl.Expr:
    """A text as JSON has it."""
    return pl.struct(pl.col(name).alias("_")).struct.json_encode().str.extract(r"(?s)^\{\"_\":(.*)\}$")


def _cluster() -> pl.Expr:
    return pl.struct("cluster", "occurrences", first_seen=_time("first_seen")).struct.json_encode()


def _member() -> pl.Expr:
    return pl.struct(
        "summary",
        "cluster",
        namespace="target_namespace",
        kind="regarding_kind",
        name="regarding_name",
        reason="said",
        occurrences="occurrences",
        first_seen=_time("first_seen"),
        last_seen=_time("last_seen"),
    ).struct.json_encode()


def _time(name: str) -> pl.Expr:
    return pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")


def _array(parts: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit("["), parts.str.join(","), pl.lit("]"))


def _object(parts: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit("{"), parts.str.join(","), pl.lit("}"))
