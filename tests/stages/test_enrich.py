import pytest

from batcher.schema import LINES, OPEN_SLOTS, OPEN_SUMMARIES
from batcher.stages.enrich import publish_lag, regard_owner, with_labels
from batcher.stages.settle import OUTCOMES
from tests.stages.rows import at, frame


def owner(kind: str, name: str) -> tuple[str, str]:
    row = {"regarding_kind": kind, "regarding_name": name, "regarding_api_version": "v1"}
    found = regard_owner(frame(LINES, [row])).collect()
    return found.select("regarding_kind", "regarding_name").row(0)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("Pod", "backend-api-75fb46b7bd-xtkrh", ("Deployment", "backend-api")),
        ("Pod", "web-7c5d8f9b6-x2z4t", ("Deployment", "web")),
        ("ReplicaSet", "backend-api-75fb46b7bd", ("Deployment", "backend-api")),
        ("Job", "backup-29384756", ("CronJob", "backup")),
        ("Pod", "backup-29384756-x2z4t", ("CronJob", "backup")),
        ("Pod", "backup-29584756-x2z4t", ("CronJob", "backup")),
        ("Job", "import-20261123", ("Job", "import-20261123")),
        ("Job", "import-293847561", ("Job", "import-293847561")),
        ("Job", "29384756", ("Job", "29384756")),
        ("Pod", "import-x2z4t", ("Pod", "import-x2z4t")),
        ("Pod", "web-0", ("Pod", "web-0")),
        ("Pod", "checkout-service-extra", ("Pod", "checkout-service-extra")),
        ("Pod", "node-exporter-x2z4t", ("Pod", "node-exporter-x2z4t")),
        ("ReplicaSet", "web", ("ReplicaSet", "web")),
        ("ConfigMap", "web-7c5d8f9b6-x2z4t", ("ConfigMap", "web-7c5d8f9b6-x2z4t")),
        ("Pod", "web-7c5d8f9b6-x2z4t-debug", ("Pod", "web-7c5d8f9b6-x2z4t-debug")),
        ("Pod", "my-bright-crypt", ("Pod", "my-bright-crypt")),
        ("ReplicaSet", "web-bcd", ("ReplicaSet", "web-bcd")),
        ("ConfigMap", "web-7c5d8f9b6", ("ConfigMap", "web-7c5d8f9b6")),
        ("Pod", "", ("Pod", "")),
    ],
)
def test_only_names_that_controllers_give_are_taken_for_a_deployments(
    kind: str, name: str, expected: tuple[str, str]
) -> None:
    assert owner(kind, name) == expected


def test_a_cron_job_is_of_the_api_that_a_tenant_can_look_it_up_by() -> None:
    row = {"regarding_kind": "Job", "regarding_name": "backup-29384756", "regarding_api_version": "batch/v1"}
    (found,) = regard_owner(frame(LINES, [row])).collect().to_dicts()
    assert (found["regarding_api_version"], found["related_kind"], found["related_name"]) == (
        "batch/v1", "Job", "backup-29384756",
    )  # fmt: skip


def test_a_slot_tells_the_labels_that_its_cluster_has() -> None:
    rows = frame(OPEN_SLOTS, [{"cluster": "us"}, {"cluster": "eu"}, {"cluster": "gone"}])
    labels = {"us": {"region": "us-west", "provider": "aws"}, "eu": {}}
    assert with_labels(rows, labels).collect()["cluster_labels"].to_list() == [
        '{"provider": "aws", "region": "us-west"}', "", "",
    ]  # fmt: skip
    assert with_labels(rows, {}).collect()["cluster_labels"].to_list() == ["", "", ""]


def test_the_lag_of_publishing_is_from_the_newest_occurrence_to_the_first_write() -> None:
    known = [
        {"summary": "a", "cluster": "us", "version": 1, "last_seen": at(0)},
        {"summary": "b", "cluster": "us", "version": 1, "last_seen": at(1)},
        {"summary": "grew since", "cluster": "us", "version": 2},
        {"summary": "written before", "cluster": "eu", "version": 1, "writes": 1},
        {"summary": "refused", "cluster": "eu", "version": 1},
        {"summary": "ahead", "cluster": "ap", "version": 1, "last_seen": at(9)},
    ]
    told = [
        {"summary": row["summary"], "version": 1, "written": row["summary"] != "refused", "at": at(2)} for row in known
    ]
    found = publish_lag(frame(OPEN_SUMMARIES, known), frame(OUTCOMES, told)).collect()
    assert found.rows() == [("ap", 0), ("us", 90_000)]


def test_the_pod_becomes_the_related_object_with_its_container() -> None:
    row = {
        "regarding_kind": "Pod", "regarding_name": "web-7c5d8f9b6-x2z4t", "regarding_api_version": "v1",
        "regarding_namespace": "shop", "regarding_field_path": "spec.containers{app}",
    }  # fmt: skip
    (found,) = regard_owner(frame(LINES, [row])).collect().to_dicts()
    assert [found[f"related_{part}"] for part in ("api_version", "kind", "namespace", "name", "field_path")] == [
        "v1", "Pod", "shop", "web-7c5d8f9b6-x2z4t", "spec.containers{app}",
    ]  # fmt: skip
    assert found["regarding_api_version"] == "apps/v1"
