import pytest

from batcher.schema import LINES
from batcher.stages.enrich import regard_owner
from tests.stages.rows import frame


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
