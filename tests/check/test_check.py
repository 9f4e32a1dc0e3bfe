"""``batcher check`` against simulated clusters and a kcp: what it finds, and that it changes nothing."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from batcher import clock, settings
from batcher.check import Level, Report, check_all
from batcher.sandbox.identity import Identity
from batcher.sandbox.kubeconfig import write_kubeconfig
from batcher.sandbox.resources import EVENTS, LEASES
from tests.called import called
from tests.service.test_targets import back_off
from tests.service.world import World, world

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def checked(w: World, limit: float = 30.0) -> Report:
    loaded = settings.find_clusters(settings.load(w.config, {}))
    return await check_all(loaded, now=clock.now, limit=limit)


def results(report: Report, kind: str, name: str) -> dict[str, str]:
    """The result of each check of one cluster or workspace."""
    return {c.check: c.result.value for c in report.checks if (c.kind, c.name) == (kind, name)}


def detail(report: Report, name: str, check: str) -> str:
    (found,) = [each for each in report.checks if (each.name, each.check) == (name, check)]
    return f"{found.detail}; to do: {found.remedy}" if found.remedy else found.detail


def emit(w: World, *namespaces: str) -> None:
    for namespace in namespaces:
        w.sandbox.clusters["us-west1"].create_object(EVENTS, namespace, back_off(namespace))


def jwt(expires_in: timedelta) -> str:
    claims = json.dumps({"exp": int((clock.now() + expires_in).timestamp())}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.canary-signature"


async def test_where_all_is_well_each_check_is_ok_and_nothing_was_written_anywhere(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        emit(w, "web", "jobs")
        for cluster in w.sandbox.clusters.values():
            cluster.create_namespace("web")
        before = w.sandbox.kcp.workspaces["root:shop"].latest_revision
        report = await checked(w)
        assert {c.result for c in report.checks} == {Level.OK}, report.checks
        assert not report.failed
        of_cluster = {"credential", "identity", "events", "list", "ttl", "clock", "mapping"}
        assert results(report, "cluster", "us-west1").keys() == of_cluster
        assert results(report, "workspace", "root:shop").keys() == {"access", "events", "clock"}
        assert detail(report, "root:shop", "events") == "may get, create, update in web"
        asked = w.sandbox.kcp.requests + [r for cluster in w.sandbox.clusters.values() for r in cluster.requests]
        assert {method for method, _ in asked} == {"GET", "POST"}
        assert [path for method, path in asked if method == "POST" and not path.endswith(REVIEWS)] == []
        assert w.sandbox.kcp.workspaces["root:shop"].latest_revision == before


async def test_the_mapping_says_which_namespaces_have_a_workspace_and_names_those_that_have_none(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        emit(w, "web", "jobs")
        report = await checked(w)
        assert detail(report, "us-west1", "mapping") == (
            "2 of 4 namespaces seen have a workspace; none: default, kube-system"
        )
        told = {place.namespace: (place.workspace, place.source) for place in report.namespaces if place.workspace}
        assert told == {"web": ("root:shop", "rules[0]"), "jobs": ("root:team-a", "rules[1]")}


async def test_a_locator_that_is_not_believed_is_a_warning_with_the_command_to_look(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(mapping={"trust": ["locator"]})
        locator = {"kcp.io/namespace-locator": '{"cluster":"root:shop","namespace":"web"}'}
        w.sandbox.clusters["us-west1"].create_namespace("copied", annotations=locator)
        report = await checked(w)
        assert results(report, "cluster", "us-west1")["namespaces"] == "OK"
        assert detail(report, "us-west1", "mapping") == (
            "0 of 3 namespaces seen have a workspace; not believed: copied; "
            "to do: see what to do: batcher mapping list --flawed, once it runs"
        )


async def test_what_a_cluster_does_not_allow_fails_with_what_to_grant(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        cluster = w.sandbox.clusters["us-west1"]
        cluster.identities[w.sandbox.token] = Identity("reader", frozenset({"get", "list"}))
        report = await checked(w)
        assert report.failed
        assert detail(report, "us-west1", "events") == (
            "not allowed: watch; to do: grant it to who the credential is of"
        )
        cluster.identities[w.sandbox.token] = Identity("nobody", frozenset())
        report = await checked(w)
        found = results(report, "cluster", "us-west1")
        assert (found["identity"], found["events"], found["list"]) == ("FAIL", "FAIL", "FAIL")


async def test_a_cluster_that_does_not_answer_costs_its_limit_and_hides_no_other(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silent, gone = w.sandbox.clusters["ap-south1"], w.sandbox.clusters["eu-central1"]
        silent.faults = replace(silent.faults, stall=frozenset({"get", "list"}))
        gone.faults = replace(gone.faults, drop=frozenset({"get", "list"}))
        report = await checked(w, limit=1.0)
        assert results(report, "cluster", "ap-south1") == {"credential": "OK", "reach": "FAIL"}
        assert detail(report, "ap-south1", "reach").startswith("no answer within 1 s; to do: ")
        assert results(report, "cluster", "eu-central1")["reach"] == "FAIL"
        assert results(report, "cluster", "us-west1")["list"] == "OK"
        assert results(report, "workspace", "root:shop")["access"] == "OK"
        silent.faults = replace(silent.faults, stall=frozenset())


async def test_a_kubeconfig_that_is_of_no_use_is_a_finding_of_its_cluster_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        good = {"kubeconfig": str(tmp_path / "kubeconfig")}
        w.configure(clusters=[
            {"name": "us-west1", "context": "us-west1", **good}, {"name": "lost", "context": "nowhere", **good},
        ])  # fmt: skip
        report = await checked(w)
        assert results(report, "cluster", "lost") == {"kubeconfig": "FAIL"}
        assert results(report, "cluster", "us-west1")["list"] == "OK"


async def test_a_clock_that_is_off_by_more_than_30_seconds_is_a_warning_there_and_in_workspaces(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        ahead, near, kcp = w.sandbox.clusters["us-west1"], w.sandbox.clusters["eu-central1"], w.sandbox.kcp
        ahead.faults = replace(ahead.faults, clock_offset=timedelta(minutes=10))
        near.faults = replace(near.faults, clock_offset=timedelta(seconds=20))
        kcp.faults = replace(kcp.faults, clock_offset=timedelta(minutes=-10))
        report = await checked(w)
        assert not report.failed
        assert results(report, "cluster", "us-west1")["clock"] == "WARN"
        assert results(report, "cluster", "eu-central1")["clock"] == "OK"
        assert results(report, "workspace", "root:shop")["clock"] == "WARN"
        assert detail(report, "root:shop", "clock").endswith(
            "behind of this machine; to do: set the clocks by NTP, there and here"
        )


async def test_an_event_that_outlived_the_configured_ttl_shows_that_the_ttl_is_another(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        emit(w, "web")
        cluster = w.sandbox.clusters["us-west1"]
        cluster.faults = replace(cluster.faults, clock_offset=timedelta(minutes=30))
        entry = {"name": "us-west1", "kubeconfig": str(tmp_path / "kubeconfig"), "context": "us-west1"}
        for ttl, result in (("10m", "WARN"), ("1h", "OK")):
            w.configure(clusters=[entry | {"eventTTL": ttl}])
            report = await checked(w)
            assert results(report, "cluster", "us-west1")["ttl"] == result
        w.configure(clusters=[entry | {"eventTTL": "10m"}])
        assert detail(await checked(w), "us-west1", "ttl") == (
            "oldest Event was written 0h30m ago, eventTTL is 0h10m; to do: set clusters[us-west1].eventTTL as "
            "kube-apiserver's --event-ttl"
        ).replace("0h", "")


async def test_a_token_that_ends_is_told_before_and_after_and_never_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        soon, over = jwt(timedelta(hours=3)), jwt(timedelta(hours=-1))
        for name, token in (("us-west1", soon), ("eu-central1", over)):
            cluster = w.sandbox.clusters[name]
            cluster.identities[token] = Identity("reader", frozenset({"get", "list", "watch"}))
            write_kubeconfig(tmp_path / name, {name: cluster.url}, token)
        w.configure(clusters=[
            {"name": name, "kubeconfig": str(tmp_path / name)} for name in ("us-west1", "eu-central1")
        ])  # fmt: skip
        report = await checked(w)
        assert results(report, "cluster", "us-west1")["credential"] == "WARN"
        assert results(report, "cluster", "eu-central1")["credential"] == "FAIL"
        for output in ("text", "wide", "json", "yaml"):
            code, out, err = await called("check", "--config", str(w.config), "-o", output)
            assert code == 1
            for token in (soon, over, w.sandbox.token):
                assert token not in out + err


def by_token(w: World, name: str, *verbs: str) -> Path:
    """The file of a token that may do ``verbs`` in ``root:shop`` and nothing elsewhere."""
    shop = w.sandbox.kcp.workspaces["root:shop"]
    w.sandbox.kcp.identities[name] = Identity(name, frozenset(verbs), frozenset({shop.logical}))
    (w.folder / name).write_text(name, encoding="utf-8")
    return w.folder / name


def configured(w: World, workspaces: Mapping[str, Path | None]) -> None:
    named = [{"path": path} | ({"tokenFile": str(file)} if file else {}) for path, file in workspaces.items()]
    w.configure(kcp={"kubeconfig": str(w.folder / "kubeconfig"), "context": "root:shop", "workspaces": named})


async def test_each_workspace_is_tried_with_its_own_identity_and_what_it_lacks_is_named(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        emit(w, "web", "jobs")
        token = by_token(w, "of-shop", "get", "create")
        configured(w, {"root:shop": token, "root:team-a": token})
        report = await checked(w)
        assert results(report, "workspace", "root:shop") == {"access": "OK", "events": "FAIL", "clock": "OK"}
        assert detail(report, "root:shop", "events") == (
            "not allowed: update in web; to do: grant events: get, create, update"
        )
        assert results(report, "workspace", "root:team-a") == {"access": "FAIL", "clock": "OK"}
        assert detail(report, "root:team-a", "access") == (
            "must not be entered; to do: grant access to the workspace itself (system:kcp:workspace:access) and "
            "events: get, create, update"
        )


async def test_a_workspace_that_is_not_there_fails_and_a_pattern_that_nothing_leads_to_is_a_warning(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        emit(w, "web")
        configured(w, {"root:shop": None, "root:team-a": None, "root:lost": None, "root:org:**": None})
        report = await checked(w)
        assert detail(report, "root:lost", "access").startswith("there is no such workspace; to do: ")
        assert results(report, "workspace", "root:org:**") == {"access": "WARN"}


async def test_with_an_apiexport_the_bound_workspaces_are_tried_and_those_mapped_to_without_binding_named(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        emit(w, "web", "jobs")
        kcp = w.sandbox.kcp
        provider = kcp.add_workspace("root:provider")
        kcp.publish_export("root:provider", "events")
        kcp.bind("root:shop", "root:provider", "events")
        kcp.identities["provider"] = Identity("sa", frozenset({"list", "content"}), frozenset({provider.logical}))
        write_kubeconfig(tmp_path / "provider", {"provider": provider.url}, "provider")
        export: dict[str, Any] = {"kubeconfig": str(tmp_path / "provider"), "name": "events"}
        w.configure(kcp={"apiExport": export})
        report = await checked(w)
        assert results(report, "kcp", "APIExport events") == {
            "credential": "OK", "content": "OK", "clock": "OK", "bindings": "WARN",
        }  # fmt: skip
        assert detail(report, "APIExport events", "bindings").startswith("mapped to and not bound: root:team-a; to do")
        assert results(report, "workspace", "root:shop") == {"access": "OK", "clock": "OK"}
        kcp.identities["provider"] = Identity("sa", frozenset({"list"}), frozenset({provider.logical}))
        assert results(await checked(w), "kcp", "APIExport events")["content"] == "FAIL"


async def test_the_lease_of_an_election_is_asked_for_and_not_taken(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        cluster = w.sandbox.clusters["us-west1"]
        election = {"enabled": True, "kubeconfig": str(tmp_path / "kubeconfig"), "context": "us-west1"}
        w.configure(leaderElection=election)
        found = results(await checked(w), "lease", "default/batcher")
        assert found == {"credential": "OK", "leases": "OK", "clock": "OK"}
        assert cluster.objects(LEASES) == []
        cluster.identities[w.sandbox.token] = Identity("reader", frozenset({"get", "list", "watch"}))
        assert detail(await checked(w), "default/batcher", "leases") == (
            "not allowed in default: create, update; to do: grant leases: get, create, update"
        )


async def test_the_command_shows_a_line_a_check_and_its_exit_code_says_whether_one_failed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        emit(w, "web")
        code, out, err = await called("check", "--config", str(w.config))
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0].split() == ["RESULT", "OF", "CHECK", "DETAIL"]
        assert {line.split()[0] for line in lines[1:]} == {"OK", "WARN"}  # no Event of the other clusters is mapped
        code, out, _ = await called("check", "--config", str(w.config), "-o", "json")
        assert [len(json.loads(out)["checks"]), code] == [len(lines) - 1, 0]
        cluster = w.sandbox.clusters["us-west1"]
        cluster.faults = replace(cluster.faults, drop=frozenset({"list"}))
        code, out, _ = await called("check", "--config", str(w.config))
        assert code == 1
        assert [line.split()[:3] for line in out.splitlines() if line.startswith("FAIL")] == [
            ["FAIL", "cluster", "us-west1"]
        ]
        assert await called("check") == (2, "", "check: give --config FILE\n")


async def test_a_kubeconfig_that_is_no_yaml_is_told_without_the_line_that_may_have_the_token(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (tmp_path / "broken").write_text("users:\n- user: {token: canary: token}\n", encoding="utf-8")
        document = yaml.safe_load(w.config.read_text())
        w.configure(clusters=[{"name": "us-west1", "kubeconfig": str(tmp_path / "broken")}], kcp=document["kcp"])
        code, out, err = await called("check", "--config", str(w.config), "-o", "json")
        assert code == 1
        assert "no YAML (line 2, column 23)" in out
        assert "canary" not in out + err
