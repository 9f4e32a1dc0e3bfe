"""The tables, and the column groups that mean "the same".

Every frame that crosses a module boundary has its columns here, with their types; a stage says
``group_by(SUMMARY)`` and the reader finds here what that is. Nothing is computed here.

Times are UTC to the microsecond. Strings are never null where a column takes part in a key: an absent
value is the empty string, which no API server accepts for the fields concerned.
"""

from collections.abc import Sequence

import polars as pl
from polars.datatypes import DataTypeClass

Columns = dict[str, pl.DataType | DataTypeClass]
"""The columns of a frame, in order, with their types."""

TIME: pl.DataType = pl.Datetime("us", "UTC")

OCCURRENCE = ("identity_high", "identity_low")
"""The counting identity, 128 bits of xxh3 over (cluster uid, namespace, name, first time; uid if none).

Not the uid: client-go re-creates an expired event under a new uid with its cumulative count.
Source: ``tools/record/events_cache.go`` and the transcripts of real-events."""

REVISION = ("cluster_uid", "incarnation", "uid", "resource_version")
"""One Event object at one resourceVersion, as delivered; a restored etcd gives versions out again."""

SOURCE = ("cluster_uid", "reporting_controller", "namespace")
"""Who reported where: what a rate limit is for."""

TARGET = ("workspace", "target_namespace")
"""Where a summary goes; both empty: nowhere yet."""

OBJECT = ("object_group", "object_kind", "object_name")
"""The object that a row is about as far as claims are concerned, by its API group; all empty: none."""

CLAIMED = ("cluster_uid", "namespace", *OBJECT)
"""What an object's claim is about; without a namespace it is in none."""

SUMMARY_KEY = (
    "cluster_uid",
    "namespace",
    *TARGET,
    "regarding_api_version",
    "regarding_kind",
    "regarding_name",
    "type",
    "reason",
    "unmapped_uid",
    "origin",
    "kind",
    "template",
    "object_uid",
    "unmapped_object",
)
"""One line for a tenant: this happens to this object of theirs, in this cluster.

``kind`` is a :class:`batcher.telemetry.SummaryKind`, empty for a plain one; ``template`` is what its messages have in
common, empty where messages do not distinguish.
``origin`` is empty, unless a route tells it elsewhere: then it is the workspace and namespace that it is mapped to.
``object_uid`` is the uid of the object, where a claim can be about it: another of that name may be somebody else's.
``unmapped_uid`` is empty as soon as there is a target: until then it says which namespace waits for one, and
``unmapped_object`` which object, if a claim can be about one and no row has told its uid."""

NOBODYS = "-"
"""The ``unmapped_uid`` of what happened between two targets: neither may read what might be the other's."""

LATER_KEY = ("unmapped_uid", "origin", "kind", "template", "object_uid", "unmapped_object")
"""Columns of :data:`SUMMARY_KEY` that older versions did not know; empty in what they wrote."""

SESSION = (*SUMMARY_KEY, "began_at")
"""One summary Event: a key until it has been silent for longer than the aggregation window."""

SLOT = (*SESSION, "slot")
"""One row of the ``summaries`` table: a session, cut at multiples of the longest duration."""

ALIKE = ("workspace", "reason", "dimension", "value")
"""What may be one incident: the same went wrong with the same thing, in whatever cluster.

``dimension`` is a :class:`batcher.telemetry.Dimension`, ``value`` names the thing in it."""

INCIDENT = (*ALIKE, "began_at", "slot")
"""One incident: ``ALIKE`` until it has been silent for longer than the correlation window, cut as slots are."""

