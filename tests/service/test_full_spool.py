"""A spool at its bound, which one frame can be larger than: reading stops, and goes on."""

import asyncio
from pathlib import Path

from batcher import clock, settings
from batcher.service import opened
from batcher.verify import verify
from tests.service.world import script, until, world


async def test_a_spool_that_is_full_when_nothing_is_left_to_do_is_retired_all_the_same(tmp_path: Path) -> None:
    stop = asyncio.Event()
    async with world(tmp_path) as w:
        w.configure(spool={"maxBytes": 4096})
        w.happen(script(400))
        loaded = settings.load(w.config, {})
        with opened(loaded, now=clock.now) as service:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop))
                for part in range(2):
                    w.happen(script(400, seed=part + 2))
                    await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
                await until(lambda: service.status.spool_trouble == "")
                stop.set()
        assert [check.name for check in verify(w.directory, w.directory.archive) if not check.ok] == []
