"""The whole path against a real kcp: workspaces are the source clusters, and a workspace is the target.

``BATCHER_KCP_KUBECONFIG`` names a kubeconfig of somebody who may create workspaces below ``root``.
"""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from batcher import clock
from batcher.batch import DataDirectory
from batcher.connect import Connection, connect
from batcher.sandbox.scenario import CLUSTERS, Emitter, play
from batcher.settings import parse_duration
from batcher.verify import verify
from tests.service.world import batcher, finish, told, totals, until

KUBECONFIG = os.environ.get("BATCHER_KCP_KUBECONFIG", "")
WORKSPACES = "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces"
NAMESPACES = ("web", "jobs")

pytestmark = [
    pytest.mark.kcp,
    pytest.mark.skipif(not KUBECONFIG, reason="BATCHER_KCP_KUBECONFIG names no kubeconfig of a real kcp"),
]


@dataclass
class Kcp:
    """A real kcp with workspaces of this test's own."""

    connection: Connection
    mark: str = field(default_factory=lambda: secrets.token_hex(3))

    async def call(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        timeout = aiohttp.ClientTimeout(total=30)
        async with self.connection.request(method, path, body=data, content_type=kind, timeout=timeout) as response:
            return response.status, await response.json()

    async def workspace(self, role: str) -> str:
        """Create a workspace with the namespaces of the scenario; return its path."""
        name = f"batcher-{role}-{self.mark}"
        universal = {"type": {"name": "universal", "path": "root"}}
        content = {"apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name}}
        assert (await self.call("POST", WORKSPACES, content | {"spec": universal}))[0] == 201
        async with asyncio.timeout(60):
            while (await self.call("GET", f"{WORKSPACES}/{name}"))[1].get("status", {}).get("phase") != "Ready":
                await asyncio.sleep(0.1)
        path = f"root:{name}"
        for namespace in NAMESPACES:
            await self._namespace(path, namespace)
        return path

    async def _namespace(self, path: str, name: str) -> None:
        """Create a namespace; a workspace that has just become ready may refuse for a moment."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        async with asyncio.timeout(30):
            while (await self.call("POST", f"/clusters/{path}/api/v1/namespaces", body))[0] not in {201, 409}:
                await asyncio.sleep(0.1)

    async def delete(self, path: str) -> None:
        await self.call("DELETE", f"{WORKSPACES}/{path.removeprefix('root:')}")

    async def events(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.call("GET", f"/clusters/{path}/api/v1/events"))[1]["items"]
        return items


@dataclass
class Queue:
    """A recorder that keeps what it is told to write, to be sent over HTTP."""

    path: str
    requests: list[tuple[str, str, Mapping[str, Any], str]] = field(default_factory=list)

    def create_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        namespace = event["metadata"]["namespace"]
        address = f"/clusters/{self.path}/api/v1/namespaces/{namespace}/events"
        self.requests.append(("POST", address, {"apiVersion": "v1", "kind": "Event", **event}, "application/json"))
        return dict(event)

    def update_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        address = f"/clusters/{self.path}/api/v1/namespaces/{namespace}/events/{name}"
        self.requests.append(("PATCH", address, changes, "application/merge-patch+json"))
        return dict(changes)


@pytest.fixture
async def kcp() -> AsyncIterator[Kcp]:
    connection = connect(name="kcp", kubeconfig=Path(KUBECONFIG))
    connection.server = connection.server.partition("/clusters/")[0]
    yield Kcp(connection)
    await connection.close()


def kubeconfig(paths: Mapping[str, str], server: str) -> dict[str, Any]:
    """The given kubeconfig with a context a path."""
    given = yaml.safe_load(Path(KUBECONFIG).read_text(encoding="utf-8"))
    context = next(c["context"] for c in given["contexts"] if c["name"] == given["current-context"])
    cluster = next(c["cluster"] for c in given["clusters"] if c["name"] == context["cluster"])
    clusters = [
        {"name": name, "cluster": {**cluster, "server": f"{server}/clusters/{path}"}} for name, path in paths.items()
    ]
    contexts = [{"name": name, "context": {"cluster": name, "user": context["user"]}} for name in paths]
    return {**given, "clusters": clusters, "contexts": contexts, "current-context": ""}


async def test_workspaces_are_watched_and_told_every_occurrence_once(kcp: Kcp, tmp_path: Path) -> None:
    happenings = [h for h in islice(play(duration=parse_duration("10m"), rate=40), 200) if h.cluster in CLUSTERS[:2]]
    async with AsyncExitStack() as made:
        paths = {}
        for role in (*CLUSTERS[:2], "shop"):
            paths[role] = await kcp.workspace(role)
            made.push_async_callback(kcp.delete, paths[role])
        sources = {name: Queue(paths[name]) for name in CLUSTERS[:2]}
        emitter = Emitter(sources)
        config = _configure(tmp_path, paths, kcp.connection.server)
        directory = DataDirectory(tmp_path / "data")
        async with batcher("run", "--config", str(config)) as process:
            for happening in happenings:
                emitter.emit(happening, clock.now())
            for source in sources.values():
                for request in source.requests:
                    status, answer = await kcp.call(*request)
                    assert status in {200, 201}, answer
            await until(lambda: totals(directory).get("occurrences") == emitter.occurrences)
            kept = sum(h.times for h in happenings if h.regarding.namespace in NAMESPACES)
            async with asyncio.timeout(60):
                while told(await kcp.events(paths["shop"])) != kept:
                    await asyncio.sleep(0.2)
            code, _, err = await finish(process)
        assert code == 0, err
        assert [check for check in verify(directory, directory.archive) if not check.ok] == []


def _configure(folder: Path, paths: Mapping[str, str], server: str) -> Path:
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(paths, server)), encoding="utf-8")
    where = str(folder / "kubeconfig")
    document = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "dataDir": str(folder / "data"),
        "clusters": [{"name": name, "kubeconfig": where, "context": name} for name in CLUSTERS[:2]],
        "kcp": {"kubeconfig": where, "context": "shop", "workspaces": [{"path": paths["shop"]}]},
        "mapping": {"rules": [{"namespace": name, "workspace": paths["shop"]} for name in NAMESPACES]},
        "batch": {"interval": "200ms"},
        "archive": {"path": str(folder / "archive"), "interval": "1s"},
        "publish": {"rewriteAfter": "200ms", "rewriteMost": "200ms"},
    }
    (folder / "batcher.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder / "batcher.yaml"
