"""Mapping and targets against a real kcp: locators, an identity per workspace, an APIExport."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from batcher.mapping.hashes import downstream_name
from tests.kcp.real import KUBECONFIG, Kcp, kubeconfig
from tests.service.world import batcher, finish

EVENTS = {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "create", "update"]}
CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}

pytestmark = [
    pytest.mark.kcp,
    pytest.mark.skipif(not KUBECONFIG, reason="BATCHER_KCP_KUBECONFIG names no kubeconfig of a real kcp"),
]


@pytest.fixture
async def paths(kcp: Kcp) -> AsyncIterator[dict[str, str]]:
    """A source, two tenants, a provider."""
    async with AsyncExitStack() as made:
        found = {}
        for role in ("source", "shop", "team", "provider"):
            found[role] = await kcp.workspace(role)
            made.push_async_callback(kcp.delete, found[role])
        yield found


def configure(folder: Path, server: Kcp, paths: Mapping[str, str], **changes: Any) -> Path:
    where = folder / "kubeconfig"
    where.write_text(yaml.safe_dump(kubeconfig(paths, server.connection.server)), encoding="utf-8")
    document = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "dataDir": str(folder / "data"),
        "clusters": [{"name": "us-west1", "kubeconfig": str(where), "context": "source"}],
        "mapping": {"rules": [
            {"namespace": "web", "workspace": paths["shop"]},
            {"namespace": "jobs", "workspace": paths["team"]},
        ]},
        "batch": {"interval": "200ms"},
        "archive": {"path": str(folder / "archive"), "interval": "1s"},
        "publish": {"rewriteAfter": "200ms", "rewriteMost": "200ms"},
    }  # fmt: skip
    (folder / "batcher.yaml").write_text(yaml.safe_dump(document | changes), encoding="utf-8")
    return folder / "batcher.yaml"


async def emit(kcp: Kcp, path: str, namespace: str, name: str = "settings") -> None:
    event = {
        "metadata": {"name": f"{name}.1", "namespace": namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": name},
        "reason": "BackOff", "message": f"again in {namespace}", "type": "Warning", "count": 3,
    }  # fmt: skip
    await kcp.make(path, "events", event, namespace)


async def arrived(kcp: Kcp, path: str) -> list[dict[str, Any]]:
    """Return the summaries of the workspace as soon as there are any."""
    async with asyncio.timeout(60):
        while not (found := await kcp.events(path)):
            await asyncio.sleep(0.2)
    return found


def token(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


async def test_a_locator_brings_events_to_its_workspace_under_its_namespace(
    kcp: Kcp, paths: Mapping[str, str], tmp_path: Path
) -> None:
    locator = {
        "syncTarget": {"cluster": "root:org:ws", "name": "us-west1", "uid": "of-target"},
        "cluster": paths["shop"], "namespace": "web",
    }  # fmt: skip
    text = json.dumps(locator, separators=(",", ":"))
    name = downstream_name(text)
    for each in (name, "copied"):
        metadata = {"name": each, "annotations": {"kcp.io/namespace-locator": text}}
        await kcp.make(paths["source"], "namespaces", {"metadata": metadata})
        await emit(kcp, paths["source"], each)
    targets = {"kubeconfig": str(tmp_path / "kubeconfig"), "context": "shop", "workspaces": [{"path": paths["shop"]}]}
    config = configure(tmp_path, kcp, paths, kcp=targets, mapping={"trust": ["locator"]})
    async with batcher("run", "--config", str(config)) as process:
        (found,) = await arrived(kcp, paths["shop"])
        code, _, err = await finish(process)
    assert code == 0, err
    assert (found["metadata"]["namespace"], found["count"]) == ("web", 3)
    assert found["message"] == "[us-west1] again in web"


async def test_service_accounts_that_may_write_events_and_nothing_else_are_enough(
    kcp: Kcp, paths: Mapping[str, str], tmp_path: Path
) -> None:
    await kcp.make(paths["shop"], "configmaps", {"metadata": {"name": "settings"}}, "web")
    uid = (await kcp.call("GET", f"/clusters/{paths['shop']}/api/v1/namespaces/web/configmaps/settings"))[1]
    files = {
        paths["shop"]: token(tmp_path, "shop", await kcp.account(paths["shop"], [EVENTS, CONFIG_MAPS])),
        paths["team"]: token(tmp_path, "team", await kcp.account(paths["team"], [EVENTS])),
    }
    for namespace in ("web", "jobs"):
        await emit(kcp, paths["source"], namespace)
    workspaces = [{"path": path, "tokenFile": file} for path, file in files.items()]
    targets = {"kubeconfig": str(tmp_path / "kubeconfig"), "context": "shop", "workspaces": workspaces}
    config = configure(tmp_path, kcp, paths, kcp=targets)
    async with batcher("run", "--config", str(config)) as process:
        (shop,) = await arrived(kcp, paths["shop"])
        (team,) = await arrived(kcp, paths["team"])
        code, _, err = await finish(process)
    assert code == 0, err
    assert shop["involvedObject"]["uid"] == uid["metadata"]["uid"]
    assert "uid" not in team["involvedObject"]


async def test_an_apiexport_reaches_who_accepts_and_never_who_refuses(
    kcp: Kcp, paths: Mapping[str, str], tmp_path: Path
) -> None:
    await kcp.publish_export(paths["provider"], "events")
    await kcp.bind(paths["shop"], paths["provider"], "events", "Accepted")
    await kcp.bind(paths["team"], paths["provider"], "events", "Rejected")
    rules = [
        {"apiGroups": ["apis.kcp.io"], "resources": ["apiexportendpointslices"], "verbs": ["get", "list"]},
        {
            "apiGroups": ["apis.kcp.io"],
            "resources": ["apiexports/content"],
            "resourceNames": ["events"],
            "verbs": ["*"],
        },
    ]
    secret = await kcp.account(paths["provider"], [rule | {"apiGroups": ["apis.kcp.io"]} for rule in rules])
    provider = kubeconfig({"provider": paths["provider"]}, kcp.connection.server)
    provider["users"] = [{"name": user["name"], "user": {"token": secret}} for user in provider["users"]]
    (tmp_path / "provider").write_text(yaml.safe_dump(provider), encoding="utf-8")
    for namespace in ("web", "jobs"):
        await emit(kcp, paths["source"], namespace)
    export = {"kubeconfig": str(tmp_path / "provider"), "context": "provider", "name": "events"}
    config = configure(tmp_path, kcp, paths, kcp={"apiExport": export})
    async with batcher("run", "--config", str(config)) as process:
        (first,) = await arrived(kcp, paths["shop"])
        await emit(kcp, paths["source"], "web", "second")
        async with asyncio.timeout(60):
            while len(await kcp.events(paths["shop"])) < 2:
                await asyncio.sleep(0.2)
        code, _, err = await finish(process)
    assert code == 0, err
    assert await kcp.events(paths["team"]) == []
    metadata = first["metadata"]
    assert metadata["annotations"]["kcp.io/workspace-path"] == paths["shop"]
    assert metadata["labels"]["kcp.io/workspace"] == metadata["annotations"]["kcp.io/cluster"]