LINES: Columns = {
    "position": pl.Int64,
    "received_at": TIME,
    "cluster_uid": pl.String,
    "cluster_key": pl.UInt64,
    "cluster": pl.String,
    "incarnation": pl.Int64,
    "delivered": pl.String,
    "identity_high": pl.UInt64,
    "identity_low": pl.UInt64,
    "identity_time": pl.String,
    "uid": pl.String,
    "namespace": pl.String,
    "name": pl.String,
    "resource_version": pl.Int64,
    "created": pl.String,
    "first": pl.String,
    "last": pl.String,
    "event_time": pl.String,
    "series_last": pl.String,
    "count": pl.Int64,
    "series_count": pl.Int64,
    "type": pl.String,
    "reason": pl.String,
    "message": pl.String,
    "action": pl.String,
    "component": pl.String,
    "host": pl.String,
    "reporting_controller": pl.String,
    "reporting_instance": pl.String,
    "regarding_api_version": pl.String,
    "regarding_kind": pl.String,
    "regarding_namespace": pl.String,
    "regarding_name": pl.String,
    "regarding_uid": pl.String,
    "regarding_field_path": pl.String,
    "related_api_version": pl.String,
    "related_kind": pl.String,
    "related_namespace": pl.String,
    "related_name": pl.String,
    "related_field_path": pl.String,
}
"""Decoded lines, one row an Event as delivered; times still as the API server wrote them."""

OCCURRENCES: Columns = {
    "batch": pl.Int64,
    "position": pl.Int64,
    "received_at": TIME,
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "incarnation": pl.Int64,
    "delivered": pl.String,
    "uid": pl.String,
    "namespace": pl.String,
    "name": pl.String,
    "resource_version": pl.Int64,
    "created_at": TIME,
    "first_at": TIME,
    "last_at": TIME,
    "count": pl.Int64,
    "grew": pl.Int64,
    "recreated": pl.Boolean,
    "identity_time": pl.String,
    "since_at": TIME,
    "type": pl.String,
    "reason": pl.String,
    "message": pl.String,
    "action": pl.String,
    "component": pl.String,
    "host": pl.String,
    "reporting_controller": pl.String,
    "reporting_instance": pl.String,
    "regarding_api_version": pl.String,
    "regarding_kind": pl.String,
    "regarding_namespace": pl.String,
    "regarding_name": pl.String,
    "regarding_uid": pl.String,
    "regarding_field_path": pl.String,
    "related_api_version": pl.String,
    "related_kind": pl.String,
    "related_namespace": pl.String,
    "related_name": pl.String,
    "related_field_path": pl.String,
    "verdict": pl.String,
    "workspace": pl.String,
    "target_namespace": pl.String,
    "namespace_uid": pl.String,
    "routes": pl.String,
    "claimed_uid": pl.String,
    "target_name": pl.String,
    "shadowed": pl.String,
    "kept_by": pl.String,
}
"""Archive: one row a revision, exactly once; ``grew`` is how many occurrences it added, maybe 0.

``shadowed`` has the names of the shadow rules that hit it, separated by commas; ``kept_by`` that of a keep rule.

``since_at`` is the earliest time that they can be said to have begun. ``identity_time`` is the time in the counting
identity, as the API server wrote it: with the columns beside it a lost state can be counted on from. ``claimed_uid``
is of the object (or of its guessed owner) that a claim can be about, ``target_name`` what its workspace calls it."""

MEASURES: Columns = {
    "cluster": pl.String,
    "position": pl.Int64,
    "last_at": TIME,
    "revisions": pl.Int64,
    "occurrences": pl.Int64,
    "first_seen": TIME,
    "last_seen": TIME,
    "message": pl.String,
    "messages_vary": pl.Boolean,
    "objects": pl.Int64,
    "component": pl.String,
    "reporting_controller": pl.String,
    "related_api_version": pl.String,
    "related_kind": pl.String,
    "related_namespace": pl.String,
    "related_name": pl.String,
    "related_field_path": pl.String,
}
"""What a session or slot knows of its rows, each of which added occurrences; ``last_at`` is when it was last
received, ``last_seen`` when it last happened by the cluster's clock; text is of the newest row (largest position).
``objects`` is how many different ones a folded summary is about, 0 where nobody counted."""

_SESSION: Columns = {name: TIME if name == "began_at" else pl.String for name in SESSION}

OPEN_SLOTS: Columns = {"summary": pl.String, **_SESSION, "slot": pl.Int64, **MEASURES}
"""State: the slot that an open session is in."""

SUMMARIES: Columns = {"batch": pl.Int64, "closed_at": TIME, **OPEN_SLOTS, "cluster_labels": pl.String}
"""Archive: one row a slot, written when it closes; ``cluster_labels`` are those that the configuration gave the
cluster then, as JSON: regions and providers to ask by."""

OF_INCIDENTS = ("incident", "clusters", "cause")
"""Columns of open summaries that incidents fill; older versions did not know them."""

