"""Mapping and targets against a real kcp: locators, an identity per workspace, an APIExport.

The source cluster is a simulated one, so that its Namespaces can be forged in every way. Nobody who writes here
may do more than ``deploy/README.md`` says.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from batcher import clock
from batcher.batch import DataDirectory
from batcher.mapping.hashes import downstream_name
from batcher.sandbox import Sandbox
from batcher.sandbox.resources import NAMESPACES
from batcher.status import read_status
from tests.kcp.real import KUBECONFIG, Account, Kcp, kubeconfig
from tests.service.world import batcher, finish, totals, until

EVENTS = {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "create", "update"]}
CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
SLICES = {"apiGroups": ["apis.kcp.io"], "resources": ["apiexportendpointslices"], "verbs": ["get", "list"]}
CONTENT = {
    "apiGroups": ["apis.kcp.io"],
    "resources": ["apiexports/content"],
    "resourceNames": ["events"],
    "verbs": ["*"],
}
SYNC_TARGET = {"cluster": "root:org:ws", "name": "us-west1", "uid": "of-target"}

pytestmark = [
    pytest.mark.kcp,
    pytest.mark.skipif(not KUBECONFIG, reason="BATCHER_KCP_KUBECONFIG names no kubeconfig of a real kcp"),
]


@dataclass
class World:
    """A real kcp with a few workspaces, and the simulated cluster ``us-west1``."""

    kcp: Kcp
    sandbox: Sandbox
    paths: Mapping[str, str]
    folder: Path

    @property
    def directory(self) -> DataDirectory:
        return DataDirectory(self.folder / "data")

    def emit(self, namespace: str, name: str = "settings", count: int = 3) -> None:
        self.sandbox.clusters["us-west1"].create_event({
            "metadata": {"name": f"{name}.1", "namespace": namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": name},
            "reason": "BackOff", "message": f"again in {namespace}", "type": "Warning", "count": count,
        })  # fmt: skip

    def namespace(self, name: str, locator: str, **labels: str) -> None:
        """A Namespace that says it serves ``locator``, and an Event in it."""
        metadata = {"name": name, "annotations": {"kcp.io/namespace-locator": locator}, "labels": labels}
        self.sandbox.clusters["us-west1"].create_object(NAMESPACES, "", {"metadata": metadata})
        self.emit(name)

    def configure(self, **changes: Any) -> Path:
        """Return a configuration that maps ``web`` to ``shop`` and ``jobs`` to ``team``, with ``changes``."""
        source = str(self.folder / "source")
        document = {
            "apiVersion": "batcher.kcp.io/v1alpha1",
            "kind": "BatcherConfig",
            "dataDir": str(self.directory.root),
            "clusters": [{"name": "us-west1", "kubeconfig": source, "context": "us-west1"}],
            "mapping": {"rules": [
                {"namespace": "web", "workspace": self.paths["shop"]},
                {"namespace": "jobs", "workspace": self.paths["team"]},
            ]},
            "batch": {"interval": "200ms"},
            "archive": {"path": str(self.folder / "archive"), "interval": "1s"},
            "publish": {"rewriteAfter": "200ms", "rewriteMost": "200ms"},
        }  # fmt: skip
        (self.folder / "batcher.yaml").write_text(yaml.safe_dump(document | changes), encoding="utf-8")
        return self.folder / "batcher.yaml"

    def targets(self, workspaces: list[dict[str, str]]) -> dict[str, Any]:
        """Settings of ``kcp``: the tests' own identity, unless one of ``workspaces`` has another."""
        return {"kubeconfig": str(self.folder / "kcp"), "context": "shop", "workspaces": workspaces}

    def token_file(self, name: str, account: Account) -> Path:
        (self.folder / name).write_text(account.token, encoding="utf-8")
        return self.folder / name

    async def answers(self, token_file: Path, role: str, *resources: str) -> list[int]:
        """How a GET of each of ``resources`` in the workspace's namespace ``web`` is answered to who has the token."""
        where = f"/clusters/{self.paths[role]}/api/v1/namespaces/web"
        return [await self.kcp.status_for(token_file, f"{where}/{resource}") for resource in resources]

    async def counts(self, role: str) -> list[int]:
        return sorted(event["count"] for event in await self.kcp.events(self.paths[role]))

    async def told(self, role: str, *counts: int) -> list[dict[str, Any]]:
        """Return the summaries of a workspace as soon as their counts are ``counts``."""
        await self.kcp.until(lambda: self.counts(role), list(counts))
        return await self.kcp.events(self.paths[role])

    async def trouble(self, reason: str) -> None:
        """Return when the service says that ``reason`` is why somebody is not told."""
        await until(lambda: reason in read_status(self.directory.root).publish_trouble)


