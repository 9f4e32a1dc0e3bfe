"""The chart, and the folders that are made from it: the same, and what Kubernetes takes."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import FOLDERS, manifests
from tests.deploy.rendered import DEPLOY, EVERYTHING, TWO, chart, objects, of_kind
from tests.deploy.templates import UnknownError, merged, parse

OF_OTHERS = {"APIExport", "PrometheusRule", "ServiceMonitor"}
"""Kinds that Kubernetes itself does not have: their schemas are in their operators."""
LOOKUP = {"workspace": {"lookup": [{"apiGroups": [""], "resources": ["pods"]}]}}
USER = {"identity": {"user": "system:kcp:serviceaccount:abc:default:batcher"}}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "two": TWO,
    "claim": {"persistence": {"existingClaim": "there-already"}},
    "large-numbers": {"uid": 1_000_650_000, "config": {"batch": {"maxRows": 2_000_000}}},
    "lease-elsewhere": {
        "leaderElection": {"create": True},
        "config": {"leaderElection": {"enabled": True, "inCluster": True, "leaseName": "other", "namespace": "leases"}},
    },
    "everything": EVERYTHING,
    "nothing": {name: {"create": False} for name in ("source", "networkPolicy", "podDisruptionBudget")},
    "source": {"install": "source", "source": {"tokenSecret": True, "locator": True}},
    "source-namespaces": {"install": "source", "source": {"namespaces": ["shop"]}},
    "workspace": {"install": "workspace", **LOOKUP},
    "workspace-user": {"install": "workspace", **USER},
    "provider": {"install": "provider"},
    "provider-user": {"install": "provider", **USER},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_for_kustomize_is_what_the_chart_makes_and_nothing_else(name: str) -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in (DEPLOY / name).iterdir()}
    assert there == manifests(FOLDERS[name]), "run: make manifests"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_kustomization_names_every_file_beside_it(name: str) -> None:
    said = yaml.safe_load((DEPLOY / name / "kustomization.yaml").read_text(encoding="utf-8"))
    there = {path.name for path in (DEPLOY / name).iterdir()} - {"kustomization.yaml"}
    assert set(said["resources"]) == there
    assert there


@pytest.mark.parametrize("path", sorted(p for p in DEPLOY.rglob("*.yaml") if p.parent.name != "templates"), ids=str)
def test_every_file_is_yaml(path: Path) -> None:
    assert list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("variant", VARIANTS)
def test_kubernetes_takes_every_object(variant: str) -> None:
    made = [each for each in objects(VARIANTS[variant]) if each["kind"] not in OF_OTHERS]
    assert made
    for each in made:
        kubernetes_validate.validate(each, "1.36", strict=True)


def test_kubernetes_would_not_take_an_object_with_a_field_that_is_misspelt() -> None:
    (made,) = of_kind(objects(), "StatefulSet")
    made["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(made, "1.36", strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_made_once_and_says_whose_it_is(variant: str) -> None:
    made = objects(VARIANTS[variant])
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in made]
    assert len(set(names)) == len(names)
    assert {each["metadata"]["labels"]["app.kubernetes.io/name"] for each in made} == {"batcher"}


def test_what_selects_pods_selects_those_of_the_service() -> None:
    made = objects(EVERYTHING)
    (stateful,) = of_kind(made, "StatefulSet")
    labels = stateful["spec"]["template"]["metadata"]["labels"].items()
    (service,), (policy,) = of_kind(made, "Service"), of_kind(made, "NetworkPolicy")
    (budget,), (monitor,) = of_kind(made, "PodDisruptionBudget"), of_kind(made, "ServiceMonitor")
    for selector in (
        stateful["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        policy["spec"]["podSelector"]["matchLabels"],
        budget["spec"]["selector"]["matchLabels"],
    ):
        assert selector
        assert selector.items() <= labels
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_a_pod_that_is_not_ready_is_asked_for_its_metrics() -> None:
    (service,) = of_kind(objects(), "Service")
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_a_service_that_is_called_batcher_tells_the_pod_no_settings() -> None:
    (stateful,) = of_kind(objects(), "StatefulSet")
    assert stateful["spec"]["template"]["spec"]["enableServiceLinks"] is False


def named(found: list[dict[str, Any]]) -> dict[tuple[str, ...], str]:
    """Each object as text: a number that became a float is another one to Kubernetes, and equal to Python."""
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): json.dumps(
            each, sort_keys=True, indent=1
        )
        for each in found
    }


@pytest.mark.skipif(
    not shutil.which("helm"),
    reason="no helm here: that Helm reads the templates as tests/deploy/templates.py does, and takes the chart's files "
    "and values.schema.json, is not checked; what the templates make is",
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_helm_makes_the_same(variant: str, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(dict(VARIANTS[variant])), encoding="utf-8")
    command = ["helm", "template", "batcher", str(DEPLOY / "chart"), "-n", "batcher", "-f", "values.yaml"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert named([each for each in yaml.safe_load_all(said) if each]) == named(objects(VARIANTS[variant]))


@pytest.mark.skipif(
    not shutil.which("helm"), reason="no helm here: what its linter says of the chart is not checked; its schema is"
)
def test_helm_s_linter_takes_the_chart_with_the_defaults_and_with_everything(tmp_path: Path) -> None:
    for values in ({}, EVERYTHING, TWO):
        (tmp_path / "values.yaml").write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
        command = ["helm", "lint", "--strict", str(DEPLOY / "chart"), "-f", "values.yaml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.skipif(
    not shutil.which("helm"), reason="no helm here: that it refuses what the schema does is not checked; the schema is"
)
def test_helm_refuses_two_that_would_have_a_volume_each(tmp_path: Path) -> None:
    command = ["helm", "template", "batcher", str(DEPLOY / "chart"), "--set", "replicas=2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "persistence" in done.stderr


@pytest.mark.skipif(
    not shutil.which("kustomize"),
    reason="no kustomize here: that it builds the folders is not checked; that they are what the chart makes, is",
)
@pytest.mark.parametrize("name", [name for name, folder in FOLDERS.items() if not folder.is_component])
def test_kustomize_makes_of_a_folder_what_the_chart_does(name: str) -> None:
    folder = FOLDERS[name]
    command = ["kustomize", "build", str(DEPLOY / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert named([each for each in yaml.safe_load_all(done.stdout) if each]) == named(
        objects(folder.values, namespace=folder.namespace)
    )


@pytest.mark.skipif(
    not shutil.which("kustomize"),
    reason="no kustomize here: that the example can be built is not checked; that its parts are there, is",
)
def test_kustomize_makes_the_example_with_its_own_configuration_and_image() -> None:
    folder = DEPLOY / "examples" / "kustomize"
    command = ["kustomize", "build", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert done.stderr == ""
    assert {"PrometheusRule", "ServiceMonitor", "StatefulSet"} <= {each["kind"] for each in made}
    (stateful,) = of_kind(made, "StatefulSet")
    assert stateful["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/batcher:0.1.0"
    (config,) = (each for each in of_kind(made, "ConfigMap") if each["metadata"]["name"] == "batcher-config")
    assert config["data"]["batcher.yaml"] == (folder / "batcher.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source", ["{{ lookup . }}", "{{ if .Values.a }}", "{{ $x := 1 }}", "{{ .Values.a ? }}", "{{ .Values.large }}"]
)
def test_a_template_that_cannot_be_read_is_refused(source: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{name: x}", encoding="utf-8")
    (tmp_path / "values.yaml").write_text("{a: 1, large: 1000000}", encoding="utf-8")
    (tmp_path / "templates" / "x.yaml").write_text(source, encoding="utf-8")
    with pytest.raises(UnknownError):
        type(chart())(tmp_path).render({}, release="r", namespace="n")


def test_values_are_laid_over_defaults_by_key_and_lists_as_a_whole() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}, "d": 4}, {"a": {"c": [3]}, "d": None}) == {"a": {"b": 1, "c": [3]}}
    assert parse("x") == [parse("x")[0]]
