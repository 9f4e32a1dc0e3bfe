"""What a running service says of itself: one record, for ``batcher status``, metrics and health alike.

The service leaves it in the data directory every few seconds, so that it can be asked without a port. It is
never read back by the service: losing it loses nothing.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from batcher.errors import DataDirError
from batcher.telemetry import CredentialKind, RuleCount, Sample, Verdict

_FILE = "status.json"


class ClusterStatus(msgspec.Struct, frozen=True):
    """A source cluster: its watch now, and what came of it so far."""

    name: str
    watch: str
    """starting, listing, connected, waiting (to try again) or stopped."""
    uid: str
    last_event_at: datetime | None
    last_contact_at: datetime | None
    restarts: int
    lists: int
    recovered: int
    """Revisions that the API server never sent, found by an audit."""
    insecure: bool
    """Whether its server is not verified."""
    last_error: str
    events: int
    occurrences: int
    warnings: int
    lag_ms: int
    """From happening to receipt, mean of the newest batch."""
    namespaces: dict[str, int] = {}
    """How many were heard of, by what is wrong with their word; ``none`` are those that are believed."""
    objects: dict[str, int] = {}
    """The same of objects that say themselves whose they are."""
    publish_lag_ms: int = 0
    """From happening to the first write in a workspace, mean of the newest batch that heard of one."""

    @property
    def flawed(self) -> dict[str, int]:
        """The namespaces whose word is not believed, by flaw."""
        return _flawed(self.namespaces)

    @property
    def flawed_objects(self) -> dict[str, int]:
        """The objects whose word is not believed, by flaw."""
        return _flawed(self.objects)


def _flawed(counted: Mapping[str, int]) -> dict[str, int]:
    return {flaw: number for flaw, number in counted.items() if number and flaw != "none"}


class WorkspaceStatus(msgspec.Struct, frozen=True):
    """What a workspace took and refused since the service began."""

    name: str
    counts: tuple[int, ...]
    """Writes by how long they took (:data:`batcher.telemetry.PUBLISH_BOUNDS`)."""
    seconds: float
    """All of them together."""
    refusals: dict[str, int]
    """By reason."""


class CredentialStatus(msgspec.Struct, frozen=True):
    """What we are let in with and nobody is known to renew, and when it expires; never the credential."""

    side: Literal["cluster", "workspace", "lease"]
    name: str
    credential: CredentialKind
    expires_at: datetime


class Leadership(msgspec.Struct, frozen=True):
    """Why this process runs, of several that may: it holds a Lease."""

    lease: str
    """Its namespace and name."""
    identity: str
    """By which name it is held."""
    since: datetime | None
    failures: int
    """Tries to renew it that nobody answered."""
    trouble: str
    """Why the last one failed; empty if it did not."""
    expiries: dict[CredentialKind, datetime] = {}
    """When that expires with which it is renewed."""


class Status(msgspec.Struct, frozen=True):
    """The service at a moment."""

    at: datetime
    pid: int
    interval_seconds: float
    """How often this record is renewed."""
    batch: int
    totals: dict[str, int]
    open_summaries: int
    pending_writes: int
    identities: int
    spool_bytes: int
    spool_trouble: str
    archive_trouble: str
    publish_trouble: str
    config_trouble: str
    """Why the newest configuration is not the one in use."""
    clusters: list[ClusterStatus]
    quarantine_bytes: int = 0
    quarantine_trouble: str = ""
    """Which clusters are not read because what they sent could not be counted, and is too much."""
    rules: list[RuleCount] = []
    """What each rule of the filter did so far."""
    open_incidents: int = 0
    leadership: Leadership | None = None
    """None where no leader is elected."""
    keeping_trouble: str = ""
    """Why the archive's compaction, retention or vacuum failed last; empty when it did not."""
    keeping_failures: int = 0
    """How often they did since the service began."""
    kept_at: datetime | None = None
    """When they were done last, since the service began."""
    batched_at: datetime | None = None
    """When a batch was last committed, or there was nothing to commit."""
    batch_counts: tuple[int, ...] = ()
    """Batches since the service began, by how long they took (:data:`batcher.telemetry.BATCH_BOUNDS`)."""
    batch_seconds: float = 0.0
    """All of them together."""
    gap_at: datetime | None = None
    """When a batch last found that a cluster was out of reach for too long, restarts included; None: none did."""
    unpublished_since: datetime | None = None
    """When the summary began that waits longest for its first write; None: none waits."""
    spool_max_bytes: int = 0
    quarantine_causes: dict[str, int] = {}
    """How many lines are in quarantine, by cause."""
    workspaces: list[WorkspaceStatus] = []
    credentials: list[CredentialStatus] = []
    proved_at: datetime | None = None
    """When the sums were last looked at (hourly), restarts included; None: not yet."""
    proving_since: datetime | None = None
    """Since when they are: when a service first ran here."""
    proof_trouble: str = ""
    """What differed then, or why it could not be looked at; empty if the sums add up."""
    stopped: bool = False
    """Whether the service has ended as it was told to; a crash leaves False and an old ``at``."""