OPEN_SUMMARIES: Columns = (
    {"summary": pl.String}
    | _SESSION
    | MEASURES
    | {
        "version": pl.Int64,
        "closed": pl.Boolean,
        "written_version": pl.Int64,
        "written_at": TIME,
        "resource_version": pl.String,
        "writes": pl.Int64,
        "refusal": pl.String,
    }
    | dict.fromkeys(OF_INCIDENTS, pl.String())
)
"""State: one row a session that goes on, or whose last totals are not in its workspace yet.

``version`` is the batch that changed it last; it is dirty while ``written_version`` is behind. ``incident`` is the
one that it is a member of, or empty; ``clusters`` (JSON: occurrences by cluster) and ``cause`` are empty but in the
rows that are an incident (:mod:`batcher.stages.announce`)."""

MEMBERS: Columns = {
    "incident": pl.String,
    "workspace": pl.String,
    "reason": pl.String,
    "dimension": pl.String,
    "value": pl.String,
    "began_at": TIME,
    "slot": pl.Int64,
    "summary": pl.String,
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "target_namespace": pl.String,
    "said": pl.String,
    "regarding_api_version": pl.String,
    "regarding_kind": pl.String,
    "regarding_name": pl.String,
    "first_position": pl.Int64,
    "position": pl.Int64,
    "first_at": TIME,
    "last_at": TIME,
    "first_seen": TIME,
    "last_seen": TIME,
    "revisions": pl.Int64,
    "occurrences": pl.Int64,
    "cause_reason": pl.String,
    "cause_object": pl.String,
    "cause_at": TIME,
    "cause_text": pl.String,
    "confidence": pl.Float64,
}
"""State: what each summary has added to each incident that is open, or could become one: of one cluster so far.

``reason`` is the one of the key, ``said`` the summary's own. ``first_at`` and ``last_at`` are when its first and last
row were received; the times that it was seen are by the cluster's clock, but not after receipt. ``cause_*`` is null
while no cause is known."""

CAUSES: Columns = {
    "summary": pl.String,
    "cause_reason": pl.String,
    "cause_object": pl.String,
    "cause_at": TIME,
    "cause_text": pl.String,
    "confidence": pl.Float64,
}
"""Input: what is likely the root cause of a summary, in text that its namespace may read: it names nothing of another
namespace, and no node. ``cause_object`` is its kind and name (``Deployment/web``), empty where it may not be named."""

PRESENCE: Columns = {
    "workspace": pl.String,
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "first_at": TIME,
    "seen_at": TIME,
}
"""State: which clusters workloads of a workspace run in: since when, and until when at least, Events say so."""

INCIDENTS: Columns = {
    "batch": pl.Int64,
    "closed_at": TIME,
    "incident": pl.String,
    "workspace": pl.String,
    "reason": pl.String,
    "dimension": pl.String,
    "value": pl.String,
    "began_at": TIME,
    "slot": pl.Int64,
    "ended_at": TIME,
    "first_seen": TIME,
    "last_seen": TIME,
    "clusters": pl.String,
    "absent": pl.String,
    "namespaces": pl.String,
    "members": pl.Int64,
    "revisions": pl.Int64,
    "occurrences": pl.Int64,
    "cause": pl.String,
    "member_list": pl.String,
}
"""Archive: one row an incident, written when it closes.

``began_at`` and ``ended_at`` are when its first and last row were received; ``reason`` is what most of it said. JSON:
``clusters``, an array in the order in which it reached them ({cluster, occurrences, first_seen}); ``absent``, the
clusters of the workspace that did not have it; ``namespaces``; ``member_list``, its summaries in order of time, at
most a thousand."""

SEEN: Columns = {
    "identity_high": pl.UInt64,
    "identity_low": pl.UInt64,
    "cluster_key": pl.UInt64,
    "incarnation": pl.Int64,
    "resource_version": pl.Int64,
    "count": pl.Int64,
    "touched": pl.Int64,
}
"""State: the largest cumulative count of each counting identity, and the largest resourceVersion of its latest
incarnation; ``touched`` is its cluster's clock (``heard`` of :data:`CLOCKS`) when it was seen last."""

