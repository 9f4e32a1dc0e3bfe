"""Which object of a row a claim can be about."""

import pytest

from batcher.schema import LINES, OBJECT
from batcher.stages.attribute import ObjectKind, attribute, known_as, named_there, object_uid
from tests.stages.rows import frame

KINDS = (ObjectKind("apps", "Deployment"), ObjectKind("cert-manager.io", "Certificate"), ObjectKind("", "ConfigMap"))
POD = "web-7c5d8f9b6-x2z4t"


def found(version: str, kind: str, name: str, kinds: tuple[ObjectKind, ...] = KINDS) -> tuple[str, ...]:
    row = {"regarding_api_version": version, "regarding_kind": kind, "regarding_name": name, "regarding_uid": "u"}
    rows = attribute(frame(LINES, [row]), kinds).with_columns(object_uid())
    return tuple(rows.select(*OBJECT, "object_uid").collect().row(0))


@pytest.mark.parametrize(
    ("version", "kind", "name", "expected"),
    [
        ("apps/v1", "Deployment", "web", ("apps", "Deployment", "web", "u")),
        ("apps/v1beta1", "Deployment", "web", ("apps", "Deployment", "web", "u")),
        ("", "Deployment", "web", ("apps", "Deployment", "web", "u")),
        ("v1", "Deployment", "web", ("", "", "", "")),
        ("example.com/v1", "Deployment", "web", ("", "", "", "")),
        ("cert-manager.io/v1", "Certificate", "web", ("cert-manager.io", "Certificate", "web", "u")),
        ("v1", "ConfigMap", "web", ("", "ConfigMap", "web", "u")),
        ("v1", "Pod", POD, ("apps", "Deployment", "web", "")),
        ("apps/v1", "ReplicaSet", "web-7c5d8f9b6", ("apps", "Deployment", "web", "")),
        ("v1", "Pod", "web-0", ("", "", "", "")),
        ("v1", "Node", "web", ("", "", "", "")),
    ],
)
def test_it_is_the_regarding_object_or_its_guessed_owner_if_such_a_kind_is_watched(
    version: str, kind: str, name: str, expected: tuple[str, ...]
) -> None:
    assert found(version, kind, name) == expected


def test_the_owner_of_a_pod_is_not_asked_where_pods_are_watched_or_deployments_are_not() -> None:
    assert found("v1", "Pod", POD, (ObjectKind("", "Pod"), *KINDS)) == ("", "Pod", POD, "u")
    assert found("v1", "Pod", POD, KINDS[1:]) == ("", "", "", "")
    assert found("apps/v1", "Deployment", "web", ()) == ("", "", "", "")


@pytest.mark.parametrize(
    ("kind", "name", "target", "expected"),
    [
        ("Deployment", "x1-y2", "web", "web"),
        ("Deployment", "x1-y2", "", "x1-y2"),
        ("Pod", POD, "web", POD),
        ("Node", "n", "web", "n"),
    ],
)
def test_only_the_object_itself_is_called_as_its_workspace_does(
    kind: str, name: str, target: str, expected: str
) -> None:
    row = {"regarding_kind": kind, "regarding_name": name, "target_name": target}
    rows = attribute(frame({**LINES, "target_name": LINES["name"]}, [row]), KINDS).with_columns(known_as())
    assert rows.with_columns(named_there()).collect()["regarding_name"].to_list() == [expected]
