"""The closed lists of names that are counted: verdicts, and why a line was ignored or quarantined.

A number that an operator reads is only as good as the closed list behind it; free text never becomes a
label. Nothing here counts.
"""

from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec


class Verdict(StrEnum):
    """What became of a revision; every row of ``occurrences`` has one."""

    KEPT = "kept"
    UNMAPPED = "unmapped"
    LIMITED = "limited"
    """Its source reports too much: it is told in the number of those that are not shown."""
    ARCHIVE_ONLY = "archive-only"
    """A route says that nobody is told."""
    FILTERED = "filtered"
    """A rule says so; in a row, a colon and the name of the rule follow."""


class Action(StrEnum):
    """What a rule of the filter does with what it matches."""

    DROP = "drop"
    KEEP = "keep"
    SHADOW = "shadow"
    """Nothing: it is only counted."""


class SummaryKind(StrEnum):
    """What a summary stands for."""

    PLAIN = ""
    """What happened to one object."""
    SUPPRESSED = "suppressed"
    """How much a rate limit held back of a source."""
    FOLDED = "folded"
    """What happened to many objects, of which too many had a summary of their own."""
    INCIDENT = "incident"
    """An incident, as one of the namespaces that it touches is told of it."""


class Dimension(StrEnum):
    """What the summaries of an incident have in common, beside their reason."""

    OBJECT = "object"
    """An object of the workspace, by its namespace, kind and name."""
    IMAGE = "image"
    VOLUME = "volume"
    """What a volume is made of: a claim, a ConfigMap, a Secret."""
    NODE = "node"


class Ignored(StrEnum):
    """Why a delivered line is no revision, though nothing is wrong with it."""

    DELETED = "deleted"
    """An Event expired or was removed: not something that happened to the workload."""
    BOOKMARK = "bookmark"
    OWN = "own"
    """Written by batcher: counting it would sum up our own summaries, for ever."""
    UNKNOWN_TYPE = "unknown-type"


class Cause(StrEnum):
    """Why a delivered line is in quarantine."""

    NOT_JSON = "not-json"
    WRONG_SHAPE = "wrong-shape"
    NO_UID = "no-uid"
    NO_NAME = "no-name"
    BAD_RESOURCE_VERSION = "bad-resource-version"
    REFUSED = "refused"
    """The watcher gave it up at once: not JSON, no resourceVersion, or too long."""


class Fate(StrEnum):
    """What became of a quarantined line or a dead letter when it was tried again."""

    REVISION = "revision"
    REPEAT = "repeat"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"
    """It stays where it was."""
    REVIVED = "revived"
    """Of a dead letter: it is an open summary again."""


class RuleCount(msgspec.Struct, frozen=True):
    """What a rule of the filter did in a batch, or so far; rows are revisions."""

    name: str
    action: Action
    since: int
    """Microseconds since the epoch: when it was first asked."""
    rows: int = 0
    """All that were judged since."""
    hits: int = 0
    """Rows that it matched and was asked of: that no rule before it had decided."""
    occurrences: int = 0
    """Of those."""
    matches: int = 0
    """Rows that it matches, asked or not."""
    last_at: int = 0
    """When its last hit was received, in microseconds since the epoch; 0: it had none."""
    last_position: int = 0
    taken: dict[str, int] = {}
    """Rows that it matches, by the rule that had decided them before."""


CredentialKind = Literal["token", "certificate", "plugin"]
"""What a request is let in with, by its kind."""