CLOCKS: Columns = {
    "cluster_key": pl.UInt64,
    "cluster": pl.String,
    "received_at": TIME,
    "heard": pl.Int64,
}
"""State: for how long each cluster has been listened to so far, in microseconds, as of its last contact.

``cluster_key`` is 64 bits of xxh3 over the cluster's uid: a million identities name their cluster by it."""

CONTACTS: Columns = {
    "cluster_key": pl.UInt64,
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "scope": pl.String,
    "incarnation": pl.Int64,
    "received_at": TIME,
}
"""State: when each event stream (a cluster, a namespace or all) was last in reach, and in which incarnation."""

CLAIMS: Columns = {
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "namespace": pl.String,
    "uid": pl.String,
    "position": pl.Int64,
    "received_at": TIME,
    "workspace": pl.String,
    "target_namespace": pl.String,
    "sync_target": pl.String,
    "flaw": pl.String,
    "gone_at": TIME,
    "was_workspace": pl.String,
    "was_namespace": pl.String,
    "since": pl.Int64,
    "since_at": TIME,
    "has_workspace": pl.String,
    "has_namespace": pl.String,
}
"""State: what each downstream Namespace said last of the workspace that it serves; no workspace: nothing.

``flaw`` is a :class:`batcher.mapping.Flaw`; ``gone_at`` is when the Namespace was deleted, null while it is there.
``has_*`` is the target that follows from it, ``was_*`` the one before: what the namespace had last, whatever its uid,
until something was said or configured otherwise; empty: none. ``since`` and ``since_at`` are the position and the time
since when it says so without a break."""

LISTS: Columns = {"cluster_uid": pl.String, "first": pl.Int64, "end": pl.Int64, "received_at": TIME}
"""Where a list of a cluster's Namespaces begins, and the position behind its last page; null: it is under way."""

LISTINGS: Columns = {"cluster_uid": pl.String, "since": pl.Int64}
"""State: where the list of a cluster's Namespaces began that is under way."""

OBJECTS: Columns = {
    **dict.fromkeys(CLAIMED, pl.String()),
    "cluster": pl.String,
    "uid": pl.String,
    "position": pl.Int64,
    "received_at": TIME,
    "workspace": pl.String,
    "target_namespace": pl.String,
    "target_name": pl.String,
    "flaw": pl.String,
    "gone_at": TIME,
    "is_listing": pl.Boolean,
    "was_workspace": pl.String,
    "was_namespace": pl.String,
}
"""State: what each watched object said last of the workspace object that it is of; no workspace: nothing.

``flaw`` and ``gone_at`` as in :data:`CLAIMS`; ``is_listing``: a list told of it that had not come to its end. ``was_*``
is the last target that it said before, or else that its namespace had; empty: none yet."""

OBJECT_LISTS: Columns = {
    "cluster_uid": pl.String,
    "object_group": pl.String,
    "object_kind": pl.String,
    "scope": pl.String,
    "position": pl.Int64,
    "received_at": TIME,
}
"""Ends of lists of watched objects, of one namespace or (an empty scope) of all. An end stands behind the lines of its
list, and before what has the same position."""

SERVED: Columns = {
    "cluster_uid": pl.String,
    "namespace": pl.String,
    "workspace": pl.String,
    "target_namespace": pl.String,
    "seen_at": TIME,
}
"""State: the last target that Events of a namespace had of which no Namespace tells, and when it was used."""

NODES: Columns = {
    "cluster_uid": pl.String,
    "name": pl.String,
    "seen_at": TIME,
}
"""State: the nodes that a cluster's Events told of, and when last: names that no tenant is to read."""

DEFINITIONS: Columns = {
    "name": pl.String,
    "value": pl.String,
}
"""State: the settings that decide which rows are one summary, by their paths, as of the last batch."""

PLACES: Columns = {
    "level": pl.String,
    "group": pl.UInt64,
    "key": pl.UInt64,
    "until": TIME,
    "last_at": TIME,
    "taken": pl.Int64,
}
"""State: who has a place (:mod:`batcher.stages.places`) in a clock period that is not over, as hashes; ``until`` is
its end, ``last_at`` when the key was received last, ``taken`` how many places it took."""

