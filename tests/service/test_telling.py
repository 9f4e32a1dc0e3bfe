"""What a running service says of itself for alerts and the dashboard."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from batcher import clock, settings
from batcher.service import opened
from tests.service.world import script, until, world


async def test_a_service_tells_of_its_batches_its_writes_and_how_large_the_spool_may_be(tmp_path: Path) -> None:
    stop = asyncio.Event()
    async with world(tmp_path) as w:
        w.configure(spool={"maxBytes": "3Gi"})
        with opened(settings.load(w.config, {}), now=clock.now) as service:
            assert service.status.batched_at is None
            began = clock.now()
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop, settle=True))
                w.happen(script(60))
                await until(lambda: w.told() > 0)
                stop.set()
            told = service.status
    assert told.batched_at is not None
    assert told.batched_at >= began
    assert told.unpublished_since is None
    assert sum(told.batch_counts) == told.batch
    assert told.batch_seconds > 0
    assert told.gap_at is None
    assert told.spool_max_bytes == 3 * 2**30
    assert told.credentials == []
    assert sum(sum(workspace.counts) for workspace in told.workspaces) == told.totals["writes"]
    assert {workspace.name for workspace in told.workspaces} <= {"root:shop", "root:team-a"}


async def test_a_service_tells_when_the_tokens_of_clusters_and_workspaces_expire(tmp_path: Path) -> None:
    said = base64.urlsafe_b64encode(json.dumps({"exp": 1_800_000_000}).encode()).decode().rstrip("=")
    async with world(tmp_path) as w:
        kubeconfig = yaml.safe_load((tmp_path / "kubeconfig").read_text(encoding="utf-8"))
        kubeconfig["users"] = [{"name": user["name"], "user": {"token": f"h.{said}.s"}} for user in kubeconfig["users"]]
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
        with opened(settings.load(w.config, {}), now=clock.now) as service:
            credentials = service.status.credentials
    assert [(each.side, each.name, each.credential) for each in credentials] == [
        *(("cluster", name, "token") for name in w.sandbox.clusters),
        ("workspace", "kcp", "token"),
    ]
    assert {each.expires_at for each in credentials} == {datetime(2027, 1, 15, 8, tzinfo=UTC)}


async def test_a_service_tells_when_it_found_that_a_cluster_was_out_of_reach_for_too_long(tmp_path: Path) -> None:
    def much_later() -> datetime:
        return clock.now() + timedelta(hours=3)

    found: list[datetime | None] = []
    async with world(tmp_path) as w:
        for now in (clock.now, much_later):
            stop = asyncio.Event()
            with opened(settings.load(w.config, {}), now=now) as service:
                async with asyncio.TaskGroup() as group:
                    group.create_task(service.run(stop))
                    w.happen(script(30))
                    await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
                    stop.set()
                found.append(service.status.gap_at)
    before_it, after_it = found
    assert before_it is None
    assert after_it is not None
    assert after_it > clock.now() + timedelta(hours=2)