@pytest.fixture
async def w(kcp: Kcp, tmp_path: Path) -> AsyncIterator[World]:
    """Two tenants, somebody else, and a provider; ``kcp`` is a kubeconfig of who made them."""
    async with AsyncExitStack() as made, Sandbox(["us-west1"], {}, now=clock.now) as sandbox:
        paths = {}
        for role in ("shop", "team", "other", "provider"):
            paths[role] = await kcp.workspace(role)
            made.push_async_callback(kcp.delete, paths[role])
        sandbox.write_kubeconfig(tmp_path / "source")
        document = kubeconfig(paths, kcp.connection.server)
        (tmp_path / "kcp").write_text(yaml.safe_dump(document), encoding="utf-8")
        yield World(kcp, sandbox, paths, tmp_path)


@asynccontextmanager
async def running(w: World, config: Path) -> AsyncIterator[None]:
    async with batcher("run", "--config", str(config)) as process:
        await until((w.directory.root / "status.json").exists)
        yield
        code, _, err = await finish(process)
    assert code == 0, err


def locator(workspace: str, namespace: str = "web") -> str:
    said = {"syncTarget": SYNC_TARGET, "cluster": workspace, "namespace": namespace}
    return json.dumps(said, separators=(",", ":"))


async def test_a_locator_brings_events_to_its_workspace_and_a_forged_or_foreign_one_brings_them_nowhere(
    w: World,
) -> None:
    shop, team, other = (w.paths[role] for role in ("shop", "team", "other"))
    by_name = await w.kcp.logical(team)
    for workspace in (shop, by_name):
        w.namespace(downstream_name(locator(workspace)), locator(workspace))
    outside = [other, await w.kcp.logical(other), f"{shop}/../{other}", f"{shop}:", "*", "root", "system:admin"]
    for workspace in outside:
        w.namespace(downstream_name(locator(workspace)), locator(workspace))
    foreign = locator(shop, "jobs")
    w.namespace("copied", locator(shop))
    w.namespace(downstream_name(foreign), foreign, **{"internal.workload.kcp.io/cluster": "of-somebody-else"})
    config = w.configure(kcp=w.targets([{"path": shop}, {"path": by_name}]), mapping={"trust": ["locator"]})
    async with running(w, config):
        (first,) = await w.told("shop", 3)
        (second,) = await w.told("team", 3)
        await until(lambda: totals(w.directory)["revisions"] == 2 + len(outside) + 2)
    assert {event["metadata"]["namespace"] for event in (first, second)} == {"web"}
    assert first["message"] == "[us-west1] again in web"
    assert first["metadata"]["annotations"]["kcp.io/cluster"] == await w.kcp.logical(shop)
    assert [len(await w.kcp.events(path)) for path in (shop, team, other)] == [1, 1, 0]


