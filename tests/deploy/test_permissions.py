"""What batcher may do, literally: in a cluster that it watches, a workspace that it writes to, its own namespace."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.deploy.rendered import EVERYTHING, objects, of_kind
from tests.kcp import test_targets as on_a_real_kcp

KUBE_SYSTEM = {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}
EVENTS = {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]}
WRITES = {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "create", "update"]}
DEPLOYMENTS = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "watch"]}
USER = "system:kcp:serviceaccount:abc:default:batcher"
OURS = {"kind": "ServiceAccount", "name": "batcher", "namespace": "batcher"}


def rules(values: Mapping[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The rules of every role, by the namespace (empty: everywhere) and the role's name."""
    made = objects(values)
    roles = [*of_kind(made, "ClusterRole"), *of_kind(made, "Role")]
    return {(role["metadata"].get("namespace", ""), role["metadata"]["name"]): role["rules"] for role in roles}


def bound(values: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    """Which role is given to whom: namespace of the binding, role, name of the subject."""
    made = objects(values)
    bindings = [*of_kind(made, "ClusterRoleBinding"), *of_kind(made, "RoleBinding")]
    return {
        (binding["metadata"].get("namespace", ""), binding["roleRef"]["name"], subject["name"])
        for binding in bindings
        for subject in binding["subjects"]
    }


def test_a_source_is_read_only_and_only_of_events_and_who_it_is() -> None:
    assert rules({"install": "source"}) == {("", "batcher-source"): [KUBE_SYSTEM, EVENTS]}
    assert rules({}) == {("", "batcher-source"): [KUBE_SYSTEM, EVENTS]}
    assert bound({"install": "source"}) == {("", "batcher-source", "batcher")}


def test_locators_need_all_namespaces_and_syncagent_its_kinds() -> None:
    syncagent = [{"apiGroups": ["apps"], "resources": ["deployments"]}]
    namespaces = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}
    assert rules({"install": "source", "source": {"locator": True, "syncagent": syncagent}}) == {
        ("", "batcher-source"): [KUBE_SYSTEM, namespaces, EVENTS, DEPLOYMENTS]
    }


def test_a_source_limited_to_namespaces_is_read_there_and_nowhere_else() -> None:
    limited = {"install": "source", "source": {"namespaces": ["shop", "web"]}}
    assert rules(limited) == {
        ("", "batcher-source"): [KUBE_SYSTEM],
        ("shop", "batcher-source"): [EVENTS],
        ("web", "batcher-source"): [EVENTS],
    }
    assert bound(limited) == {
        ("", "batcher-source", "batcher"),
        ("shop", "batcher-source", "batcher"),
        ("web", "batcher-source", "batcher"),
    }


def test_a_workspace_is_written_events_and_asked_for_what_is_looked_up() -> None:
    pods = {"lookup": [{"apiGroups": [""], "resources": ["pods"]}]}
    asked = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    assert rules({"install": "workspace"}) == {("", "batcher-workspace"): [WRITES]}
    assert rules({"install": "workspace", "workspace": pods}) == {("", "batcher-workspace"): [WRITES, asked]}
    assert bound({"install": "workspace"}) == {("", "batcher-workspace", "batcher")}


def test_who_is_of_another_workspace_is_let_into_this_one_and_no_account_is_made() -> None:
    values = {"install": "workspace", "identity": {"user": USER}}
    assert bound(values) == {("", "batcher-workspace", USER), ("", "system:kcp:workspace:access", USER)}
    assert of_kind(objects(values), "ServiceAccount") == []


def test_the_provider_of_an_export_sees_where_it_is_served_and_has_what_workspaces_accept() -> None:
    assert rules({"install": "provider", "provider": {"name": "told"}}) == {
        ("", "batcher-provider"): [
            {"apiGroups": ["apis.kcp.io"], "resources": ["apiexportendpointslices"], "verbs": ["get", "list"]},
            {
                "apiGroups": ["apis.kcp.io"],
                "resources": ["apiexports/content"],
                "resourceNames": ["told"],
                "verbs": ["*"],
            },
        ]
    }
    (export,) = of_kind(objects({"install": "provider", "provider": {"name": "told"}}), "APIExport")
    assert export["metadata"]["name"] == "told"
    assert export["spec"] == {
        "permissionClaims": [{"group": "", "resource": "events", "verbs": ["get", "create", "update"]}]
    }


def test_what_is_given_in_kcp_is_what_was_tried_on_a_real_one() -> None:
    asked = [{"apiGroups": [""], "resources": ["configmaps"]}]
    given = rules({"install": "workspace", "workspace": {"lookup": asked}})
    assert given == {("", "batcher-workspace"): [on_a_real_kcp.EVENTS, on_a_real_kcp.CONFIG_MAPS]}
    assert rules({"install": "provider"}) == {("", "batcher-provider"): [on_a_real_kcp.SLICES, on_a_real_kcp.CONTENT]}


def test_a_lease_is_permitted_in_the_services_own_namespace_only_where_it_is_asked_for() -> None:
    assert rules({"source": {"create": False}}) == {}
    election = {"enabled": True, "inCluster": True}
    values = {"source": {"create": False}, "leaderElection": {"create": True}, "config": {"leaderElection": election}}
    assert rules(values) == {
        ("batcher", "batcher-lease"): [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "resourceNames": ["batcher"],
                "verbs": ["get", "update"],
            },
        ]
    }
    elsewhere = values | {"config": {"leaderElection": election | {"leaseName": "other", "namespace": "leases"}}}
    ((where, permitted),) = rules(elsewhere).items()
    assert where == ("leases", "batcher-lease")
    assert permitted[1]["resourceNames"] == ["other"]


@pytest.mark.parametrize("values", [EVERYTHING, {"install": "source"}, {"install": "workspace"}])
def test_no_secret_can_be_read_and_nothing_is_allowed_by_a_wildcard(values: Mapping[str, Any]) -> None:
    for given in rules(values).values():
        for rule in given:
            assert "secrets" not in rule["resources"]
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}


def test_every_role_is_given_to_our_account_alone() -> None:
    made = objects(EVERYTHING)
    bindings = [*of_kind(made, "ClusterRoleBinding"), *of_kind(made, "RoleBinding")]
    assert [binding["subjects"] for binding in bindings] == [[OURS]] * 4


def test_a_token_that_never_expires_is_made_only_where_it_is_asked_for() -> None:
    assert of_kind(objects({"install": "source"}), "Secret") == []
    (made,) = of_kind(objects({"install": "source", "source": {"tokenSecret": True}}), "Secret")
    assert made["type"] == "kubernetes.io/service-account-token"
    assert "data" not in made
