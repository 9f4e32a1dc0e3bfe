"""Hours of virtual time: an archive that is away, a clock that jumps."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batcher import disk
from batcher.archive import Deliverer, check_owner, scan
from batcher.batch import Batches, DataDirectory, Work
from batcher.errors import ArchiveError
from batcher.spool import Section
from batcher.spool.log import Log
from batcher.spool.writer import SpoolWriter
from batcher.verify import verify
from tests.faults.lives import Unsynced
from tests.history import RULES
from tests.sections import event, watched
from tests.virtual_time import in_virtual_time

NOON = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
SPOOL_BYTES = 12_000
SEGMENT_BYTES = SPOOL_BYTES // 8


class Away(Unsynced):
    """A disk whose ``archive`` cannot be reached for a while."""

    away = False

    def open(self, path: Path, flags: int) -> int:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Open what is not in the archive."""
        if self.away and "archive" in path.parts:
            raise OSError(errno.EIO, "Input/output error")
        return super().open(path, flags)


@dataclass
class Hours:
    """A spool, its batches and its archive, on the loop's time plus what the clock is wrong by."""

    root: Path
    disk: Away
    directory: DataDirectory
    log: Log
    batches: Batches
    writer: SpoolWriter
    deliverer: Deliverer
    told: int = 0
    """Groups that were accepted; each has one event of one occurrence, and one more of Pod a."""
    stamps: list[int] = field(default_factory=list)

    async def receive(self) -> None:
        """Take the next group when the spool does."""
        n = self.told + 1
        section: Section = watched(event("a", n, count=n), event(f"b{n}", n + 10_000), cursor=str(n))
        await self.writer.append(section)
        self.told = n

    def batch(self) -> None:
        """Run a batch over what is there."""
        cut = self.writer.cut(self.batches.end, 10_000)
        self.stamps.append(self.batches.next(Work(cut.end, cut.now, [])).now)

    def deliver(self) -> bool:
        """Deliver; say whether the archive was there."""
        try:
            through = self.deliverer.deliver(self.batches.undelivered)
        except ArchiveError:
            return False
        self.batches.delivered(through)
        self.log.retire(self.batches.retire())
        return True

    async def receive_for_ever(self) -> None:
        """Take a group every half minute."""
        while True:
            await self.receive()
            await asyncio.sleep(30)

    async def three_minutes(self, *, delivers: bool) -> int:
        """Let time pass, run a batch, deliver if it can be; return the bytes of the spool."""
        await asyncio.sleep(180)
        self.batch()
        assert self.deliver() is delivers
        return sum(path.stat().st_size for path in self.directory.spool.iterdir())

    def wrong(self) -> list[str]:
        """Say what is not as it happened."""
        rows = scan(self.root / "archive", "occurrences").select("resource_version", "grew").collect()
        truth = [*range(1, self.told + 1), *range(10_001, self.told + 10_001)]
        checks = [check.name for check in verify(self.directory, self.root / "archive") if not check.ok]
        revisions = [] if sorted(rows["resource_version"]) == truth else ["revisions"]
        return [*revisions, *checks, *([] if rows["grew"].sum() == 2 * self.told else ["occurrences"])]


@asynccontextmanager
async def hours(root: Path, error: Callable[[], timedelta] = timedelta) -> AsyncIterator[Hours]:
    loop = asyncio.get_running_loop()
    directory, system = DataDirectory(root / "data"), Away()
    with disk.using(system), directory.owned():
        check_owner(root / "archive", directory.id)
        log = Log(directory.spool, directory.quarantine, segment_bytes=SEGMENT_BYTES)
        batches = Batches(directory, log.read, RULES)
        batches.load()
        recovered = log.recover(batches.end)
        writer = SpoolWriter(
            log, recovered, now=lambda: NOON + timedelta(seconds=loop.time()) + error(), max_bytes=SPOOL_BYTES
        )
        deliverer = Deliverer(root / "archive", directory.staged, directory.id)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(writer.run())
            yield Hours(root, system, directory, log, batches, writer, deliverer)
            running.cancel()
        log.close()


@in_virtual_time
async def test_an_archive_that_is_away_for_an_hour_stops_no_batch_fills_no_disk_and_gets_everything_once(
    tmp_path: Path,
) -> None:
    async with hours(tmp_path) as h, asyncio.TaskGroup() as group:
        receiving = group.create_task(h.receive_for_ever())
        h.disk.away = True
        sizes = [await h.three_minutes(delivers=False) for _ in range(20)]
        assert h.batches.last.batch == 20
        assert h.batches.last.totals["occurrences"] == 2 * int(next(iter(h.log.cursors.values())))
        assert sizes[-2] == sizes[-1] < SPOOL_BYTES + 1000  # a frame is written, and then reading stops
        assert h.writer.trouble.startswith("spool: full at 12000 bytes")
        h.disk.away, before = False, h.told
        for _ in range(3):
            await h.three_minutes(delivers=True)
        assert (h.told > before + 6, h.writer.trouble) == (True, "")
        receiving.cancel()
        await h.writer.durable()
        await h.three_minutes(delivers=True)
        assert h.wrong() == []


@in_virtual_time
async def test_a_clock_that_jumps_an_hour_forward_and_back_moves_no_batch_backwards_and_no_total(
    tmp_path: Path,
) -> None:
    errors = iter([0, 0, 60, 60, 0, -60, -60, 0])
    error = timedelta()
    async with hours(tmp_path, lambda: error) as h:
        for minutes in errors:
            error = timedelta(minutes=minutes)
            await h.receive()
            await h.writer.durable()
            h.batch()
        assert h.deliver()
        assert h.stamps == sorted(h.stamps)
        received = scan(tmp_path / "archive", "occurrences").select("received_at", "position").collect()
        assert received.sort("position")["received_at"].is_sorted()
        assert h.wrong() == []
