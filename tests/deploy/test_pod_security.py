"""The "restricted" profile of the Pod Security Standards, rule by rule, and what we ask beyond it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from batcher.publish.publisher import DRAIN_SECONDS
from batcher.service.loop import LAST_DELIVERY_SECONDS
from tests.deploy.rendered import EVERYTHING, TWO, objects, of_kind, pods
from tests.installed import SCHEMA

ALL = [*pods(objects()), *pods(objects(EVERYTHING)), *pods(objects(TWO))]
CONTAINERS = [
    (pod, container) for pod in ALL for group in ("containers", "initContainers") for container in pod.get(group, [])
]
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def test_there_is_something_to_look_at() -> None:
    assert len(ALL) == 3
    assert len(CONTAINERS) == 3


@pytest.mark.parametrize("pod", ALL)
def test_no_namespace_of_the_host_is_shared(pod: Mapping[str, Any]) -> None:
    assert not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    assert pod.get("hostUsers") in {None, False}


@pytest.mark.parametrize("pod", ALL)
def test_volumes_are_of_kinds_that_are_allowed(pod: Mapping[str, Any]) -> None:
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= VOLUMES


@pytest.mark.parametrize("pod", ALL)
def test_no_sysctl_is_set_and_nothing_of_se_linux_or_app_armor_is_weakened(pod: Mapping[str, Any]) -> None:
    assert {"sysctls", "seLinuxOptions", "appArmorProfile", "windowsOptions"} & set(pod["securityContext"]) == set()
    for _, container in CONTAINERS:
        assert {"seLinuxOptions", "appArmorProfile", "windowsOptions", "procMount"} & set(
            container["securityContext"]
        ) == set()


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_no_container_is_privileged_or_can_become_more_than_it_is(pod: Any, container: Mapping[str, Any]) -> None:  # noqa: ARG001  of the pair
    assert container["securityContext"]["privileged"] is False
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_every_capability_is_dropped_and_none_is_added(pod: Any, container: Mapping[str, Any]) -> None:  # noqa: ARG001  of the pair
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_no_container_runs_as_root(pod: Mapping[str, Any], container: Mapping[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert "runAsUser" not in container["securityContext"]


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_the_runtimes_seccomp_profile_is_in_force(pod: Mapping[str, Any], container: Mapping[str, Any]) -> None:
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "seccompProfile" not in container["securityContext"]


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_no_port_of_the_host_is_taken_and_probes_name_no_host(pod: Any, container: Mapping[str, Any]) -> None:  # noqa: ARG001  of the pair
    assert not any(port.get("hostPort") for port in container["ports"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert "host" not in container[probe]["httpGet"]
    assert "lifecycle" not in container


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_the_root_is_read_only_and_what_is_written_is_a_volume(pod: Mapping[str, Any], container: Any) -> None:
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {m["name"]: m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"data": "/var/lib/batcher", "tmp": "/tmp"}  # noqa: S108  a path in the container
    (tmp,) = (volume for volume in pod["volumes"] if volume["name"] == "tmp")
    assert tmp["emptyDir"] == {"sizeLimit": "64Mi"}


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_memory_is_bounded_and_the_image_is_of_a_version(pod: Any, container: Mapping[str, Any]) -> None:  # noqa: ARG001  of the pair
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert set(container["resources"]["requests"]) == {"cpu", "memory", "ephemeral-storage"}
    assert re.fullmatch(r"batcher(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})", container["image"])


@pytest.mark.parametrize("pod", ALL)
def test_secrets_are_files_that_only_our_group_reads_and_no_variable(pod: Mapping[str, Any]) -> None:
    modes = [volume["secret"]["defaultMode"] for volume in pod["volumes"] if "secret" in volume]
    assert set(modes) == {0o440}
    assert pod["securityContext"]["fsGroup"] == 10001
    (container,) = pod["containers"]
    assert [variable["name"] for variable in container["env"]] == ["BATCHER_CONFIG"]
    assert "envFrom" not in container


@pytest.mark.parametrize("pod", ALL)
def test_the_end_has_as_long_as_the_service_may_take(pod: Mapping[str, Any]) -> None:
    assert pod["terminationGracePeriodSeconds"] >= 2 * max(DRAIN_SECONDS, LAST_DELIVERY_SECONDS)
    least = SCHEMA["properties"]["terminationGracePeriodSeconds"]["minimum"]
    assert least >= 2 * LAST_DELIVERY_SECONDS, "what the chart lets people say is enough as well"


def test_one_process_has_the_volume_and_it_outlives_the_pod() -> None:
    (stateful,) = of_kind(objects(), "StatefulSet")
    assert stateful["spec"]["replicas"] == 1
    assert stateful["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"


def test_two_processes_have_one_volume_and_it_outlives_the_release() -> None:
    made = objects(TWO)
    (stateful,), (claim,) = of_kind(made, "StatefulSet"), of_kind(made, "PersistentVolumeClaim")
    assert stateful["spec"]["replicas"] == 2
    assert "volumeClaimTemplates" not in stateful["spec"]
    (volume,) = (each for each in stateful["spec"]["template"]["spec"]["volumes"] if each["name"] == "data")
    assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_a_claim_that_is_there_already_is_used_and_none_is_made() -> None:
    made = objects({"persistence": {"existingClaim": "mine"}})
    (stateful,) = of_kind(made, "StatefulSet")
    assert "volumeClaimTemplates" not in stateful["spec"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "mine"}} in stateful["spec"]["template"]["spec"][
        "volumes"
    ]
    assert of_kind(made, "PersistentVolumeClaim") == []


def test_metrics_are_read_by_whom_the_policy_names_and_only_api_servers_and_names_are_asked() -> None:
    (policy,) = of_kind(objects(), "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    (ingress,) = policy["spec"]["ingress"]
    assert ingress["ports"] == [{"port": "http", "protocol": "TCP"}]
    assert ingress["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    ports = [port["port"] for egress in policy["spec"]["egress"] for port in egress["ports"]]
    assert ports == [53, 53, 443, 6443]


def test_a_node_can_be_drained() -> None:
    (budget,) = of_kind(objects(), "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
