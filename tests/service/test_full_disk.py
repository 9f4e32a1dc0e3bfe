"""A disk without space, under a running service: it says so, waits, and goes on."""

import asyncio
import errno
from pathlib import Path

from batcher import clock, disk, settings
from batcher.service import opened
from batcher.verify import verify
from tests.service.world import script, until, world


class Full(disk.System):
    """Takes no plan while it is full; the spool is on another one."""

    full = False
    refused = 0

    def open(self, path: Path, flags: int) -> int:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Open all but plans."""
        if self.full and path.name == "plan.json.tmp":
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().open(path, flags)


async def test_batches_wait_for_space_and_lose_no_outcome(tmp_path: Path) -> None:
    system, stop = Full(), asyncio.Event()
    async with world(tmp_path) as w:
        loaded = settings.load(w.config, {})
        with disk.using(system), opened(loaded, now=clock.now) as service:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop, settle=True))
                w.happen(script(60)[:30])
                await until(lambda: w.told() > 0)
                system.full = True
                w.happen(script(60)[30:])
                await until(lambda: service.status.spool_trouble != "")
                assert service.status.spool_trouble.startswith("No space left on device while writing batch ")
                assert not service.health().ready
                stalled, tries = service.status.batched_at, system.refused
                await until(lambda: system.refused > tries + 2)
                assert service.status.batched_at == stalled
                system.full = False
                await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
                await until(lambda: service.status.spool_trouble == "")
                assert stalled is not None
                await until(lambda: (service.status.batched_at or stalled) > stalled)
                stop.set()
        kept = sum(h.times for h in script(60) if h.regarding.namespace in {"web", "jobs"})
        assert w.told() == kept
        assert [check.name for check in verify(w.directory, w.directory.archive) if not check.ok] == []