class Metric(NamedTuple):
    """A metric's kind, what it means, and its labels (never a name, uid or message: they are unbounded)."""

    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram: up to where what was observed is counted together."""


PUBLISH_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: from an answer at once to what a refusal lets wait."""
BATCH_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: from a batch of a few lines to several intervals of the default."""

METRICS = {
    "batcher_spool_lines": Metric("counter", "Delivered lines, by what became of them.", ("fate",)),
    "batcher_quarantine_retries": Metric("counter", "Lines that left quarantine; their new fate is counted as well."),
    "batcher_event_occurrences": Metric("counter", "Occurrences counted."),
    "batcher_revision_verdicts": Metric("counter", "Revisions, by their verdict.", ("verdict",)),
    "batcher_rule_hits": Metric("counter", "Revisions that a rule decided or shadowed.", ("rule", "action")),
    "batcher_rule_rows": Metric("counter", "Revisions judged since the rule is there.", ("rule", "action")),
    "batcher_rule_last_hit_timestamp_seconds": Metric("gauge", "Unix time of a rule's last hit.", ("rule", "action")),
    "batcher_summary_openings": Metric("counter", "Summaries begun."),
    "batcher_summary_revivals": Metric("counter", "Dead letters that were retried."),
    "batcher_summary_endings": Metric("counter", "Summaries ended, by how.", ("end",)),
    "batcher_limit_rows": Metric("counter", "Revisions held back by the limit of their source."),
    "batcher_fold_rows": Metric("counter", "Revisions without a summary of their own, once a place where told."),
    "batcher_publish_writes": Metric("counter", "Events written to workspaces."),
    "batcher_publish_latency_seconds": Metric(
        "histogram",
        "From when a write was due to the workspace's answer, of those that were taken.",
        ("workspace",),
        PUBLISH_BOUNDS,
    ),
    "batcher_publish_refusals": Metric(
        "counter", "Writes that a workspace refused for good, by its reason.", ("workspace", "reason")
    ),
    "batcher_incident_endings": Metric("counter", "Incidents that have ended."),
    "batcher_incidents_open": Metric("gauge", "Incidents that go on."),
    "batcher_cause_links": Metric("counter", "Summaries linked to their cause."),
    "batcher_contact_gaps": Metric("counter", "Times that a cluster was out of reach for longer than its event TTL."),
    "batcher_contact_gap_last_timestamp_seconds": Metric("gauge", "Unix time at which a batch last found such a gap."),
    "batcher_batch_commits": Metric("counter", "Batches committed."),
    "batcher_batch_duration_seconds": Metric(
        "histogram", "From the plan of a batch to its commit.", bounds=BATCH_BOUNDS
    ),
    "batcher_batch_last_timestamp_seconds": Metric(
        "gauge", "Unix time when a batch was last committed, or there was nothing to commit."
    ),
    "batcher_summaries_open": Metric("gauge", "Summaries that go on, or are not in their workspace yet."),
    "batcher_summary_oldest_unpublished_timestamp_seconds": Metric(
        "gauge", "Unix time when the summary began that waits longest for its first write; absent if none does."
    ),
    "batcher_publish_pending_writes": Metric("gauge", "Writes waiting or in flight."),
    "batcher_identities_seen": Metric("gauge", "Counting identities kept in the state."),
    "batcher_spool_bytes": Metric("gauge", "Bytes of the spool."),
    "batcher_spool_max_bytes": Metric("gauge", "Bytes of the spool at which reading stops."),
    "batcher_spool_blocked": Metric("gauge", "1 while the disk takes nothing and sockets stay unread."),
    "batcher_quarantine_bytes": Metric("gauge", "Bytes of what could not be counted, and is kept."),
    "batcher_quarantine_lines": Metric("gauge", "Lines in quarantine, by why they could not be counted.", ("cause",)),
    "batcher_quarantine_full": Metric("gauge", "1 while clusters are not read because of what they sent."),
    "batcher_archive_away": Metric("gauge", "1 while the archive cannot be written."),
    "batcher_archive_keeping_failures": Metric(
        "counter", "Times that compaction, retention or vacuum failed; the next turn goes on."
    ),
    "batcher_archive_last_kept_timestamp_seconds": Metric(
        "gauge", "Unix time when the archive was last compacted, and what is too old removed, by this process."
    ),
    "batcher_config_refused": Metric("gauge", "1 while the newest configuration, or some of it, is not in use."),
    "batcher_verify_failed": Metric("gauge", "1 if the newest hourly proof of the sums failed."),
    "batcher_verify_last_timestamp_seconds": Metric(
        "gauge", "Unix time when the sums were last looked at; before the first time, when a service first ran here."
    ),
    "batcher_credential_expiry_timestamp_seconds": Metric(
        "gauge",
        "Unix time at which expires what we are let in with, if nobody is known to renew it.",
        ("side", "name", "credential"),
    ),
    "batcher_leader": Metric("gauge", "1 while this process runs; 0 while it waits for the Lease of another."),
    "batcher_lease_failures": Metric("counter", "Tries to get or renew the Lease that nobody answered."),
    "batcher_namespaces": Metric(
        "gauge", "Namespaces heard of, by what is wrong with their word.", ("cluster", "flaw")
    ),
    "batcher_objects": Metric(
        "gauge", "Objects of api-syncagent heard of, by what is wrong with their labels.", ("cluster", "flaw")
    ),
    "batcher_cluster_connected": Metric("gauge", "1 while the cluster's watch is open.", ("cluster",)),
    "batcher_cluster_events": Metric("counter", "Events received, repeats included.", ("cluster",)),
    "batcher_cluster_restarts": Metric("counter", "Streams and lists that failed.", ("cluster",)),
    "batcher_cluster_lists": Metric("counter", "Lists begun.", ("cluster",)),
    "batcher_cluster_insecure": Metric("gauge", "1 if the cluster's server is not verified.", ("cluster",)),
    "batcher_cluster_recovered_revisions": Metric("counter", "Revisions that only an audit found.", ("cluster",)),
    "batcher_cluster_lag_seconds": Metric("gauge", "From happening to receipt, newest batch's mean.", ("cluster",)),
    "batcher_cluster_publish_lag_seconds": Metric(
        "gauge", "From happening to its first write in a workspace, newest mean.", ("cluster",)
    ),
    "batcher_cluster_last_contact_timestamp_seconds": Metric(
        "gauge", "Unix time of the last sign of life.", ("cluster",)
    ),
    "batcher_cluster_last_event_timestamp_seconds": Metric(
        "gauge", "Unix time of the last received Event.", ("cluster",)
    ),
}
"""Every metric there is; counters get ``_total`` when they are shown."""


class Sample(NamedTuple):
    """A value of one of :data:`METRICS`, with the values of its labels in their order."""

    name: str
    value: float
    """Of a histogram: the sum of what was observed."""
    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    """Of a histogram: how many were observed up to each of its bounds, and beyond the last; each is counted once."""
