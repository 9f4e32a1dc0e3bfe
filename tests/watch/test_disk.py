"""What a watch does when the disk, or the process, fails: between receive, write, fsync and the move of a cursor."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from batcher.errors import DataDirError
from batcher.spool import Kind
from tests.virtual_time import in_virtual_time
from tests.watch.watched import Sink, sandboxed, watching

STEPS = 12


@pytest.mark.parametrize("lasts", range(STEPS))
def test_24_whatever_reached_the_disk_before_a_crash_nothing_is_lost_after_it(tmp_path: Path, lasts: int) -> None:
    """The first process loses all but its first ``lasts`` sections; the next resumes from those."""

    @in_virtual_time
    async def promise() -> None:
        async with sandboxed(tmp_path) as cluster:
            first = Sink()
            async with watching(cluster, tmp_path, sink=first) as w:
                for name in ("a", "b"):
                    w.event(name)
                await w.heard("a", "b")
                for index in range(STEPS):
                    w.event(f"e{index}")
                    await w.heard(f"e{index}")
            survived = Sink(first.sections[:lasts])
            async with watching(cluster, tmp_path, sink=survived) as w:
                w.event("after")
                await w.heard("after")
                assert set(survived.names()) == {"a", "b", "after", *(f"e{index}" for index in range(STEPS))}

    promise()


@in_virtual_time
async def test_24_a_crash_between_the_pages_of_a_list_lists_again(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster:
        for index in range(600):
            cluster.create_event({"metadata": {"name": f"e{index:03}", "namespace": "web"}})
        whole = Sink()
        async with watching(cluster, tmp_path, sink=whole) as w:
            await w.connected()
        half = Sink(whole.sections[:1])
        assert [half.kinds(), half.cursors] == [[Kind.LISTED], {}]
        async with watching(cluster, tmp_path, sink=half) as w:
            await w.connected()
            assert set(half.names()) == set(whole.names())


@in_virtual_time
async def test_25_a_disk_that_takes_nothing_stops_the_reading_and_loses_nothing(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster, watching(cluster, tmp_path) as w:
        await w.connected()
        w.sink.full = True
        for index in range(50):
            w.event(f"e{index:02}")
            await asyncio.sleep(1)
        assert w.sink.names() == []
        w.sink.full = False
        await w.heard("e49")
        assert sorted(w.sink.names()) == [f"e{index:02}" for index in range(50)]
        assert w.status.restarts == 0


@in_virtual_time
async def test_25_a_disk_that_failed_ends_the_watch_and_says_so(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster:
        with pytest.raises(BaseExceptionGroup) as ended:
            async with watching(cluster, tmp_path, sink=Sink(lasts=2)) as w:
                w.event("a")
                w.event("b")
                await asyncio.sleep(3600)
        assert ended.group_contains(DataDirError, match="the disk failed")


@in_virtual_time
async def test_nothing_is_asked_for_from_a_cursor_that_is_not_on_disk_yet(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster, watching(cluster, tmp_path) as w:
        w.event("a")
        await w.heard("a")
        await asyncio.sleep(15)
        w.sink.behind = True
        w.cluster.faults = replace(w.cluster.faults, ends=1)
        asked = len(w.asked)
        await asyncio.sleep(60)
        assert len(w.asked) == asked
        w.sink.behind = False
        w.event("b")
        await w.heard("b", seconds=5)


@in_virtual_time
async def test_a_clean_end_after_a_failure_long_ago_is_followed_at_once(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster, watching(cluster, tmp_path) as w:
        await w.connected()
        w.cluster.faults = replace(w.cluster.faults, resets=1)
        w.event("a")
        await w.heard("a")
        await asyncio.sleep(60)
        asked = len(w.asked)
        w.cluster.faults = replace(w.cluster.faults, ends=1)
        await asyncio.sleep(0.3)
        assert len(w.asked) == asked + 3
