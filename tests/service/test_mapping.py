"""``batcher run`` where the clusters' namespaces say themselves which workspace they serve."""

import re
from pathlib import Path

from batcher.batch.process import latest
from batcher.sandbox.resources import EVENTS, NAMESPACES
from batcher.verify import verify
from tests.called import called
from tests.service.world import World, batcher, finish, until, world

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


async def told(w: World, *arguments: str) -> tuple[int, str]:
    """The exit code of a command, and what it says of flaws in ``us-west1``."""
    code, out, _ = await called(*arguments, "--data-dir", str(w.directory.root))
    found = re.search(r"us-west1: [^;]*|other-name|duplicate", out)
    return code, found.group() if found else ""


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
        assert "namespaces that are not believed" in err
        assert "'other-name': 1" in err
        assert await told(w, "status") == (1, "us-west1: 1 other-name")
        assert await told(w, "mapping", "list", "--flawed", "--no-headers") == (0, "other-name")
        (found,) = target.events("test")
        assert (found["involvedObject"]["namespace"], found["count"]) == ("test", 3)
        assert forged.events() == []
        assert [check.name for check in verify(w.directory, w.directory.archive) if not check.ok] == []


async def test_a_namespace_takes_the_place_of_one_whose_deletion_nobody_heard_of(tmp_path: Path) -> None:
    legacy = LOCATOR.replace('"cluster"', '"workspace"') % "root:org:ws"
    second: dict[str, object] = {
        "metadata": {"name": "kcp-hcbsa8z6c2er", "annotations": {"kcp.io/namespace-locator": legacy}}
    }
    async with world(tmp_path) as w:
        w.configure(mapping={"trust": ["locator"]}, kcp={
            "kubeconfig": str(tmp_path / "kubeconfig"), "context": "root:shop", "workspaces": [{"path": "root:org:*"}],
        })  # fmt: skip
        cluster = w.sandbox.clusters["us-west1"]
        target = w.sandbox.kcp.add_workspace("root:org:ws", ("test",))
        cluster.create_object(NAMESPACES, "", namespace("root:org:ws"))
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: connected(w))
            cluster.create_object(NAMESPACES, "", second)
            cluster.create_object(EVENTS, "kcp-hcbsa8z6c2er", event("waits", "kcp-hcbsa8z6c2er"))
            await until(lambda: w.totals().get("unmapped") == 1)
            assert (await finish(process))[0] == 0
        assert await told(w, "mapping", "list", "--flawed", "--no-headers") == (0, "duplicate")
        cluster.delete_namespace(NAME)
        cluster.compact()
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: bool(target.events()))
            code, _, err = await finish(process)
        assert code == 0, err
        assert await told(w, "mapping", "list", "--flawed", "--no-headers") == (0, "")
        assert [check.name for check in verify(w.directory, w.directory.archive, deep=True) if not check.ok] == []


def connected(w: World) -> bool:
    """Whether the first Namespace was heard of."""
    return w.directory.root.joinpath("status.json").exists() and not latest(w.directory)[1]["claims"].is_empty()