HAPPENED = (
    "cluster_uid",
    "regarding_kind",
    "regarding_namespace",
    "regarding_name",
    "reason",
    "about",
)
"""The same happening: it is one each minute, however many rows say so. ``about`` tells apart what one reason means
(:data:`batcher.causes.ABOUT`)."""

PODS: Columns = {
    "cluster_uid": pl.String,
    "namespace": pl.String,
    "name": pl.String,
    "node": pl.String,
    "position": pl.Int64,
    "hour_at": TIME,
}
"""State: the node that each Pod was last told to run on, and in which hour."""

ROOT: Columns = {
    "root_summary": pl.String,
    "root_position": pl.Int64,
    "root_at": TIME,
    "root_reason": pl.String,
    "root_kind": pl.String,
    "root_namespace": pl.String,
    "root_name": pl.String,
    "root_workspace": pl.String,
    "root_target_namespace": pl.String,
    "path": pl.String,
    "certainty": pl.Float64,
}
"""What a happening goes back to: its root cause, the reasons from there to it, and how sure that is."""

HAPPENINGS: Columns = {
    "position": pl.Int64,
    "received_at": TIME,
    "happened_at": TIME,
    "cluster": pl.String,
    **dict.fromkeys(HAPPENED, pl.String()),
    "is_warning": pl.Boolean,
    "owner": pl.String,
    "node": pl.String,
    "volume": pl.String,
    "image": pl.String,
    "other_kind": pl.String,
    "other_name": pl.String,
    "summary": pl.String,
    "told_kind": pl.String,
    "told_name": pl.String,
    "workspace": pl.String,
    "target_namespace": pl.String,
    "is_judged": pl.Boolean,
    "due_at": TIME,
    "kept_until": TIME,
    **ROOT,
}
"""State: what may be a cause or an effect, one row a happening and minute: the first that tells of it.

``happened_at`` is by the cluster's clock, but not after receipt. ``owner``, ``node``, ``volume``, ``image`` and
``other_*`` are what rules join by, empty where nothing is known. ``summary`` is the one that counts it, empty if none
does; ``told_*`` its object. ``is_judged`` is whether its cause is chosen, if it can have one; that is done after
``due_at``, and all but ``certainty`` of its root is empty until then, unless there is a guess. Nothing here is null."""

LINKED = ("effect_summary", "cause_summary", "cause_reason", "cause_kind", "cause_namespace", "cause_name")
"""One link: a summary, and what leads to it. The last four matter where no summary counts the cause."""

LINKS: Columns = {
    "batch": pl.Int64,
    "final_at": TIME,
    "rule": pl.String,
    "confidence": pl.Float64,
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "workspace": pl.String,
    "target_namespace": pl.String,
    "effect_summary": pl.String,
    "effect_position": pl.Int64,
    "effect_at": TIME,
    "effect_reason": pl.String,
    "effect_kind": pl.String,
    "effect_namespace": pl.String,
    "effect_name": pl.String,
    "cause_summary": pl.String,
    "cause_position": pl.Int64,
    "cause_at": TIME,
    "cause_reason": pl.String,
    "cause_kind": pl.String,
    "cause_namespace": pl.String,
    "cause_name": pl.String,
    "root_summary": pl.String,
    "root_position": pl.Int64,
    "root_at": TIME,
    "root_reason": pl.String,
    "root_kind": pl.String,
    "root_namespace": pl.String,
    "root_name": pl.String,
    "path": pl.String,
    "root_confidence": pl.Float64,
}
"""Archive: a summary and its cause, written once, at ``final_at``, when nothing can change it any more.

Objects are owners where those were guessed, namespaces those of the cluster; ``*_at`` and ``*_position`` are those of
the first rows that were linked. ``path`` are the reasons from the root to the effect, with `` > `` between them;
``root_confidence`` is the product along it. What is here is for the owner of the archive: tenants read
:mod:`batcher.stages.explain`."""

FOLLOWED: Columns = {
    **HAPPENINGS,
    "final_at": TIME,
    "rule": pl.String,
    "confidence": pl.Float64,
    "is_final": pl.Boolean,
    **{name: kind for name, kind in LINKS.items() if name.startswith("cause_")},
}
"""Happenings with their cause, and when both are final; a guess is not."""

KNOWN_LINKS: Columns = {**dict.fromkeys(LINKED, pl.String()), "used_at": TIME}
"""State: which links were written, and when they were last found again."""