async def test_service_accounts_that_may_write_events_and_nothing_else_are_enough(w: World) -> None:
    await w.kcp.make(w.paths["shop"], "configmaps", {"metadata": {"name": "settings"}}, "web")
    _, settings = await w.kcp.call("GET", f"/clusters/{w.paths['shop']}/api/v1/namespaces/web/configmaps/settings")
    of_shop = w.token_file("of-shop", await w.kcp.account(w.paths["shop"], [EVENTS, CONFIG_MAPS]))
    of_team = w.token_file("of-team", await w.kcp.account(w.paths["team"], [EVENTS]))
    assert await w.answers(of_shop, "shop", "events", "secrets", "configmaps") == [403] * 3
    assert await w.answers(of_shop, "team", "events/settings", "configmaps/settings") == [403] * 2
    assert await w.answers(of_team, "team", "events", "configmaps/settings") == [403] * 2
    w.emit("web")
    w.emit("jobs")
    workspaces = [
        {"path": w.paths[role], "tokenFile": str(file)} for role, file in (("shop", of_shop), ("team", of_team))
    ]
    async with running(w, w.configure(kcp=w.targets(workspaces))):
        (shop,) = await w.told("shop", 3)
        (team,) = await w.told("team", 3)
        w.emit("web", count=5)
        w.emit("jobs", count=6)
        await w.told("shop", 5)
        await w.told("team", 6)
    assert shop["involvedObject"]["uid"] == settings["metadata"]["uid"]
    assert "uid" not in team["involvedObject"]


async def test_one_service_account_with_a_role_in_each_workspace_is_enough_and_writes_to_no_other(w: World) -> None:
    account = await w.kcp.account(w.paths["provider"], [])
    user = f"system:kcp:serviceaccount:{await w.kcp.logical(w.paths['provider'])}:default:{account.name}"
    for role in ("shop", "team"):
        await w.kcp.allow(w.paths[role], user, [EVENTS])
    w.emit("web")
    w.emit("jobs")
    w.emit("other")
    rules = [
        {"namespace": n, "workspace": w.paths[r]} for n, r in (("web", "shop"), ("jobs", "team"), ("other", "other"))
    ]
    file = str(w.token_file("of-provider", account))
    kcp = w.targets([{"path": w.paths[role], "tokenFile": file} for role in ("shop", "team", "other")])
    async with running(w, w.configure(kcp=kcp, mapping={"rules": rules})):
        await w.told("shop", 3)
        await w.told("team", 3)
        await w.trouble(f"{w.paths['other']}: Forbidden")
        w.emit("web", count=5)
        await w.told("shop", 5)
    assert await w.counts("other") == []


async def by_export(w: World) -> Path:
    """Offer an export that ``shop`` accepts and ``team`` refuses; return the configuration to write by it."""
    provider = w.paths["provider"]
    await w.kcp.publish_export(provider, "events")
    await w.kcp.bind(w.paths["shop"], provider, "events", "Accepted")
    await w.kcp.bind(w.paths["team"], provider, "events", "Rejected")
    account = await w.kcp.account(provider, [SLICES, CONTENT])
    assert await w.answers(w.token_file("of-provider", account), "shop", "events", "events/settings") == [403] * 2
    document = kubeconfig({"provider": provider}, w.kcp.connection.server)
    document["users"] = [{"name": user["name"], "user": {"token": account.token}} for user in document["users"]]
    (w.folder / "provider").write_text(yaml.safe_dump(document), encoding="utf-8")
    export = {"kubeconfig": str(w.folder / "provider"), "context": "provider", "name": "events"}
    return w.configure(kcp={"apiExport": export})


async def test_an_apiexport_reaches_who_accepts_as_long_as_he_does_and_never_who_refuses(w: World) -> None:
    config = await by_export(w)
    w.emit("web")
    w.emit("jobs")
    async with running(w, config):
        (first,) = await w.told("shop", 3)
        w.emit("web", count=5)
        await w.told("shop", 5)
        await w.trouble(f"{w.paths['team']}: WorkspaceNotBound")
        assert await w.counts("team") == []
        await w.kcp.bind(w.paths["team"], w.paths["provider"], "events", "Accepted")
        await w.kcp.bind(w.paths["shop"], w.paths["provider"], "events", "Rejected")
        await w.told("team", 3)
        w.emit("web", count=8)
        await w.trouble(w.paths["shop"])
    assert await w.counts("shop") == [5]
    metadata = first["metadata"]
    assert metadata["annotations"]["kcp.io/workspace-path"] == w.paths["shop"]
    assert metadata["labels"]["kcp.io/workspace"] == metadata["annotations"]["kcp.io/cluster"]
