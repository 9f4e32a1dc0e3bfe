"""``batcher run`` under a flood: what a workspace sees of it when sources are limited, and when summaries fold."""

import re
from pathlib import Path

from batcher.sandbox.cluster import Workspace
from batcher.sandbox.resources import EVENTS
from tests.called import called
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, told, until, world


def flood(w: World) -> Workspace:
    """Twenty Pods back off, three times each; return the workspace that is told."""
    for number in range(20):
        w.sandbox.clusters["us-west1"].create_object(EVENTS, "web", back_off("web", f"job-{number}"))
    return w.sandbox.kcp.workspaces["root:shop"]


async def run_until_all_is_told(w: World, shop: Workspace) -> None:
    async with batcher("run", "--config", str(w.config)) as process:
        await until(lambda: told(shop.events()) == 60)
        code, _, err = await finish(process)
    assert code == 0, err
    code, out, _ = await called("verify", "--deep", "--data-dir", str(w.directory.root))
    assert code == 0, out


async def test_what_a_source_reports_beyond_its_limit_is_told_by_its_number(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(limit={"maxEventsPerMinute": 1})
        shop = flood(w)
        await run_until_all_is_told(w, shop)
        assert w.totals()["limited"] >= 18  # a minute may turn while the cluster is listed
        (event,) = [event for event in shop.events() if event["reason"] == "EventsSuppressed"]
    assert re.fullmatch(
        r"\[us-west1\] (54|57) Warning events of kubelet not shown since \d\d:\d\dZ \(limit 1 a minute\); "
        "none lost, all are in the archive",
        event["message"],
    )
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Namespace", "namespace": "web", "name": "web"}
    assert (event["type"], event["source"]) == ("Normal", {"component": "us-west1/batcher"})


async def test_what_is_beyond_the_first_summaries_is_told_in_one(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(aggregation={"maxAggregatedEvents": 5})
        shop = flood(w)
        await run_until_all_is_told(w, shop)
        assert len(shop.events()) == 6
        (event,) = [event for event in shop.events() if event["involvedObject"]["kind"] == "Namespace"]
    assert re.fullmatch(
        r"\[us-west1\] BackOff x45 of 15 objects since \d\d:\d\dZ, too many in one hour for an Event each: "
        "Back-off restarting failed container",
        event["message"],
    )
    assert event["metadata"]["annotations"]["batcher.kcp.io/objects"] == "15"
