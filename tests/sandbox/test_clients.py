"""Real clients work with the sandbox: the official Python client always, kubectl where it is installed."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from batcher.sandbox import Sandbox

EVENT = {
    "metadata": {"name": "web-0.1", "namespace": "web"},
    "involvedObject": {"kind": "Pod", "name": "web-0", "namespace": "web", "uid": "u-1"},
    "reason": "BackOff",
    "message": "Back-off restarting failed container",
    "source": {"component": "kubelet", "host": "node-1"},
    "type": "Warning",
    "firstTimestamp": "2026-11-23T16:10:44Z",
    "lastTimestamp": "2026-11-23T16:39:44Z",
    "count": 7,
}
KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
CONTEXTS = pytest.mark.parametrize("context", ["us-west1", "root:shop"])


def create_in(sandbox: Sandbox, context: str, name: str = "web-0.1") -> None:
    target = sandbox.clusters.get(context) or sandbox.kcp.workspaces[context]
    target.create_event({**EVENT, "metadata": {"name": name, "namespace": "web"}})


@pytest.fixture
def kubeconfig(sandbox: Sandbox, tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    sandbox.write_kubeconfig(path)
    return path


def test_the_kubeconfig_is_for_its_owner_only(kubeconfig: Path) -> None:
    assert kubeconfig.stat().st_mode & 0o777 == 0o600


def imported(module: str) -> Any:
    """Import a part of the official client when it is used: it takes most of a second and has no types."""
    return import_module(module)


async def with_client(kubeconfig: Path, context: str, use: Callable[[Any], Any]) -> Any:
    """Run ``use`` with a CoreV1Api in a thread: the client blocks."""

    def blocking() -> Any:
        client, config = imported("kubernetes.client"), imported("kubernetes.config")

        configuration = client.Configuration()
        config.load_kube_config(str(kubeconfig), context=context, client_configuration=configuration)
        with client.ApiClient(configuration) as api:
            return use(client.CoreV1Api(api))

    return await asyncio.to_thread(blocking)


@CONTEXTS
async def test_the_official_client_creates_and_lists_events(sandbox: Sandbox, kubeconfig: Path, context: str) -> None:
    create_in(sandbox, context)

    def use(core: Any) -> list[tuple[str, int]]:
        core.create_namespaced_event("web", {**EVENT, "metadata": {"name": "web-0.2"}, "count": 9})
        first = core.list_event_for_all_namespaces(limit=1)
        rest = core.list_event_for_all_namespaces(limit=1, _continue=first.metadata._continue)
        return [(event.metadata.name, event.count) for event in first.items + rest.items]

    assert await with_client(kubeconfig, context, use) == [("web-0.1", 7), ("web-0.2", 9)]


@CONTEXTS
async def test_the_official_client_watches_events(sandbox: Sandbox, kubeconfig: Path, context: str) -> None:
    create_in(sandbox, context)

    def use(core: Any) -> list[tuple[str, str]]:
        seen = []
        watcher = imported("kubernetes.watch").Watch()
        for line in watcher.stream(core.list_namespaced_event, "web", timeout_seconds=20):
            seen.append((line["type"], line["object"].metadata.name))
            if len(seen) == 1:
                core.create_namespaced_event("web", {**EVENT, "metadata": {"name": "web-0.2"}})
            else:
                watcher.stop()
        return seen

    assert await with_client(kubeconfig, context, use) == [("ADDED", "web-0.1"), ("ADDED", "web-0.2")]


@asynccontextmanager
async def kubectl(kubeconfig: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run kubectl with a home of its own: it caches discovery there."""
    home = str(kubeconfig.parent)
    process = await asyncio.create_subprocess_exec(
        str(KUBECTL), "--kubeconfig", str(kubeconfig), "--cache-dir", home, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, "HOME": home},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def printed(kubeconfig: Path, *arguments: str) -> list[str]:
    async with kubectl(kubeconfig, *arguments) as process:
        output, errors = await process.communicate()
        assert errors == b""
        return output.decode().splitlines()


@needs_kubectl
@CONTEXTS
async def test_kubectl_prints_events_as_on_a_real_cluster(sandbox: Sandbox, kubeconfig: Path, context: str) -> None:
    create_in(sandbox, context)
    assert await printed(kubeconfig, "--context", context, "get", "events", "-n", "web") == [
        "LAST SEEN   TYPE      REASON    OBJECT      MESSAGE",
        "60s         Warning   BackOff   pod/web-0   Back-off restarting failed container",
    ]


@needs_kubectl
async def test_kubectl_finds_the_events_of_an_object_as_describe_does(sandbox: Sandbox, kubeconfig: Path) -> None:
    create_in(sandbox, "us-west1")
    fields = "involvedObject.name=web-0,involvedObject.namespace=web,involvedObject.kind=Pod,involvedObject.uid={}"
    found = ["--context", "us-west1", "get", "events", "-n", "web", "-o", "name", "--field-selector"]
    assert await printed(kubeconfig, *found, fields.format("u-1")) == ["event/web-0.1"]
    assert await printed(kubeconfig, *found, fields.format("u-2")) == []


@needs_kubectl
async def test_kubectl_prints_namespaces(kubeconfig: Path) -> None:
    lines = await printed(kubeconfig, "--context", "root:shop", "get", "namespaces")
    assert [line.split() for line in lines] == [
        ["NAME", "STATUS", "AGE"],
        ["default", "Active", "0s"],
        ["kube-system", "Active", "0s"],
        ["web", "Active", "0s"],
    ]


@needs_kubectl
@CONTEXTS
async def test_kubectl_watch_prints_an_event_when_it_appears(sandbox: Sandbox, kubeconfig: Path, context: str) -> None:
    create_in(sandbox, context)
    async with kubectl(kubeconfig, "--context", context, "get", "events", "-n", "web", "-w") as process:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            await process.stdout.readline()
            await process.stdout.readline()
            target = sandbox.clusters.get(context) or sandbox.kcp.workspaces[context]
            target.create_event({**EVENT, "metadata": {"name": "new", "namespace": "web"}, "reason": "Killing"})
            line = (await process.stdout.readline()).decode().split()
    assert line == ["60s", "Warning", "Killing", "pod/web-0", "Back-off", "restarting", "failed", "container"]
