"""``batcher run`` with routes: another workspace is told whose it was, and what is only archived is told to nobody."""

from pathlib import Path
from typing import Any

from tests.called import called
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, until, world


def node_trouble() -> dict[str, Any]:
    return {
        "metadata": {"name": "node-1.1", "namespace": "default"},
        "involvedObject": {"apiVersion": "v1", "kind": "Node", "namespace": "", "name": "node-1"},
        "reason": "SystemOOM", "message": "System OOM encountered", "type": "Warning", "count": 1,
    }  # fmt: skip


def emit(w: World) -> None:
    cluster = w.sandbox.clusters["us-west1"]
    for event in (back_off("web"), back_off("jobs"), node_trouble()):
        cluster.create_event(event)


async def test_each_route_that_matches_applies_and_whose_it_was_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        sre = w.sandbox.kcp.add_workspace("root:sre", ("default",))
        w.configure(routes=[
            {"name": "sre", "match": {"namespaces": ["web"]}, "to": ["mapped", {"workspace": "root:sre"}]},
            {"name": "critical", "match": {"severity": ["critical"]}, "to": [{"workspace": "root:sre"}]},
            {"name": "quiet", "match": {"workspaces": ["root:team-*"]}, "to": ["archive"]},
        ])  # fmt: skip
        emit(w)
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: len(sre.events()) == 2 and w.totals().get("revisions") == 3)
            code, _, err = await finish(process)
        assert code == 0, err
        shop, team = (w.sandbox.kcp.workspaces[path] for path in ("root:shop", "root:team-a"))
        assert [event["message"] for event in shop.events()] == ["[us-west1] Back-off restarting failed container"]
        assert team.events() == []
        node, pod = sorted(sre.events(), key=lambda event: event["reason"], reverse=True)
        assert pod["message"] == "[root:shop/web us-west1] Back-off restarting failed container"
        assert (pod["involvedObject"]["namespace"], pod["metadata"]["namespace"]) == ("default", "default")
        assert pod["metadata"]["annotations"]["batcher.kcp.io/regarding"] == "v1/Pod/web/web-0"
        assert pod["metadata"]["annotations"]["kcp.io/workspace-path"] == "root:shop"
        assert pod["metadata"].get("labels", {}).get("kcp.io/workspace") in {None, shop.logical}
        assert "uid" not in pod["involvedObject"]
        assert node["message"] == "[us-west1] System OOM encountered"
        assert w.totals()["archive_only"] == 1
        code, out, _ = await called("verify", "--deep", "--data-dir", str(w.directory.root))
        assert code == 0, out
