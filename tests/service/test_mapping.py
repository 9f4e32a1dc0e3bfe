"""``batcher run`` where the clusters' namespaces say themselves which workspace they serve."""

from pathlib import Path

from batcher.sandbox.resources import EVENTS, NAMESPACES
from batcher.verify import verify
from tests.service.world import batcher, finish, until, world

LOCATOR = (
    '{"syncTarget":{"cluster":"root:org:ws","name":"us-west1","uid":"syncTargetUID"},"cluster":"%s","namespace":"test"}'
)
NAME = "kcp-33jbiactwhg0"
"""What a syncer names the namespace of :data:`LOCATOR` to ``root:org:ws``."""


def namespace(workspace: str, name: str = NAME) -> dict[str, object]:
    return {"metadata": {"name": name, "annotations": {"kcp.io/namespace-locator": LOCATOR % workspace}}}


def event(name: str, in_namespace: str) -> dict[str, object]:
    return {
        "metadata": {"name": name, "namespace": in_namespace},
        "involvedObject": {"kind": "Pod", "namespace": in_namespace, "name": "web-0"},
        "reason": "BackOff", "message": "again", "type": "Warning", "count": 3,
    }  # fmt: skip


async def test_a_locator_that_comes_after_its_events_brings_them_to_its_workspace_and_a_forged_one_nothing(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        w.configure(mapping={"trust": ["locator"]}, kcp={
            "kubeconfig": str(tmp_path / "kubeconfig"), "context": "root:shop", "workspaces": [{"path": "root:org:*"}],
        })  # fmt: skip
        cluster = w.sandbox.clusters["us-west1"]
        target = w.sandbox.kcp.add_workspace("root:org:ws", ("test",))
        forged = w.sandbox.kcp.add_workspace("root:org:other", ("test",))
        cluster.create_object(NAMESPACES, "", namespace("root:org:other", "copied"))
        cluster.create_object(EVENTS, NAME, event("early", NAME))
        cluster.create_object(EVENTS, "copied", event("copied", "copied"))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals().get("unmapped") == 2)
            cluster.create_object(NAMESPACES, "", namespace("root:org:ws"))
            await until(lambda: bool(target.events()))
            code, _, err = await finish(process)
        assert code == 0, err
        (found,) = target.events("test")
        assert (found["involvedObject"]["namespace"], found["count"]) == ("test", 3)
        assert forged.events() == []
        assert [check.name for check in verify(w.directory, w.directory.archive) if not check.ok] == []
