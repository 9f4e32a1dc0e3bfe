"""What a tenant's ``kubectl describe`` shows of what ``batcher run`` wrote: each summary under its own object."""

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from batcher.sandbox.resources import EVENTS, RESOURCES
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, until, world

KUBECTL = shutil.which("kubectl")
BY_KIND = {resource.kind: resource for resource in RESOURCES}
POD = "web-7c5d8f9b6d-x2hjz"
SELECTOR = {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {}, "spec": {"containers": []}}}
OBJECTS: dict[tuple[str, str], dict[str, Any]] = {
    ("Deployment", "web"): {"spec": SELECTOR | {"replicas": 1}},
    ("Deployment", "other"): {"spec": SELECTOR | {"replicas": 1}},
    ("Pod", POD): {"spec": {"containers": []}, "status": {"phase": "Running"}},
    ("Pod", "other"): {"spec": {"containers": []}, "status": {"phase": "Running"}},
}

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


@pytest.mark.parametrize(
    ("regarding", "kind", "name"), [("owner", "deployment", "web"), ("object", "pod", POD)], ids=["owner", "object"]
)
async def test_kubectl_describe_shows_the_summary_under_its_object_and_under_no_other(
    tmp_path: Path, regarding: str, kind: str, name: str
) -> None:
    async with world(tmp_path) as w:
        shop = w.sandbox.kcp.workspaces["root:shop"]
        for number, ((of_kind, called), content) in enumerate(OBJECTS.items()):
            metadata = {"name": called, "uid": f"11111111-2222-3333-4444-00000000000{number}"}
            shop.create_object(BY_KIND[of_kind], "web", content | {"metadata": metadata})
        w.configure(transform={"regarding": regarding})
        w.sandbox.clusters["us-west1"].create_object(EVENTS, "web", back_off("web", POD))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: bool(shop.events()))
            shown = {
                (of_kind.lower(), called): await described(w, of_kind.lower(), called) for of_kind, called in OBJECTS
            }
            code, _, err = await finish(process)
        assert code == 0, err
        events = shown.pop((kind, name))
        assert re.search(r"Warning  BackOff  [0-9ms]+ \(x3 over 6m[0-9s]*\)  us-west1/kubelet  ", events)
        assert "[us-west1] Back-off restarting failed container" in events
        assert [found for found in shown.values() if "BackOff" in found] == []


async def described(w: World, kind: str, name: str) -> str:
    """What ``kubectl describe`` says of an object of ``root:shop`` behind ``Events:``."""
    home = {"HOME": str(w.folder), "PATH": "/usr/bin:/bin"}
    process = await asyncio.create_subprocess_exec(
        str(KUBECTL), "--kubeconfig", str(w.folder / "kubeconfig"), "--cache-dir", str(w.folder / "cache"),
        "--context", "root:shop", "describe", kind, name, "--namespace", "web",
        env=home, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return re.sub(" {2,}", "  ", out.decode().partition("Events:")[2])
