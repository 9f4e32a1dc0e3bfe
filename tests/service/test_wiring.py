"""What ``mapping.trust`` and ``mapping.syncagent`` mean to the watch and to the rules of a batch."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from batcher.errors import ConfigError
from batcher.kinds import watched
from batcher.service.wiring import rules_of, watched_resources
from batcher.settings import Settings, validate
from batcher.stages.attribute import ObjectKind

DEFAULTS = (
    "Deployment.v1.apps=deployments", "StatefulSet.v1.apps=statefulsets", "DaemonSet.v1.apps=daemonsets",
    "Job.v1.batch=jobs", "CronJob.v1.batch=cronjobs",
)  # fmt: skip


def settings(**mapping: Any) -> Settings:
    document = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "clusters": [{"name": "us-west1", "kubeconfig": "x", "workspace": "root:team-a"}],
        "kcp": {"kubeconfig": "x", "workspaces": [{"path": "root:team-a"}, {"path": "1abc"}]},
        "mapping": {"rules": [{"namespace": "web", "workspace": "root:team-a"}]} | mapping,
    }
    return validate(document, "test.yaml")


def test_nothing_but_events_is_watched_unless_somebody_else_is_trusted() -> None:
    assert watched_resources(settings()) == ("events",)
    assert watched_resources(settings(syncagent={"kinds": ["Job"]})) == ("events",)
    assert watched_resources(settings(trust=["locator"])) == ("events", "namespaces")
    assert watched_resources(settings(trust=["syncagent"])) == ("events", *DEFAULTS)


def test_the_kinds_that_are_named_are_watched_and_no_others() -> None:
    kinds = ["Job", "Certificate.v1.cert-manager.io=certificates"]
    said = settings(trust=["syncagent", "locator"], syncagent={"kinds": kinds})
    expected = ("events", "namespaces", "Job.v1.batch=jobs", "Certificate.v1.cert-manager.io=certificates")
    assert watched_resources(said) == expected
    trusted = rules_of(said).trust.objects
    assert trusted == (ObjectKind("batch", "Job"), ObjectKind("cert-manager.io", "Certificate"))


@pytest.mark.parametrize(
    ("trust", "rules_first", "objects_after"),
    [
        (["syncagent", "locator", "rules", "cluster"], 0, 0),
        (["locator", "syncagent", "rules"], 0, 1),
        (["rules", "locator", "syncagent", "cluster"], 1, 2),
        (["rules", "syncagent", "cluster", "locator"], 2, 1),
        (["cluster", "rules", "syncagent"], 0, 2),
        (["rules", "cluster"], 0, 0),
    ],
)
def test_who_is_named_first_is_asked_first(trust: list[str], rules_first: int, objects_after: int) -> None:
    found = rules_of(settings(trust=trust)).trust
    assert (found.rules_first, found.objects_after) == (rules_first, objects_after)
    assert (bool(found.objects), found.locators) == ("syncagent" in trust, "locator" in trust)


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        (["Pods"], "mapping.syncagent.kinds[0]: 'Pods' is neither a kind that is known nor Kind.version.group=plural"),
        (["Job", "Job.v1.batch=jobs"], "mapping.syncagent: kinds: each once, in one version, given twice: Job"),
    ],
)
def test_a_kind_that_is_none_or_named_twice_is_refused(kinds: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(trust=["syncagent"], syncagent={"kinds": kinds})
    assert [found[: len(problem)] for found in caught.value.problems] == [problem]


def test_the_role_that_the_deployment_shows_allows_what_is_watched_by_default_and_no_more_than_that() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "README.md").read_text(encoding="utf-8")
    documents = [yaml.safe_load(block) for block in re.findall("```yaml\n(.*?)```", text, re.DOTALL)]
    (role,) = [document for document in documents if document["kind"] == "ClusterRole"]
    allowed = {
        (group, resource): rule["verbs"]
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    kinds = [watched(resource) for resource in DEFAULTS]
    assert {(kind.group, kind.plural) for kind in kinds if kind} <= set(allowed)
    assert allowed.pop(("", "events")) == ["get", "list", "watch"]
    assert allowed.pop(("", "namespaces")) == ["get"]
    assert all(verbs == ["list", "watch"] for verbs in allowed.values())
