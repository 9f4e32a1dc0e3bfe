"""Ending as told: what is received is committed, and the next start goes on from there."""

import asyncio
from pathlib import Path

from batcher import clock, settings
from batcher.service import Service, opened
from batcher.spool.log import Log
from batcher.spool.position import START, Place
from batcher.verify import verify
from tests.service.world import World, script, until, world


def connected(service: Service) -> bool:
    return all(cluster.watch == "connected" for cluster in service.status.clusters)


def spooled(w: World) -> int:
    """How many lines of Events the spool holds."""
    log = Log(w.directory.spool, w.directory.quarantine)
    return sum(section.lines for _, sections in log.read(START, Place(10**6, 0)) for section in sections)


async def test_26_ending_as_told_commits_all_that_is_on_disk_and_the_next_start_loses_nothing(tmp_path: Path) -> None:
    happenings = script(400)
    async with world(tmp_path) as w:
        loaded = settings.load(w.config, {})
        for first in range(0, 400, 100):
            stop = asyncio.Event()
            with opened(loaded, now=clock.now) as service:
                async with asyncio.TaskGroup() as group:
                    group.create_task(service.run(stop))
                    await until(lambda running=service: connected(running))  # type: ignore[misc]
                    w.happen(happenings[first : first + 100])
                    await until(lambda seen=first: w.totals().get("received", 0) > seen)  # type: ignore[misc]
                    stop.set()
                assert service.status.totals["received"] == spooled(w)
        with opened(loaded, now=clock.now) as service:
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop))
                await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
                stop.set()
        assert [check.name for check in verify(w.directory, w.directory.archive) if not check.ok] == []


async def test_all_that_is_on_disk_is_committed_at_the_end_also_where_frames_do_not_fill_a_batch(
    tmp_path: Path,
) -> None:
    happenings = script(400)
    async with world(tmp_path) as w:
        w.configure(batch={"interval": "10m", "maxRows": 100})
        stop = asyncio.Event()
        with opened(settings.load(w.config, {}), now=clock.now) as service:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop))
                await until(lambda: connected(service))
                for end in range(80, 401, 80):
                    w.happen(happenings[end - 80 : end])
                    await until(lambda lines=end: spooled(w) == lines)  # type: ignore[misc]
                stop.set()
            assert service.status.totals["received"] == 400
