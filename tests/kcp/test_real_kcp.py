"""The whole path against a real kcp: workspaces are the source clusters, and a workspace is the target.

The target is watched as well, and what is read of it is our own: that adds nothing.

``BATCHER_KCP_KUBECONFIG`` names a kubeconfig of somebody who may create workspaces below ``root``.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from batcher import clock
from batcher.batch import DataDirectory
from batcher.sandbox.scenario import CLUSTERS, Emitter, play
from batcher.settings import parse_duration
from batcher.verify import verify
from tests.kcp.real import KUBECONFIG, NAMESPACES, Kcp, kubeconfig
from tests.service.world import batcher, finish, told, totals, until

pytestmark = [
    pytest.mark.kcp,
    pytest.mark.skipif(not KUBECONFIG, reason="BATCHER_KCP_KUBECONFIG names no kubeconfig of a real kcp"),
]


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


async def test_workspaces_are_watched_and_told_every_occurrence_once_and_what_they_were_told_is_none(
    kcp: Kcp, tmp_path: Path
) -> None:
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
            written = len(await kcp.events(paths["shop"]))
            await until(lambda: totals(directory)["ignored"] >= written)
            code, _, err = await finish(process)
        assert code == 0, err
        assert totals(directory)["occurrences"] == emitter.occurrences
        assert [check for check in verify(directory, directory.archive) if not check.ok] == []


def _configure(folder: Path, paths: Mapping[str, str], server: str) -> Path:
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(paths, server)), encoding="utf-8")
    where = str(folder / "kubeconfig")
    document = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "dataDir": str(folder / "data"),
        "clusters": [{"name": name, "kubeconfig": where, "context": name} for name in (*CLUSTERS[:2], "shop")],
        "kcp": {"kubeconfig": where, "context": "shop", "workspaces": [{"path": paths["shop"]}]},
        "mapping": {"rules": [{"namespace": name, "workspace": paths["shop"]} for name in NAMESPACES]},
        "batch": {"interval": "200ms"},
        "archive": {"path": str(folder / "archive"), "interval": "1s"},
        "publish": {"rewriteAfter": "200ms", "rewriteMost": "200ms"},
    }
    (folder / "batcher.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder / "batcher.yaml"
