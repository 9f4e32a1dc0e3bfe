"""Who answers: the same cluster, the same one as it was yesterday, or another."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from batcher.sandbox import Cluster
from batcher.spool import Kind, Section, Stream
from tests.virtual_time import in_virtual_time
from tests.watch.watched import Sink, sandboxed, watched, watching


@in_virtual_time
async def test_19_a_restored_cluster_is_listed_as_a_new_incarnation_and_what_follows_is_heard(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("before-the-backup")
        backup = w.cluster.latest_revision
        for name in ("lost-1", "lost-2", "lost-3"):
            w.event(name)
        await w.heard("lost-3")
        w.cluster.restore(backup)
        w.event("after-the-restore")
        await w.heard("after-the-restore")
        w.event("and-on")
        await w.heard("and-on")
        first, second = Stream(w.cluster.uid, "events"), Stream(w.cluster.uid, "events", incarnation=1)
        assert w.sink.cursors == {second: str(w.cluster.latest_revision)}
        brought = {s.stream for s in w.sink.sections if b"after-the-restore" in s.body}
        assert (brought, {s.stream for s in w.sink.sections}) == ({second}, {first, second})


@in_virtual_time
async def test_19_versions_that_went_back_while_nobody_watched_are_noticed_at_the_start(tmp_path: Path) -> None:
    async with watched(tmp_path, cursors={"events": "4711"}) as w:
        w.event("small-version")
        await w.heard("small-version")
        assert w.status.lists == 1
        assert [stream.incarnation for stream in w.sink.cursors] == [1]


@in_virtual_time
async def test_19_a_crash_between_noticing_and_listing_begins_the_same_incarnation(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster:
        old, new = Stream(cluster.uid, "events"), Stream(cluster.uid, "events", incarnation=1)
        for left in ({old: "4711"}, {old: "4711", new: "0"}, {new: "0", old: "4711"}, {new: "0"}):
            sink = Sink([Section(stream, "us-west1", Kind.CURSOR, cursor) for stream, cursor in left.items()])
            async with watching(cluster, tmp_path, sink=sink) as w:
                await w.connected()
                assert list(w.sink.cursors) == [new]


@in_virtual_time
async def test_19_another_cluster_at_the_address_is_another_stream_and_the_first_keeps_its_cursor(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path) as w:
        w.event("theirs")
        await w.heard("theirs")
        first, cursor = w.status.uid, w.sink.cursor()
        w.cluster.replace()
        await w.until(lambda: w.status.uid != first)
        w.event("ours")
        await w.heard("ours")
        assert {s.stream.cluster_uid for s in w.sink.sections if b'"ours"' in s.body} == {w.cluster.uid}
        assert w.sink.cursors[Stream(first, "events")] == cursor


@in_virtual_time
async def test_19_an_address_that_flips_between_clusters_is_no_hot_loop(tmp_path: Path) -> None:
    def flip(path: str, _: object) -> None:
        if path.endswith("kube-system"):
            cluster.replace()

    async with sandboxed(tmp_path) as cluster, watching(cluster, tmp_path, on_ask=flip) as w:
        await asyncio.sleep(600)
        assert 10 < w.status.restarts < 100


@in_virtual_time
async def test_a_new_stream_begins_in_the_latest_incarnation_of_its_cluster(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster:
        known = Stream(cluster.uid, "events", "web", incarnation=2)
        sink = Sink([Section(known, "us-west1", Kind.CURSOR, "1")])
        async with watching(cluster, tmp_path, sink=sink) as w:
            await w.connected()
            assert set(w.sink.cursors) == {known, Stream(cluster.uid, "events", incarnation=2)}


@in_virtual_time
async def test_two_streams_of_a_restored_cluster_both_go_on(tmp_path: Path) -> None:
    def before(cluster: Cluster) -> None:
        cluster.create_namespace("jobs")

    async with watched(tmp_path, before=before, namespaces=("web", "jobs")) as w:
        await w.connected()
        backup = w.cluster.latest_revision
        for count in (1, 2, 3):
            w.event("a", count)
            w.event("b", count, namespace="jobs")
        await w.until(lambda: {("ADDED", "a", 1), ("MODIFIED", "b", 3)} <= set(w.sink.delivered()))
        w.cluster.restore(backup)
        w.event("c")
        w.event("d", namespace="jobs")
        await w.heard("c", "d")
        assert sorted((stream.scope, stream.incarnation) for stream in w.sink.cursors) == [("jobs", 1), ("web", 1)]


@in_virtual_time
async def test_that_there_is_a_new_incarnation_is_on_disk_before_it_is_listed(tmp_path: Path) -> None:
    def stall_lists(_: str, params: Mapping[str, str]) -> None:
        if params.get("limit") == "500":
            cluster.faults = replace(cluster.faults, stall=frozenset({"list"}))

    async with sandboxed(tmp_path) as cluster:
        sink = Sink([Section(Stream(cluster.uid, "events"), "us-west1", Kind.CURSOR, "4711")])
        async with watching(cluster, tmp_path, sink=sink, on_ask=stall_lists) as w:
            await w.until(lambda: w.status.phase == "listing")
            assert w.sink.cursors == {Stream(cluster.uid, "events", incarnation=1): "0"}


@in_virtual_time
async def test_a_cluster_that_is_restored_twice_has_a_third_incarnation(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.connected()
        backup = w.cluster.latest_revision
        for incarnation in (1, 2):
            for count in range(1, 9):
                w.event(f"of-{incarnation}", count)
            await w.until(lambda: w.sink.cursor() == str(w.cluster.latest_revision))
            w.cluster.restore(backup)
            await w.until(lambda wanted=incarnation: [s.incarnation for s in w.sink.cursors] == [wanted])  # type: ignore[misc]
            await w.connected()
