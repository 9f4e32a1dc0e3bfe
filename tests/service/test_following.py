"""A service that follows its configuration: the file, however it is replaced, and directories of kubeconfigs."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import structlog
import yaml

from batcher import clock, disk, settings
from batcher.archive import scan
from batcher.batch import DataDirectory
from batcher.batch.process import latest
from batcher.batch.requests import Kind, asked
from batcher.sandbox.resources import EVENTS
from batcher.service import Service, serve
from batcher.service.opening import opened
from batcher.service.wiring import rules_of
from batcher.status import read_status, samples
from batcher.verify import verify
from tests.service.world import World, batcher, finish, script, until, world
from tests.settings.files import Mounted

Logs = list[structlog.typing.EventDict]


def load(w: World, path: Path | None = None) -> Callable[[], settings.Settings]:
    return lambda: settings.load(path or w.config, {})


@contextlib.asynccontextmanager
async def following(w: World, path: Path) -> AsyncIterator[Logs]:
    """A service that looks at the file at ``path`` all the time, and what it logs."""
    stop = asyncio.Event()
    with structlog.testing.capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            group.create_task(serve(load(w, path), path, stop=stop, now=clock.now, every=0.02))
            await until(lambda: any(line["event"] == "started" for line in logs))
            yield logs
            stop.set()


def said(logs: Logs, event: str) -> Logs:
    return [line for line in logs if line["event"] == event]


def text(w: World, **changes: Any) -> str:
    w.configure(**changes)
    return w.config.read_text(encoding="utf-8")


def kubeconfig(w: World, name: str) -> str:
    """A kubeconfig whose current context is the cluster ``name``."""
    document = yaml.safe_load((w.folder / "kubeconfig").read_text(encoding="utf-8"))
    return yaml.safe_dump(document | {"current-context": name})


async def test_a_config_map_that_is_swapped_is_noticed_and_a_bad_one_leaves_the_one_before(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        mounted = Mounted(tmp_path / "etc", {"batcher.yaml": text(w)})
        async with following(w, mounted.path / "batcher.yaml") as logs:
            mounted.swap({"batcher.yaml": text(w, routes=[{"name": "quiet", "to": ["archive"]}])})
            await until(lambda: len(said(logs, "configuration reloaded")) == 1)
            w.happen(script(50))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            assert w.totals()["archive_only"] == w.totals()["revisions"]
            mounted.swap({"batcher.yaml": "routes: 7\n"})
            await until(lambda: bool(said(logs, "configuration refused; the one before stays")))
            w.happen(script(100)[50:])
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            assert w.totals()["archive_only"] == w.totals()["revisions"]
            await until(lambda: refused(w) == 1)
            mounted.swap({"batcher.yaml": text(w)})
            await until(lambda: len(said(logs, "configuration reloaded")) == 2)
            await until(lambda: refused(w) == 0)
        assert len(said(logs, "configuration refused; the one before stays")) == 1


def refused(w: World) -> float:
    """The metric, as of the status that the service left last."""
    status = read_status(w.directory.root)
    return next(sample.value for sample in samples(status) if sample.name == "batcher_config_refused")


async def test_what_is_refused_for_a_file_that_comes_later_is_tried_again_without_another_word(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        late = tmp_path / "late.kubeconfig"
        async with following(w, w.config) as logs:
            w.configure(clusters=[{"name": "us-west1", "kubeconfig": str(late)}])
            await until(lambda: bool(said(logs, "configuration refused; the one before stays")))
            shutil.copy(tmp_path / "kubeconfig", late)
            late.write_text(kubeconfig(w, "us-west1"), encoding="utf-8")
            await until(lambda: bool(said(logs, "configuration reloaded")))
        assert len(said(logs, "configuration refused; the one before stays")) == 1


async def test_clusters_come_and_go_with_the_files_of_a_mounted_secret(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        names = list(w.sandbox.clusters)
        secret = Mounted(tmp_path / "clusters", {f"{names[0]}.kubeconfig": kubeconfig(w, names[0])})
        w.configure(clusters=[
            {"directory": str(secret.path), "defaults": {"labels": {"fleet": "edge"}}},
            {"name": names[1], "labels": {"region": "eu"}},
        ])  # fmt: skip
        async with following(w, w.config) as logs:
            assert said(logs, "started")[0]["clusters"] == 1
            assert said(logs, "started")[0]["feature_gates"] == ["AutomaticResync=true (Beta)"]
            assert [
                line["cluster"] for line in said(logs, "no directory has this cluster; its entry waits for it")
            ] == [names[1]]
            secret.swap({f"{name}.kubeconfig": kubeconfig(w, name) for name in names})
            await until(
                lambda: [line["clusters"] for line in said(logs, "configuration reloaded")][-1:] == [len(names)]
            )
            w.happen(script(200))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            secret.swap({f"{name}.kubeconfig": kubeconfig(w, name) for name in names[1:]})
            await until(lambda: said(logs, "configuration reloaded")[-1]["clusters"] == len(names) - 1)
            secret.swap({})
            await until(lambda: said(logs, "configuration reloaded")[-1]["clusters"] == 0)
        assert verified(w)


async def test_a_file_that_is_no_kubeconfig_leaves_out_its_own_cluster_only_and_comes_in_when_it_is_mended(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        one, other, _ = w.sandbox.clusters
        files = {f"{one}.kubeconfig": kubeconfig(w, one), f"{other}.kubeconfig": "clusters: ["}
        secret = Mounted(tmp_path / "clusters", files)
        w.configure(clusters=[{"directory": str(secret.path)}])
        stop = asyncio.Event()
        with opened(load(w)(), now=clock.now) as service:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop))
                await until(lambda: connected(service) == {one})
                assert f"{secret.path / other}.kubeconfig: not a kubeconfig" in service.status.config_trouble
                secret.swap(files | {f"{other}.kubeconfig": kubeconfig(w, other)})
                service.apply(load(w)())
                await until(lambda: connected(service) == {one, other})
                assert service.status.config_trouble == ""
                stop.set()


def connected(service: Service) -> set[str]:
    return {cluster.name for cluster in service.status.clusters if cluster.watch == "connected"}


async def test_a_sighup_reads_the_file_again_though_it_looks_as_before(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        async with batcher("run", "--config", str(w.config)) as process:
            await until((w.directory.root / "status.json").exists)
            process.send_signal(signal.SIGHUP)
            w.happen(script(20))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            code, _, err = await finish(process)
        assert code == 0, err
        assert "configuration reloaded" in err


STEPS: list[dict[str, Any]] = [
    {"routes": [
        {"name": "sre", "match": {"severity": ["warning"]}, "to": ["mapped", {"namespace": "default"}]},
    ]},
    {"clusters": [{"name": "us-west1", "kubeconfig": "kubeconfig", "context": "us-west1"}]},
    {"aggregation": {"window": "7m", "key": ["object", "type", "reason"]}},
    {"severity": {"critical": ["BackOff"]}, "publish": {"rewriteAfter": "100ms", "perWorkspacePerSecond": 5}},
    {"publish": {"minimumSeverity": "warning"}, "batch": {"interval": "100ms", "maxRows": 50}},
    {"transform": {"regarding": "object", "exposeNodes": True}},
    {},
]  # fmt: skip
"""What changes under load, one after the other; the last one is as it was before the first."""


async def test_reloading_under_load_loses_nothing_and_each_plan_says_by_which_rules_it_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with world(tmp_path) as w:
        stop, script_ = asyncio.Event(), script(1400)
        with structlog.testing.capture_logs() as logs, opened(load(w)(), now=clock.now) as service:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop, settle=True))
                await until(lambda: len(connected(service)) == 3)
                for number, changes in enumerate(STEPS):
                    w.happen(script_[200 * number : 200 * number + 100])
                    w.configure(**changes)
                    service.apply(load(w)())
                    w.happen(script_[200 * number + 100 : 200 * number + 200])
                    await until(lambda: plan_config(w.directory, service.status.batch) == in_use(service))
                await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
                digests = [plan_config(w.directory, commit.batch) for commit in w.directory.commits()]
                stop.set()
        assert [line["changed"] for line in logs if line["event"].startswith("rows are summed up otherwise")] == [
            *[["aggregation.key", "aggregation.window"]] * 2, ["transform.regarding"], ["transform.regarding"],
        ]  # fmt: skip
        assert len(set(digests)) == len(STEPS)
        summed_up, in_workspaces = summaries(w)
        assert summed_up == kept(w) > 0
        assert w.told() == in_workspaces > 0
        assert verified(w)


def summaries(w: World) -> tuple[int, int]:
    """Occurrences in all summaries that ever were: those where they are mapped, and those of workspaces in all."""
    columns = ("workspace", "origin", "occurrences")
    still = latest(w.directory)[1]["open_slots"].select(columns)
    slots = pl.concat([scan(w.directory.archive, "summaries").select(columns).collect(), still])
    return (
        int(slots.filter(pl.col("origin") == "")["occurrences"].sum()),
        int(slots.filter(pl.col("workspace") != "")["occurrences"].sum()),
    )


def kept(w: World) -> int:
    """Occurrences of rows that are told, or wait for somebody who is to be told."""
    rows = scan(w.directory.archive, "occurrences").filter(pl.col("verdict") != "archive-only")
    return int(rows.select(pl.sum("grew")).collect().item())


def plan_config(directory: DataDirectory, batch: int) -> str:
    """The digest of the rules of a batch, which are kept under it."""
    plan = directory.plan(batch)
    return plan.config if plan and directory.read_rules(plan.config) else ""


def in_use(service: Service) -> str:
    """The digest of the rules that the next plan is to have."""
    return disk.digest(msgspec.json.encode(rules_of(service.settings)))


def verified(w: World) -> bool:
    return [check for check in verify(w.directory, w.directory.archive) if not check.ok] == []


@pytest.mark.parametrize("open_", [True, False])
async def test_a_restored_kcp_is_answered_by_itself_only_while_the_gate_is_open(tmp_path: Path, *, open_: bool) -> None:
    async with world(tmp_path) as w:
        w.configure(featureGates={"AutomaticResync": open_})
        with opened(load(w)(), now=clock.now) as service:
            service._publisher._restored = {"root:shop"}
            assert service._restored() == ({"root:shop"} if open_ else set())
            assert service._restored() == set()


async def test_a_full_quarantine_stops_reading_the_cluster_that_fills_it_and_no_other(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        bad, good, _ = w.sandbox.clusters
        w.configure(quarantine={"maxBytes": 1000})
        stop = asyncio.Event()
        with opened(load(w)(), now=clock.now) as service:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop))
                await until(lambda: len(connected(service)) == 3)
                for number in range(5):
                    unusable(w, bad, f"x{number}")
                await until(lambda: service.status.totals["quarantined"] == 5)
                await until(lambda: service.status.quarantine_trouble != "")
                assert service.status.quarantine_trouble.endswith(
                    f"of 1000 (quarantine.maxBytes); not read: {bad}; see: batcher failed list"
                )
                unusable(w, bad, "later")
                w.sandbox.clusters[good].create_event(fine("good"))
                await until(lambda: service.status.totals["revisions"] == 1)
                await until(lambda: bad not in connected(service))
                assert service.status.totals["quarantined"] == 5
                w.configure(quarantine={"maxBytes": "1GiB"})
                service.apply(load(w)())
                await until(lambda: service.status.quarantine_trouble == "")
                stop.set()
        assert service.status.quarantine_bytes > 1000
        assert asked(w.directory, Kind.RETRY) == []
        assert verified(w)


def fine(name: str) -> dict[str, Any]:
    about = {"kind": "Pod", "namespace": "web", "name": "web-0"}
    return {"metadata": {"name": name, "namespace": "web"}, "involvedObject": about, "reason": "BackOff"}


def unusable(w: World, cluster: str, name: str) -> None:
    """An Event that no batch can count: its count is a text."""
    w.sandbox.clusters[cluster].put_raw(EVENTS, "web", name, fine(name) | {"count": "many" * 50})
