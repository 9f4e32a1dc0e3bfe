"""Sentences as kubelet, controllers and drivers write them, and what they are about."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.schema import OCCURRENCES
from batcher.stages.details import container, image, named_volume, node, volume, with_details, workload
from tests.stages.rows import frame


def read(what: pl.Expr, **row: str) -> str | None:
    found: str | None = frame(OCCURRENCES, [row]).select(what=what).collect()["what"][0]
    return found


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('Failed to pull image "ghcr.io/acme/web:1.42": rpc error: code = NotFound', "ghcr.io/acme/web:1.42"),
        ('Back-off pulling image "web"', "web"),
        ('Back-off pulling image "web:1": ErrImagePull: failed to pull image "other": x', "web:1"),
        ('Container image "web@sha256:0f" already present on machine', "web@sha256:0f"),
        ('Container image "web:9" is not present with pull policy of Never', "web:9"),
        ('Failed to apply default image tag "acme//db": couldn\'t parse image name "acme//db"', "acme//db"),
        ("Error: ImagePullBackOff", None),
        ("Back-off restarting failed container app in pod web-0_web(1)", None),
        ('image ""', None),
    ],
)
def test_an_image_is_what_the_message_quotes(message: str, expected: str | None) -> None:
    assert read(image(), message=message) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('MountVolume.SetUp failed for volume "config" : configmap "web-config" not found', "ConfigMap/web-config"),
        ('MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found', "Secret/web-tls"),
        ('MountVolume.SetUp failed for volume "tls" : secret "web/web-tls" not found', "Secret/web-tls"),
        ('persistentvolumeclaim "data" not found', "PersistentVolumeClaim/data"),
        ("error processing PVC shop/data: PVC is not bound", "PersistentVolumeClaim/data"),
        ("configmap references non-existent config key: app.yaml", None),
        ('MountVolume.SetUp failed for volume "kube-api-access-x2z4t" : timed out', None),
        ("Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[data]", None),
    ],
)
def test_a_volume_is_what_it_is_made_of_and_not_what_a_pod_calls_it(message: str, expected: str | None) -> None:
    assert read(volume(named_volume()), message=message) == expected


def test_a_claim_is_its_own_volume() -> None:
    assert (
        read(volume(named_volume()), regarding_kind="PersistentVolumeClaim", regarding_name="data")
        == "PersistentVolumeClaim/data"
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"regarding_kind": "Node", "regarding_name": "n1"}, "n1"),
        ({"related_kind": "Node", "related_name": "n2"}, "n2"),
        ({"component": "kubelet", "host": "n3"}, "n3"),
        ({"component": "agent", "host": "n4"}, None),
        ({"message": "Successfully assigned web/web-0 to n5"}, "n5"),
        ({"component": "kubelet"}, None),
    ],
)
def test_a_node_is_the_object_or_where_it_was_said(row: dict[str, str], expected: str | None) -> None:
    assert read(node(), **row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"regarding_field_path": "spec.containers{app}"}, "app"),
        ({"related_field_path": "spec.initContainers{init-db}"}, "init-db"),
        ({"message": "Back-off restarting failed container app in pod web-0_web(1)"}, "app"),
        ({"message": 'Container image "web:1" already present'}, None),
    ],
)
def test_a_container_is_in_the_field_path_or_the_message(row: dict[str, str], expected: str | None) -> None:
    assert read(container(), **row) == expected


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("Pod", "agent-x2z4t", "agent"),
        ("Pod", "backup-28374650-x2z4t", "backup"),
        ("Pod", "db-0", "db-0"),
        ("Pod", "web", "web"),
        ("DaemonSet", "agent-x2z4t", "agent-x2z4t"),
    ],
)
def test_a_workload_is_the_name_without_what_tells_its_pods_apart(kind: str, name: str, expected: str) -> None:
    assert read(workload(), regarding_kind=kind, regarding_name=name) == expected


@given(st.lists(st.text(max_size=30), max_size=6))
def test_whatever_a_message_says_no_row_is_lost_and_none_invented(messages: list[str]) -> None:
    rows = [{"position": n, "message": message} for n, message in enumerate(messages)]
    found = with_details(frame(OCCURRENCES, rows)).collect()
    assert found["position"].to_list() == list(range(len(messages)))
    assert found.columns == [*OCCURRENCES, "image", "volume", "node", "container"]
