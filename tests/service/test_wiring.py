"""What ``mapping.trust`` and ``mapping.syncagent`` mean to the watch and to the rules of a batch."""

from pathlib import Path
from typing import Any

import pytest
import structlog

from batcher.errors import ConfigError
from batcher.sandbox.kubeconfig import write_kubeconfig
from batcher.service.wiring import Specs, rules_of, watched_resources
from batcher.settings import Settings, validate
from batcher.stages.attribute import ObjectKind

DEFAULTS = (
    "Deployment.v1.apps=deployments", "StatefulSet.v1.apps=statefulsets", "DaemonSet.v1.apps=daemonsets",
    "Job.v1.batch=jobs", "CronJob.v1.batch=cronjobs",
)  # fmt: skip


def _document(**mapping: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "clusters": [{"name": "us-west1", "kubeconfig": "x", "workspace": "root:team-a"}],
        "kcp": {"kubeconfig": "x", "workspaces": [{"path": "root:team-a"}, {"path": "1abc"}]},
        "mapping": {"rules": [{"namespace": "web", "workspace": "root:team-a"}]} | mapping,
    }


def settings(**mapping: Any) -> Settings:
    return validate(_document(**mapping), "test.yaml")


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


def test_a_server_that_is_not_verified_is_warned_of_and_counted(tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "k", {"us-west1": "https://127.0.0.1:1"}, "t")
    said = [{"name": name, "kubeconfig": str(tmp_path / "k")} for name in ("us-west1", "eu-central1")]
    specs = Specs()
    with structlog.testing.capture_logs() as logs:
        specs.of(validate(_document() | {"clusters": [said[0] | {"insecureSkipTLSVerify": True}, said[1]]}, "x"))
    assert [(line["log_level"], line["cluster"]) for line in logs] == [("warning", "us-west1")]
    assert [specs.insecure(name) for name in ("us-west1", "eu-central1")] == [True, False]