def write_status(data_dir: Path, status: Status) -> None:
    """Leave ``status`` in ``data_dir``, whole; not synced, for it is out of date in seconds.

    A disk that takes nothing keeps the one before, which grows old: the service has more to do than say so.
    """
    temporary = data_dir / f"{_FILE}.tmp"
    with contextlib.suppress(OSError):
        temporary.write_bytes(msgspec.json.encode(status))
        temporary.replace(data_dir / _FILE)


def read_status(data_dir: Path) -> Status:
    """Return what the service left last. Raises :class:`DataDirError` if none did."""
    try:
        return msgspec.json.decode((data_dir / _FILE).read_bytes(), type=Status)
    except (OSError, msgspec.DecodeError):
        message = f"{data_dir}: no service has been here; start one with: batcher run --config FILE"
        raise DataDirError(message) from None


def is_running(status: Status, now: datetime) -> bool:
    """Return whether the service has renewed its record as it should have by ``now``."""
    return not status.stopped and (now - status.at).total_seconds() < max(10.0, 3 * status.interval_seconds)


def mapping_trouble(status: Status) -> str:
    """Return how many namespaces and objects of each cluster are not believed, and what to ask; empty if all are."""
    told = _told((cluster.name, cluster.flawed) for cluster in status.clusters)
    objects = _told((cluster.name, cluster.flawed_objects) for cluster in status.clusters)
    troubles = [f"flawed namespaces in {told}; see: batcher mapping list --flawed"] if told else []
    return "; ".join([*troubles, *([f"flawed objects in {objects}"] if objects else [])])


EXPIRES_SOON = timedelta(days=1)
"""So long before a credential ends, people are told."""


def expiry_trouble(status: Status) -> str:
    """Return what we are let in with that expires within a day, or has; empty if nothing does."""
    soon = sorted(
        (each.expires_at, f"the {each.credential} for {each.side} {each.name}")
        for each in status.credentials
        if each.expires_at - status.at < EXPIRES_SOON
    )
    return "; ".join(
        f"{what} {'expired' if ends <= status.at else 'expires'} {ends:%Y-%m-%dT%H:%M:%SZ}" for ends, what in soon
    )