KNOWN_CAUSES: Columns = {
    "summary": pl.String,
    "position": pl.Int64,
    "confidence": pl.Float64,
    "is_final": pl.Boolean,
    **ROOT,
}
"""State: the root cause of each open summary, of that happening of it whose own cause is the surest so far."""

GAPS: Columns = {
    "batch": pl.Int64,
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "scope": pl.String,
    "from_at": TIME,
    "to_at": TIME,
}
"""Archive: nobody listened to a cluster for longer than it keeps its Events; some may be missing."""

DEAD_LETTERS: Columns = {"batch": pl.Int64, "died_at": TIME, **OPEN_SUMMARIES, "event": pl.String}
"""Archive: a summary that its workspace did not take, with the Event as it was rendered (JSON).

All that the state knew of it is here, so that it can be retried."""

REVIVALS: Columns = {"batch": pl.Int64, "at": TIME, "summary": pl.String}
"""Data directory: a dead letter that was retried, and so is an open summary again."""

QUARANTINE: Columns = {
    "batch": pl.Int64,
    "position": pl.Int64,
    "received_at": TIME,
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "incarnation": pl.Int64,
    "cause": pl.String,
    "line": pl.Binary,
}
"""Data directory: delivered lines that could not be counted, untouched, with the reason."""

RETRIES: Columns = {
    "batch": pl.Int64,
    "at": TIME,
    "position": pl.Int64,
    "place": pl.Int64,
    "fate": pl.String,
    "cause": pl.String,
}
"""Data directory: what became of a quarantined line when it was tried again (:class:`batcher.telemetry.Fate`).

A line leaves quarantine with the row whose fate is not ``quarantined``, once; ``cause`` says why it stays. ``place``
is the position of the row that it became in ``occurrences``: with its own it would stand before what was counted
before it, and whoever reads rows in order of position would count otherwise."""

BATCHES: Columns = {
    "batch": pl.Int64,
    "now": TIME,
    "received": pl.Int64,
    "retried": pl.Int64,
    "revisions": pl.Int64,
    "repeats": pl.Int64,
    "ignored": pl.Int64,
    "quarantined": pl.Int64,
    "occurrences": pl.Int64,
    "kept": pl.Int64,
    "unmapped": pl.Int64,
    "limited": pl.Int64,
    "archive_only": pl.Int64,
    "filtered": pl.Int64,
    "opened": pl.Int64,
    "revived": pl.Int64,
    "published": pl.Int64,
    "dead_lettered": pl.Int64,
    "archived": pl.Int64,
    "folded": pl.Int64,
    "writes": pl.Int64,
    "slots": pl.Int64,
    "incidents": pl.Int64,
    "links": pl.Int64,
    "gaps": pl.Int64,
}
"""Archive: one row a batch with all its sums; ``opened``, ``revived`` and the three ends count summaries,
``folded`` rows that have no summary of their own, once a place where they are told.

``retried`` are the lines that left quarantine: ``received + retried = revisions + repeats + ignored + quarantined``."""

SUMS = tuple(name for name in BATCHES if name not in ("batch", "now"))
"""The columns of ``batches`` that add up over batches."""


def from_rows(rows: Sequence[Sequence[object]], columns: Columns, *, micros: str) -> pl.DataFrame:
    """Return ``rows`` as a frame of ``columns``; the column ``micros`` is given in microseconds since the epoch."""
    given: Columns = {**columns, micros: pl.Int64}
    return pl.DataFrame(rows, schema=given, orient="row").cast({micros: columns[micros]})


_ABSENT: dict[pl.DataType | DataTypeClass, object] = {pl.Int64: 0, pl.UInt64: 0, pl.Boolean: False, pl.String: ""}
"""What stands, by type, in a column that the version that wrote a row did not know; null for any other type."""


def completed(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Return ``frame`` with exactly ``columns``: those that it lacks are filled by type, others are left out."""
    added = {name: pl.lit(_ABSENT.get(kind), kind) for name, kind in columns.items() if name not in frame.columns}
    return frame.with_columns(**added).select(*columns)


def empty(columns: Columns) -> pl.DataFrame:
    """Return a frame of no rows with ``columns``."""
    return pl.DataFrame(schema=columns)
