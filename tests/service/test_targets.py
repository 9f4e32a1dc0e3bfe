"""``batcher run`` with an identity per workspace, or an APIExport."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from batcher import clock
from batcher.sandbox.cluster import Workspace
from batcher.sandbox.identity import Identity
from batcher.sandbox.kubeconfig import write_kubeconfig
from batcher.sandbox.resources import EVENTS
from tests.service.world import World, batcher, finish, until, world


def back_off(namespace: str, name: str = "web-0") -> dict[str, Any]:
    return {
        "metadata": {"name": f"{name}.1", "namespace": namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": "far"},
        "reason": "BackOff", "message": "Back-off restarting failed container", "type": "Warning", "count": 3,
        "firstTimestamp": _ago(minutes=6), "lastTimestamp": _ago(minutes=1),
        "source": {"component": "kubelet"},
    }  # fmt: skip


def _ago(*, minutes: int) -> str:
    return (clock.now() - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def emit(w: World, *namespaces: str) -> None:
    for namespace in namespaces:
        w.sandbox.clusters["us-west1"].create_object(EVENTS, namespace, back_off(namespace))


def token(w: World, name: str, *workspaces: Workspace) -> Path:
    """Return the file of a token that may write Events to ``workspaces`` and nothing else."""
    identity = Identity(name, frozenset({"get", "create", "update"}), frozenset(each.logical for each in workspaces))
    w.sandbox.kcp.identities[name] = identity
    (w.folder / name).write_text(f"{name}\n", encoding="utf-8")
    return w.folder / name


async def test_each_workspace_is_written_to_by_its_own_identity_which_may_do_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        shop, team = (w.sandbox.kcp.workspaces[path] for path in ("root:shop", "root:team-a"))
        files = {"root:shop": token(w, "of-shop", shop), "root:team-a": token(w, "of-team", team)}
        w.configure(kcp=_by_tokens(w, files))
        emit(w, "web", "jobs")
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: bool(shop.events() and team.events()))
            code, _, err = await finish(process)
        assert code == 0, err
        managers = {event["metadata"]["managedFields"][0]["manager"] for event in shop.events() + team.events()}
        assert managers == {"batcher"}


async def test_an_identity_that_is_not_the_workspaces_own_writes_nothing_there(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        shop, team = (w.sandbox.kcp.workspaces[path] for path in ("root:shop", "root:team-a"))
        of_shop = token(w, "of-shop", shop)
        w.configure(kcp=_by_tokens(w, {"root:shop": of_shop, "root:team-a": of_shop}))
        emit(w, "web", "jobs")
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: bool(shop.events()))
            code, _, err = await finish(process)
        assert code == 0, err
        assert team.events() == []


def _by_tokens(w: World, files: Mapping[str, Path]) -> dict[str, Any]:
    workspaces = [{"path": path, "tokenFile": str(file)} for path, file in files.items()]
    return {"kubeconfig": str(w.folder / "kubeconfig"), "context": "root:shop", "workspaces": workspaces}


async def test_with_an_apiexport_who_accepts_is_told_at_once_or_when_he_does_and_who_refuses_never(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        kcp = w.sandbox.kcp
        provider = kcp.add_workspace("root:provider")
        shop, team, late = kcp.workspaces["root:shop"], kcp.workspaces["root:team-a"], kcp.add_workspace("root:late")
        late.create_namespace("late")
        kcp.publish_export("root:provider", "events")
        kcp.bind("root:shop", "root:provider", "events")
        kcp.bind("root:team-a", "root:provider", "events", accepted=False)
        kcp.identities["provider"] = Identity("sa", frozenset({"list", "content"}), frozenset({provider.logical}))
        write_kubeconfig(tmp_path / "provider", {"provider": provider.url}, "provider")
        w.configure(
            kcp={"apiExport": {"kubeconfig": str(tmp_path / "provider"), "context": "provider", "name": "events"}},
            mapping={"rules": [
                {"namespace": "web", "workspace": "root:shop"},
                {"namespace": "jobs", "workspace": "root:team-a"},
                {"namespace": "late", "workspace": "root:late"},
            ]},
        )  # fmt: skip
        emit(w, "web", "jobs", "late")
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: bool(shop.events()))
            assert late.events() == []
            kcp.bind("root:late", "root:provider", "events")
            await until(lambda: bool(late.events()))
            code, _, err = await finish(process)
        assert code == 0, err
        assert team.events() == []
        (found,) = shop.events()
        assert found["metadata"]["labels"]["kcp.io/workspace"] == shop.logical
        assert found["metadata"]["annotations"]["kcp.io/workspace-path"] == "root:shop"
