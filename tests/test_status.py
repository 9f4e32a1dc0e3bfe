from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from batcher.errors import DataDirError
from batcher.schema import SUMS
from batcher.status import (
    ClusterStatus,
    CredentialStatus,
    Status,
    WorkspaceStatus,
    is_running,
    mapping_trouble,
    read_status,
    samples,
    write_status,
)
from batcher.telemetry import METRICS, Action, RuleCount

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLUSTER = ClusterStatus(
    name="us-west1", watch="connected", uid="u", last_event_at=NOW, last_contact_at=NOW, restarts=2, lists=1,
    recovered=0, insecure=False, last_error="", events=10, occurrences=12, warnings=3, lag_ms=400,
    namespaces={"none": 7, "other-name": 2, "duplicate": 0}, objects={"none": 3, "incomplete": 0},
    publish_lag_ms=900,
)  # fmt: skip
STATUS = Status(
    at=NOW, pid=1, interval_seconds=5.0, batch=3, totals=dict.fromkeys(SUMS, 4), open_summaries=5, pending_writes=6,
    identities=7, spool_bytes=8, spool_trouble="", archive_trouble="away", publish_trouble="", config_trouble="",
    clusters=[CLUSTER],
    rules=[RuleCount("noise", Action.DROP, since=1, rows=10, hits=3, last_at=1_500_000)],
    batched_at=NOW, gap_at=NOW, unpublished_since=NOW - timedelta(minutes=6), spool_max_bytes=80,
    quarantine_causes={"no-uid": 2}, credentials=[CredentialStatus("cluster", "us-west1", "certificate", NOW)],
    workspaces=[WorkspaceStatus("root:shop", (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2), 700.5, {"Invalid": 3})],
    batch_counts=(3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), batch_seconds=40.5,
    proved_at=NOW, proof_trouble="FAILED  sums", kept_at=NOW,
)  # fmt: skip


def test_a_status_comes_back_as_it_was_left(tmp_path: Path) -> None:
    write_status(tmp_path, STATUS)
    assert read_status(tmp_path) == STATUS


def test_where_no_service_has_been_the_command_to_start_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataDirError, match="batcher run --config FILE"):
        read_status(tmp_path)


def test_a_service_runs_while_it_renews_its_status_and_until_it_says_that_it_stopped() -> None:
    assert is_running(STATUS, NOW + timedelta(seconds=14))
    assert not is_running(STATUS, NOW + timedelta(seconds=16))
    assert not is_running(structs.replace(STATUS, stopped=True), NOW)


def test_every_metric_has_samples_with_the_labels_it_declares() -> None:
    found = list(samples(STATUS))
    assert {sample.name for sample in found} == set(METRICS)
    assert {len(sample.labels) - len(METRICS[sample.name].labels) for sample in found} == {0}


def test_metrics_tell_of_each_cluster_and_of_trouble() -> None:
    values = {(sample.name, sample.labels): sample.value for sample in samples(STATUS)}
    assert values["batcher_cluster_connected", ("us-west1",)] == 1
    assert values["batcher_cluster_lag_seconds", ("us-west1",)] == 0.4
    assert values["batcher_cluster_publish_lag_seconds", ("us-west1",)] == 0.9
    assert values["batcher_archive_away", ()] == 1
    assert values["batcher_spool_blocked", ()] == 0
    assert values["batcher_spool_lines", ("quarantined",)] == 4
    assert values["batcher_revision_verdicts", ("archive-only",)] == 4
    assert values["batcher_namespaces", ("us-west1", "other-name")] == 2
    assert values["batcher_namespaces", ("us-west1", "none")] == 7
    assert values["batcher_objects", ("us-west1", "none")] == 3


def test_metrics_tell_of_what_is_late_refused_or_about_to_expire() -> None:
    values = {(sample.name, sample.labels): sample.value for sample in samples(STATUS)}
    assert values["batcher_batch_last_timestamp_seconds", ()] == 1_795_435_200
    assert values["batcher_contact_gap_last_timestamp_seconds", ()] == 1_795_435_200
    assert values["batcher_summary_oldest_unpublished_timestamp_seconds", ()] == 1_795_434_840
    assert values["batcher_spool_max_bytes", ()] == 80
    assert values["batcher_quarantine_lines", ("no-uid",)] == 2
    assert values["batcher_publish_refusals", ("root:shop", "Invalid")] == 3
    assert (
        values["batcher_credential_expiry_timestamp_seconds", ("cluster", "us-west1", "certificate")] == 1_795_435_200
    )
    assert values["batcher_verify_failed", ()] == 1
    assert values["batcher_verify_last_timestamp_seconds", ()] == 1_795_435_200
    (took,) = (sample for sample in samples(STATUS) if sample.name == "batcher_batch_duration_seconds")
    assert (took.value, sum(took.counts)) == (40.5, 4)
    (latency,) = (sample for sample in samples(STATUS) if sample.name == "batcher_publish_latency_seconds")
    assert latency.value == 700.5
    assert latency.counts == (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)


def test_what_has_not_happened_yet_has_no_time() -> None:
    quiet = structs.replace(STATUS, batched_at=None, gap_at=None, unpublished_since=None, proved_at=None, kept_at=None)
    assert {sample.name for sample in samples(STATUS)} - {sample.name for sample in samples(quiet)} == {
        "batcher_batch_last_timestamp_seconds",
        "batcher_contact_gap_last_timestamp_seconds",
        "batcher_summary_oldest_unpublished_timestamp_seconds",
        "batcher_verify_last_timestamp_seconds",
        "batcher_archive_last_kept_timestamp_seconds",
    }


def test_namespaces_that_are_not_believed_are_told_with_the_command_that_shows_them() -> None:
    other = structs.replace(CLUSTER, name="eu", namespaces={"none": 1, "foreign-sync-target": 1})
    fine = structs.replace(CLUSTER, namespaces={"none": 5, "other-name": 0})
    assert mapping_trouble(structs.replace(STATUS, clusters=[CLUSTER, fine, other])) == (
        "flawed namespaces in us-west1: 2 other-name; eu: 1 foreign-sync-target; see: batcher mapping list --flawed"
    )
    assert mapping_trouble(structs.replace(STATUS, clusters=[fine])) == ""


def test_metrics_tell_of_each_rule_of_the_filter_and_of_its_last_hit_once_it_had_one() -> None:
    values = {(sample.name, sample.labels): sample.value for sample in samples(STATUS)}
    assert values["batcher_rule_hits", ("noise", "drop")] == 3
    assert values["batcher_rule_rows", ("noise", "drop")] == 10
    assert values["batcher_rule_last_hit_timestamp_seconds", ("noise", "drop")] == 1.5
    idle = structs.replace(STATUS, rules=[RuleCount("idle", Action.SHADOW, since=1)])
    assert "batcher_rule_last_hit_timestamp_seconds" not in {sample.name for sample in samples(idle)}


def test_objects_that_are_not_believed_are_told_too() -> None:
    objects = structs.replace(CLUSTER, namespaces={}, objects={"none": 5, "other-hash": 1, "incomplete": 0})
    assert mapping_trouble(structs.replace(STATUS, clusters=[objects])) == "flawed objects in us-west1: 1 other-hash"
    assert mapping_trouble(structs.replace(STATUS, clusters=[CLUSTER, objects])) == (
        "flawed namespaces in us-west1: 2 other-name; see: batcher mapping list --flawed; "
        "flawed objects in us-west1: 1 other-hash"
    )
