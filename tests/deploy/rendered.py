"""What the chart makes of values, as objects."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.templates import Chart

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
EVERYTHING: Mapping[str, Any] = {
    "monitoring": {"create": True, "labels": {"release": "prometheus"}},
    "leaderElection": {"create": True},
    "config": {"leaderElection": {"enabled": True, "inCluster": True}},
    "secrets": {"clusters": "batcher-clusters"},
    "image": {"digest": "sha256:" + "a" * 64, "pullSecrets": [{"name": "pull"}]},
    "persistence": {"storageClassName": "fast"},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "important",
    "source": {
        "namespaces": ["shop", "web"],
        "locator": True,
        "syncagent": [{"apiGroups": ["apps"], "resources": ["deployments"]}],
    },
    "serviceAccount": {"annotations": {"a": "b"}},
}
"""Values with which every part of the service's templates is in use."""

TWO: Mapping[str, Any] = {
    "replicas": 2,
    "leaderElection": {"create": True},
    "persistence": {"accessModes": ["ReadWriteMany"], "storageClassName": "shared"},
    "config": {"leaderElection": {"enabled": True, "inCluster": True}},
}
"""Values for a second Pod that waits."""


@cache
def chart() -> Chart:
    """The chart."""
    return Chart(DEPLOY / "chart")


def objects(values: Mapping[str, Any] | None = None, namespace: str = "batcher") -> list[dict[str, Any]]:
    """Return the objects that the chart makes of ``values``."""
    texts = chart().render(values or {}, release="batcher", namespace=namespace).values()
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return those of ``found`` that are of ``kind``."""
    return [each for each in found if each["kind"] == kind]


def pods(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the spec of every Pod that ``found`` would make."""
    for each in found:
        if each["kind"] in {"StatefulSet", "Deployment", "DaemonSet", "Job"}:
            yield each["spec"]["template"]["spec"]


def alerts() -> list[dict[str, Any]]:
    """Return the rules of the PrometheusRule."""
    (rule,) = of_kind(objects({"monitoring": {"create": True}}), "PrometheusRule")
    return [alert for group in rule["spec"]["groups"] for alert in group["rules"]]
