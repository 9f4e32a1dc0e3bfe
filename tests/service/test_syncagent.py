"""Events of objects that api-syncagent made, and of their Pods, in the workspace that the objects came from."""

import contextlib
from pathlib import Path
from typing import Any

from batcher.errors import DataDirError
from batcher.sandbox.resources import EVENTS, RESOURCES
from batcher.status import read_status
from batcher.verify import verify
from tests.service.world import World, batcher, finish, until, world

DEPLOYMENT = next(resource for resource in RESOURCES if resource.kind == "Deployment")
SAID = "syncagent.kcp.io/remote-object"


def deployment(name: str, logical: str, of: str) -> dict[str, Any]:
    labels, annotations = {f"{SAID}-cluster": logical}, {f"{SAID}-namespace": "shop", f"{SAID}-name": of}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels,
        "annotations": annotations}}  # fmt: skip


def event(name: str, namespace: str, kind: str, about: str, **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {"kind": kind, "namespace": namespace, "name": about} | fields,
        "reason": f"Of{kind}", "message": f"{about} in {namespace}", "type": "Warning", "count": 3,
    }  # fmt: skip


async def test_an_object_and_its_pods_are_told_of_in_the_workspace_that_it_came_from_and_a_forged_one_nowhere(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        target, outside = (w.sandbox.kcp.add_workspace(path, ("shop",)) for path in ("root:team", "root:other"))
        configure(w, target.logical)
        cluster, here = w.sandbox.clusters["us-west1"], target.logical
        cluster.create_object(EVENTS, here, event("early", here, "Pod", "x1-y2-7c5d8f9b6-x2z4t"))
        cluster.create_object(EVENTS, here, event("other", here, "Pod", "z"))
        cluster.create_object(EVENTS, outside.logical, event("forged", outside.logical, "Deployment", "x1-y2"))
        cluster.create_object(DEPLOYMENT, outside.logical, deployment("x1-y2", outside.logical, "web"))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals().get("unmapped") == 3)
            await until(lambda: "HTTP 404 NotFound" in trouble(w))
            uid = cluster.create_object(DEPLOYMENT, here, deployment("x1-y2", here, "web"))["metadata"]["uid"]
            there = target.create_object(DEPLOYMENT, "shop", {"metadata": {"name": "web"}})
            cluster.create_object(EVENTS, here, event("late", here, "Deployment", "x1-y2", uid=uid))
            await until(lambda: len(target.events("shop")) == 2)
            code, _, err = await finish(process)
        assert code == 0, err
        told = {found["reason"]: found for found in target.events("shop")}
        web = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"}
        assert told["OfDeployment"]["involvedObject"] | {"apiVersion": "apps/v1"} == told["OfPod"]["involvedObject"]
        assert told["OfPod"]["involvedObject"] == web | {"uid": there["metadata"]["uid"]}
        assert told["OfPod"]["related"]["name"] == "x1-y2-7c5d8f9b6-x2z4t"
        assert [found["message"] for found in told.values() if here in found["message"]] == []
        assert outside.events() == []
        assert [check.name for check in verify(w.directory, w.directory.archive) if not check.ok] == []


def trouble(w: World) -> str:
    """What the service says of its clusters; nothing before it has said anything."""
    with contextlib.suppress(DataDirError):
        return "; ".join(cluster.last_error for cluster in read_status(w.directory.root).clusters)
    return ""


def configure(w: World, logical: str) -> None:
    """Trust the labels of Deployments, and of a kind that the cluster does not have; allow only ``logical``."""
    w.configure(
        mapping={"trust": ["syncagent"], "syncagent": {"kinds": ["Deployment", "Foo.v1.x.io=foos"]}},
        kcp={"kubeconfig": str(w.folder / "kubeconfig"), "context": "root:shop", "workspaces": [{"path": logical}]},
    )
    for workspace in w.sandbox.kcp.workspaces.values():
        w.sandbox.clusters["us-west1"].create_namespace(workspace.logical)