def workspace_rows(status: Status, most: int) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, writes, mean seconds of one, and refusals by reason of ``most`` workspaces, refusing ones first."""
    chosen = sorted(status.workspaces, key=lambda each: (-sum(each.refusals.values()), -sum(each.counts), each.name))
    for each in chosen[:most]:
        writes = sum(each.counts)
        refusals = ", ".join(f"{number:,} {reason}" for reason, number in sorted(each.refusals.items()))
        yield each.name, f"{writes:,}", f"{each.seconds / writes:.1f}s" if writes else "", refusals


def _told(flawed: Iterable[tuple[str, Mapping[str, int]]]) -> str:
    told = [(name, ", ".join(f"{number:,} {flaw}" for flaw, number in flaws.items())) for name, flaws in flawed]
    return "; ".join(f"{name}: {flaws}" for name, flaws in told if flaws)


_TOTALS = {
    "batcher_quarantine_retries": "retried",
    "batcher_event_occurrences": "occurrences",
    "batcher_summary_openings": "opened",
    "batcher_summary_revivals": "revived",
    "batcher_limit_rows": "limited",
    "batcher_fold_rows": "folded",
    "batcher_publish_writes": "writes",
    "batcher_incident_endings": "incidents",
    "batcher_cause_links": "links",
    "batcher_contact_gaps": "gaps",
}
"""Metrics that are a sum of all batches (:data:`batcher.schema.SUMS`); versions before knew fewer of them."""


def samples(status: Status) -> Iterator[Sample]:
    """Yield every metric of ``status``."""
    totals = status.totals
    for fate in ("revisions", "repeats", "ignored", "quarantined"):
        yield Sample("batcher_spool_lines", totals[fate], (fate,))
    for end in ("published", "dead_lettered", "archived"):
        yield Sample("batcher_summary_endings", totals[end], (end,))
    for verdict in Verdict:
        yield Sample("batcher_revision_verdicts", totals.get(verdict.value.replace("-", "_"), 0), (verdict.value,))
    for metric, total in _TOTALS.items():
        yield Sample(metric, totals.get(total, 0))
    yield from _service_samples(status)
    for rule in status.rules:
        yield from _rule_samples(rule)
    for cluster in status.clusters:
        yield from _cluster_samples(cluster)
    yield from _reach_samples(status)


def _service_samples(status: Status) -> Iterator[Sample]:
    yield Sample("batcher_batch_commits", status.batch)
    if status.batch_counts:
        yield Sample("batcher_batch_duration_seconds", status.batch_seconds, (), status.batch_counts)
    yield Sample("batcher_incidents_open", status.open_incidents)
    yield Sample("batcher_summaries_open", status.open_summaries)
    yield Sample("batcher_publish_pending_writes", status.pending_writes)
    yield Sample("batcher_identities_seen", status.identities)
    yield Sample("batcher_spool_bytes", status.spool_bytes)
    yield Sample("batcher_spool_max_bytes", status.spool_max_bytes)
    yield Sample("batcher_spool_blocked", bool(status.spool_trouble))
    yield Sample("batcher_quarantine_bytes", status.quarantine_bytes)
    yield Sample("batcher_quarantine_full", bool(status.quarantine_trouble))
    yield Sample("batcher_config_refused", bool(status.config_trouble))
    yield Sample("batcher_archive_away", bool(status.archive_trouble))
    yield Sample("batcher_archive_keeping_failures", status.keeping_failures)
    yield Sample("batcher_verify_failed", bool(status.proof_trouble))
    for cause, lines in status.quarantine_causes.items():
        yield Sample("batcher_quarantine_lines", lines, (cause,))
    for metric, at in (
        ("batcher_batch_last_timestamp_seconds", status.batched_at),
        ("batcher_contact_gap_last_timestamp_seconds", status.gap_at),
        ("batcher_archive_last_kept_timestamp_seconds", status.kept_at),
        ("batcher_summary_oldest_unpublished_timestamp_seconds", status.unpublished_since),
        ("batcher_verify_last_timestamp_seconds", status.proved_at or status.proving_since),
    ):
        if at:
            yield Sample(metric, at.timestamp())
    yield from leader_samples(leads=True, failures=status.leadership.failures if status.leadership else 0)


def leader_samples(*, leads: bool, failures: int) -> Iterator[Sample]:
    """Yield what there is to say also of a process that waits for the Lease."""
    yield Sample("batcher_leader", leads)
    yield Sample("batcher_lease_failures", failures)


def _rule_samples(rule: RuleCount) -> Iterator[Sample]:
    """Their names are those of the configuration, and never text of an Event."""
    labels = (rule.name, rule.action.value)
    yield Sample("batcher_rule_hits", rule.hits, labels)
    yield Sample("batcher_rule_rows", rule.rows, labels)
    if rule.last_at:
        yield Sample("batcher_rule_last_hit_timestamp_seconds", rule.last_at / 1_000_000, labels)


def _reach_samples(status: Status) -> Iterator[Sample]:
    """How workspaces take what is written, and how long we are let in at all."""
    for workspace in status.workspaces:
        yield Sample("batcher_publish_latency_seconds", workspace.seconds, (workspace.name,), workspace.counts)
        for reason, number in workspace.refusals.items():
            yield Sample("batcher_publish_refusals", number, (workspace.name, reason))
    for each in status.credentials:
        labels = (each.side, each.name, each.credential)
        yield Sample("batcher_credential_expiry_timestamp_seconds", each.expires_at.timestamp(), labels)


def _cluster_samples(cluster: ClusterStatus) -> Iterator[Sample]:
    labels = (cluster.name,)
    for flaw, number in cluster.namespaces.items():
        yield Sample("batcher_namespaces", number, (cluster.name, flaw))
    for flaw, number in cluster.objects.items():
        yield Sample("batcher_objects", number, (cluster.name, flaw))
    yield Sample("batcher_cluster_connected", cluster.watch == "connected", labels)
    yield Sample("batcher_cluster_events", cluster.events, labels)
    yield Sample("batcher_cluster_restarts", cluster.restarts, labels)
    yield Sample("batcher_cluster_lists", cluster.lists, labels)
    yield Sample("batcher_cluster_insecure", cluster.insecure, labels)
    yield Sample("batcher_cluster_recovered_revisions", cluster.recovered, labels)
    yield Sample("batcher_cluster_lag_seconds", cluster.lag_ms / 1000, labels)
    yield Sample("batcher_cluster_publish_lag_seconds", cluster.publish_lag_ms / 1000, labels)
    if cluster.last_contact_at:
        yield Sample("batcher_cluster_last_contact_timestamp_seconds", cluster.last_contact_at.timestamp(), labels)
    if cluster.last_event_at:
        yield Sample("batcher_cluster_last_event_timestamp_seconds", cluster.last_event_at.timestamp(), labels)
