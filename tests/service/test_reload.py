"""A configuration that changes under a running service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from batcher import clock, settings
from batcher.errors import ConfigError
from batcher.sandbox import Cluster
from batcher.service import Service, opened, reload
from batcher.spool import Stream
from tests.service.world import World, script, until, world


def load(w: World) -> settings.Settings:
    return settings.load(w.config, {})


@contextlib.asynccontextmanager
async def serving(w: World) -> AsyncIterator[Service]:
    stop = asyncio.Event()
    with opened(load(w), now=clock.now) as service:
        async with asyncio.TaskGroup() as group:
            group.create_task(service.run(stop))
            yield service
            stop.set()


def connected(service: Service) -> set[str]:
    return {cluster.name for cluster in service.status.clusters if cluster.watch == "connected"}


def configured(w: World, **changes: Any) -> dict[str, Any]:
    w.configure(**changes)
    document: dict[str, Any] = yaml.safe_load(w.config.read_text())
    return document


def clusters(w: World, *names: str) -> list[dict[str, str]]:
    return [{"name": name, "kubeconfig": str(w.folder / "kubeconfig"), "context": name} for name in names]


async def test_clusters_come_and_go_without_a_restart_and_without_losing_an_event(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        configured(w, clusters=clusters(w, "us-west1"))
        async with serving(w) as service:
            w.happen(script(200))
            await until(lambda: service.status.clusters[0].watch == "connected")
            for names in (["us-west1", "ap-south1"], ["ap-south1"], list(w.sandbox.clusters)):
                configured(w, clusters=clusters(w, *names))
                reload(service, lambda: load(w))
                await until(lambda wanted=set(names): connected(service) == wanted)  # type: ignore[misc]
            w.happen(script(300)[200:])
            await until(lambda: service.status.totals["occurrences"] == w.emitter.occurrences)
            assert sorted(c.name for c in service.status.clusters) == sorted(w.sandbox.clusters)


async def test_a_bad_file_keeps_the_old_one_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w, serving(w) as service:
        w.config.write_text("clusters: 7\n", encoding="utf-8")
        reload(service, lambda: load(w))
        assert "clusters: " in service.status.config_trouble
        w.happen(script(20))
        await until(lambda: service.status.totals["occurrences"] == w.emitter.occurrences)
        w.configure()
        reload(service, lambda: load(w))
        assert service.status.config_trouble == ""


async def test_a_cluster_that_cannot_be_reached_as_configured_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w, serving(w) as service:
        before = [c.name for c in service.status.clusters]
        configured(w, clusters=[*clusters(w, "us-west1"), {"name": "new", "kubeconfig": str(tmp_path / "absent")}])
        reload(service, lambda: load(w))
        assert "absent" in service.status.config_trouble
        assert [c.name for c in service.status.clusters] == before


async def test_what_only_a_restart_can_change_is_refused_by_name(tmp_path: Path) -> None:
    async with world(tmp_path) as w, serving(w) as service:
        w.configure(dataDir=str(tmp_path / "elsewhere"), archive={"path": str(tmp_path / "other"), "interval": "1s"})
        with pytest.raises(ConfigError) as refused:
            service.apply(load(w))
        assert refused.value.problems == [
            "dataDir: changes only with a restart", "archive.path: changes only with a restart",
        ]  # fmt: skip


async def test_rules_hold_from_the_next_batch_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.configure(mapping={"rules": []})
        async with serving(w) as service:
            w.happen(script(100))
            await until(lambda: service.status.totals["occurrences"] == w.emitter.occurrences)
            assert service.status.totals["kept"] == 0
            w.configure()
            reload(service, lambda: load(w))
            w.happen(script(200)[100:])
            await until(lambda: service.status.totals["occurrences"] == w.emitter.occurrences)
            assert service.status.totals["kept"] > 0


async def test_what_waits_for_kcp_is_written_as_the_newest_configuration_says(tmp_path: Path) -> None:
    async with world(tmp_path) as w, serving(w) as service:
        kcp = w.sandbox.kcp
        kcp.faults = replace(kcp.faults, drop=frozenset({"create"}))
        w.happen(script(20))
        await until(lambda: service.status.pending_writes > 0)
        w.configure(transform={"addLabels": {"team": "sre"}})
        reload(service, lambda: load(w))
        await service.settled()
        kcp.faults = replace(kcp.faults, drop=frozenset())
        await until(lambda: w.told() > 0 and service.status.pending_writes == 0)
        events = [event for workspace in kcp.workspaces.values() for event in workspace.events()]
        ours = [event["metadata"]["labels"] for event in events if "labels" in event["metadata"]]
        assert {labels["team"] for labels in ours} == {"sre"}


async def test_an_audit_is_told_what_no_batch_has_counted(tmp_path: Path) -> None:
    async with world(tmp_path) as w, serving(w) as service:
        w.happen(script(50))
        await until(lambda: service.status.totals["occurrences"] == w.emitter.occurrences)
        cluster = w.sandbox.clusters["us-west1"]
        counted = bodies(cluster)
        cluster.lose(1)
        cluster.create_event({"metadata": {"name": "never-sent", "namespace": "web"}, "reason": "R"})
        items = bodies(cluster)
        missing = await service.missing(Stream(cluster.uid, "events"), [b"not json", *items])
        assert [b'"never-sent"' in item for item in missing] == [True]
        assert set(items) - set(counted) == set(missing)


def bodies(cluster: Cluster) -> list[bytes]:
    return [msgspec.json.encode(event) for event in cluster.events()]
