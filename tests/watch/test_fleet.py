"""Clusters that come, go and change while others are watched; several namespaces; several resources."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec

from batcher.connect import connect
from batcher.sandbox import Answer, Cluster, Sandbox
from batcher.sandbox.manual_clock import ManualClock
from batcher.spool import Stream
from batcher.watch import ClusterSpec, Fleet
from tests.virtual_time import in_virtual_time
from tests.watch.watched import NOW, Recorded, Sink, Watched, sandboxed, watched, watching


def again(w: Watched, folder: Path, namespaces: tuple[str, ...] = ()) -> ClusterSpec:
    """The same cluster with another connection, as a changed configuration makes it."""
    connection = connect(name="x", kubeconfig=folder / "kubeconfig", context="us-west1")
    return replace(w.spec, connection=connection, namespaces=namespaces)


@in_virtual_time
async def test_a_cluster_that_goes_is_watched_no_more_and_forgotten(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.connected()
        w.fleet.apply([])
        await w.until(lambda: not w.fleet.statuses.all)
        w.event("unheard")
        await asyncio.sleep(600)
        assert w.sink.names() == []


@in_virtual_time
async def test_a_cluster_that_comes_back_resumes_from_its_cursor(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("a")
        await w.heard("a")
        w.fleet.apply([])
        await w.until(lambda: not w.fleet.statuses.all)
        w.event("b")
        w.fleet.apply([again(w, tmp_path)])
        await w.heard("b")
        assert w.sink.names() == ["a", "b"]
        assert w.status.lists == 0


@in_virtual_time
async def test_a_cluster_that_did_not_change_goes_on_undisturbed(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.connected()
        asked = len(w.asked)
        for _ in range(5):
            w.fleet.apply([w.spec])
            await asyncio.sleep(1)
        assert (len(w.asked), w.status.phase) == (asked, "connected")


@in_virtual_time
async def test_a_cluster_whose_namespaces_change_is_watched_anew(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.cluster.create_namespace("jobs")
        await w.connected()
        w.fleet.apply([again(w, tmp_path, namespaces=("jobs",))])
        w.event("of-web")
        w.event("of-jobs", namespace="jobs")
        await w.heard("of-jobs")
        assert w.sink.cursors.keys() == {Stream(w.cluster.uid, "events"), Stream(w.cluster.uid, "events", "jobs")}


@in_virtual_time
async def test_only_the_configured_namespaces_are_watched(tmp_path: Path) -> None:
    def before(cluster: Cluster) -> None:
        for name in ("jobs", "secret"):
            cluster.create_namespace(name)

    async with watched(tmp_path, before=before, namespaces=("web", "jobs")) as w:
        for namespace in ("web", "jobs", "secret"):
            w.event(f"in-{namespace}", namespace=namespace)
        await w.heard("in-web", "in-jobs")
        await asyncio.sleep(600)
        assert "in-secret" not in w.sink.names()
        assert {path for path, _ in w.asked if path.endswith("events")} == {
            "/api/v1/namespaces/web/events", "/api/v1/namespaces/jobs/events",
        }  # fmt: skip


@in_virtual_time
async def test_namespaces_are_listed_and_watched_as_events_are(tmp_path: Path) -> None:
    async with watched(tmp_path, namespaces=("web",), resources=("events", "namespaces")) as w:
        await w.connected()
        w.cluster.create_namespace("shop", annotations={"kcp.io/cluster": "x"})
        w.cluster.delete_namespace("shop")
        w.event("e")
        await w.heard("e", "shop")
        stream = Stream(w.cluster.uid, "namespaces")
        lines = [line for s in w.sink.sections if s.stream == stream for line in s.body.splitlines()]
        brought = [(line.get("type", "LISTED"), line.get("object", line)["metadata"]["name"]) for line in map(
            msgspec.json.decode, lines)]  # fmt: skip
        assert ("LISTED", "web") in brought
        assert next(kind for kind, name in brought if name == "shop") == "ADDED"
        assert brought[-1] == ("DELETED", "shop")


@in_virtual_time
async def test_a_stream_that_fails_shows_though_others_of_its_cluster_work(tmp_path: Path) -> None:
    async with watched(tmp_path, resources=("events", "namespaces")) as w:
        await w.connected()
        w.cluster.faults = replace(w.cluster.faults, answers=(Answer(403, "watch", times=1),), ends=1)
        await w.until(lambda: "403" in w.status.last_error)
        await asyncio.sleep(5)
        assert w.status.phase == "waiting"
        await w.connected()
        assert w.status.last_error == ""


@in_virtual_time
async def test_one_bad_cluster_never_slows_another(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster, watching(cluster, tmp_path) as w:
        bad = connect(name="bad", kubeconfig=tmp_path / "kubeconfig", context="us-west1")
        bad.server = "http://127.0.0.1:9"
        w.fleet.apply([w.spec, ClusterSpec("bad", bad)])
        w.event("a")
        await w.heard("a", seconds=5)
        await w.until(lambda: w.fleet.statuses["bad"].phase == "waiting")
        assert w.status.restarts == 0


@in_virtual_time
async def test_no_more_lists_run_at_once_than_the_clusters_can_bear(tmp_path: Path) -> None:
    at_once: list[int] = []
    names = [f"c{index}" for index in range(12)]

    def note(_: str, params: object) -> None:
        if params == {"limit": "500"}:
            at_once.append(sum(fleet.statuses[name].phase == "listing" for name in names))

    async with Sandbox(names, {}, now=ManualClock(NOW)) as sandbox:
        sandbox.write_kubeconfig(tmp_path / "kubeconfig")
        specs = [
            ClusterSpec(name, Recorded(connect(name=name, kubeconfig=tmp_path / "kubeconfig", context=name), note))
            for name in names
        ]
        fleet = Fleet(specs, sink=Sink(), cursors=dict, now=lambda: NOW)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(fleet.run())
            async with asyncio.timeout(600):
                while any(fleet.statuses[name].phase != "connected" for name in names):
                    await asyncio.sleep(0.05)
            running.cancel()
        assert len(at_once) == len(names)
        assert max(at_once) <= 4


@in_virtual_time
async def test_31_the_status_tells_the_truth_through_a_silence_an_outage_and_a_return(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("a")
        await w.heard("a")
        await w.connected()
        assert (w.status.last_event_at, w.status.last_contact_at) == (NOW, NOW)
        w.now.advance(timedelta(minutes=10))
        await asyncio.sleep(90)
        assert (w.status.last_event_at, w.status.last_contact_at) == (NOW, NOW + timedelta(minutes=10))
        w.cluster.faults = replace(w.cluster.faults, drop=frozenset({"get", "list", "watch"}), ends=1)
        await w.until(lambda: w.status.phase == "waiting")
        w.now.advance(timedelta(minutes=10))
        await asyncio.sleep(300)
        assert w.status.last_contact_at == NOW + timedelta(minutes=10)
        assert (w.status.restarts > 5, "ServerDisconnectedError" in w.status.last_error) == (True, True)
        w.cluster.faults = replace(w.cluster.faults, drop=frozenset())
        w.event("b")
        await w.heard("b")
        assert (w.status.phase, w.status.last_error) == ("connected", "")
        assert w.status.last_event_at == NOW + timedelta(minutes=20)


@in_virtual_time
async def test_31_what_happened_before_a_cluster_is_begun_again_still_counts(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("a")
        await w.heard("a")
        await asyncio.sleep(5)  # one that ends at once with nothing counts as expired
        lists, uid = w.status.lists, w.status.uid
        w.cluster.replace()
        await w.until(lambda: w.status.uid != uid)
        await w.connected()
        assert (w.status.lists, w.status.restarts, w.status.last_event_at) == (lists + 1, 1, NOW)


@in_virtual_time
async def test_09_a_token_that_is_wrong_from_the_start_is_read_again_until_it_is_right(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster:
        old = next(iter(cluster.identities))
        cluster.identities["rotated"] = cluster.identities.pop(old)
        async with watching(cluster, tmp_path) as w:
            await w.until(lambda: "401" in w.status.last_error)
            kubeconfig = tmp_path / "kubeconfig"
            kubeconfig.write_text(kubeconfig.read_text().replace(old, "rotated"))
            w.event("a")
            await w.heard("a", seconds=60)
