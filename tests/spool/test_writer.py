import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from batcher.clock import to_micros
from batcher.errors import DataDirError, Unavailable
from batcher.spool import Section
from batcher.spool.log import FrameEnd, Log
from batcher.spool.position import START
from batcher.spool.writer import BUFFER_BYTES, SpoolWriter
from tests.sections import lines
from tests.virtual_time import in_virtual_time

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class FlakyLog(Log):
    """Takes nothing while it has ``failures``: each append raises the next."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        for name in ("spool", "quarantine"):
            (folder / name).mkdir()
        super().__init__(folder / "spool", folder / "quarantine", segment_bytes=segment_bytes)
        self.failures: list[Exception] = []
        self.tried_at: list[float] = []
        self.loop = asyncio.get_running_loop()

    def append(self, sections: Sequence[Section]) -> FrameEnd:  # type: ignore[explicit-override]  # typing.override came with 3.12
        self.tried_at.append(round(self.loop.time(), 3))
        if self.failures:
            raise self.failures.pop(0)
        return super().append(sections)


class Spool:
    """A log, the writer to it, and the time that the writer reads."""

    def __init__(self, folder: Path, max_bytes: int = 1 << 30) -> None:
        self.now = NOON
        self.log = FlakyLog(folder, segment_bytes=max_bytes)
        self.writer = SpoolWriter(self.log, self.log.recover(START), now=lambda: self.now, max_bytes=max_bytes)

    def frames(self) -> list[list[Section]]:
        return [sections for _, sections in self.log.read(START, self.log.end)]

    async def write(self, *raw: bytes) -> None:
        """Have one group written."""
        await self.writer.append(lines(*raw))
        await self.writer.durable()


@asynccontextmanager
async def running(folder: Path, max_bytes: int = 1 << 30) -> AsyncIterator[Spool]:
    spool = Spool(folder, max_bytes)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(spool.writer.run())
        yield spool
        task.cancel()
    spool.log.close()


@in_virtual_time
async def test_what_many_append_within_100_ms_is_one_frame(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await asyncio.sleep(0.03)
        await asyncio.gather(*(spool.writer.append(lines(f"line {n}".encode())) for n in range(39)))
        await asyncio.sleep(0.08)
        await spool.writer.append(lines(b"line 39"))
        await spool.writer.durable()
        assert [[section.body for section in frame] for frame in spool.frames()] == [
            [f"line {n}\n".encode() for n in range(40)]
        ]
        assert spool.log.tried_at == [0.12]


@in_virtual_time
async def test_groups_are_written_just_after_the_ticks_at_which_watches_read(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        for at in (0.2, 0.4, 0.5, 0.61, 0.7):
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            await spool.writer.append(lines(b"line"))
        await spool.writer.durable()
        assert spool.log.tried_at == [0.22, 0.42, 0.52, 0.62, 0.72]


@in_virtual_time
async def test_nothing_is_written_while_nothing_is_appended(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await spool.write(b"line")
        await asyncio.sleep(3600)
        assert spool.log.tried_at == [0.02]


@in_virtual_time
async def test_256_lines_are_written_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await spool.write(*[b"line"] * 256)
        assert spool.log.tried_at == [0.0]
        await spool.write(*[b"line"] * 255)
        assert spool.log.tried_at == [0.0, 0.02]


@in_virtual_time
async def test_lines_that_become_256_are_written_at_once_and_the_next_wait_again(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await asyncio.sleep(0.05)
        await spool.writer.append(lines(b"line"))
        await spool.write(*[b"line"] * 255)
        await spool.write(b"line")
        assert spool.log.tried_at == [0.05, 0.12]


@in_virtual_time
async def test_durable_means_on_disk_and_nothing_appended_is_durable_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await spool.writer.durable()
        await spool.writer.append(lines(b"one"))
        assert spool.frames() == []
        await spool.writer.durable()
        assert len(spool.frames()) == 1


@in_virtual_time
async def test_more_lines_than_a_frame_can_number_become_two_frames(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await asyncio.gather(*(spool.writer.append(lines(*[b"x"] * 40_000)) for _ in range(2)))
        await spool.writer.durable()
        assert [sum(s.lines for s in frame) for frame in spool.frames()] == [40_000, 40_000]


@in_virtual_time
async def test_append_waits_while_too_much_is_not_on_disk(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        spool.log.failures = [Unavailable("full")] * 2
        await spool.writer.append(lines(bytes(BUFFER_BYTES).replace(b"\0", b"x")))
        waiting = asyncio.ensure_future(spool.writer.append(lines(b"next")))  # noqa: TID251  awaited below
        await asyncio.sleep(1.5)
        assert not waiting.done()
        await waiting
        assert asyncio.get_running_loop().time() == pytest.approx(2.02)
        await spool.writer.durable()
        assert [s.lines for frame in spool.frames() for s in frame] == [1, 1]


@in_virtual_time
async def test_a_disk_that_takes_nothing_is_tried_every_second_and_nothing_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        spool.log.failures = [Unavailable("spool: No space left on device"), Unavailable("still full")]
        await spool.writer.append(lines(b"line"))
        await asyncio.sleep(0.5)
        assert spool.writer.trouble == "spool: No space left on device"
        await spool.writer.durable()
        assert spool.writer.trouble == ""
        assert spool.log.tried_at == [0.02, 1.02, 2.02]
        assert [s.body for frame in spool.frames() for s in frame] == [b"line\n"]


@in_virtual_time
async def test_a_spool_at_its_bound_takes_nothing_until_segments_are_retired(tmp_path: Path) -> None:
    async with running(tmp_path, max_bytes=10) as spool:
        await spool.write(b"fits, because nothing was there before")
        await spool.write(b"fits, because a segment that is written could never be retired")
        await spool.writer.append(lines(b"next"))
        await asyncio.sleep(5)
        assert len(spool.frames()) == 2
        assert spool.writer.trouble.startswith("spool: full at 10 bytes (spool.maxBytes)")
        spool.writer._max_bytes = 1000
        await spool.writer.durable()
        assert len(spool.frames()) == 3


async def fate(writer: SpoolWriter) -> list[str]:
    """What ``run``, and somebody who waits for ``durable``, are told; the running test appends."""
    results = await asyncio.gather(writer.run(), writer.durable(), return_exceptions=True)
    return [f"{type(result).__name__}: {result}" for result in results]


@in_virtual_time
async def test_a_failed_sync_is_fatal_for_all(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.log.failures = [DataDirError("spool: cannot sync")]
    await spool.writer.append(lines(b"line"))
    assert await fate(spool.writer) == ["DataDirError: spool: cannot sync"] * 2
    with pytest.raises(DataDirError, match="cannot sync"):
        await spool.writer.append(lines(b"line"))
    with pytest.raises(DataDirError, match="cannot sync"):
        await spool.writer.durable()
    spool.log.close()


@in_virtual_time
async def test_an_unforeseen_error_stops_everybody_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.log.failures = [ZeroDivisionError("a bug")]
    await spool.writer.append(lines(b"line"))
    assert await fate(spool.writer) == ["ZeroDivisionError: a bug", "DataDirError: spool: the writer has stopped"]
    spool.log.close()


@in_virtual_time
async def test_received_at_is_the_clock_s_and_never_runs_backwards(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        for now in (NOON, NOON - timedelta(hours=1), NOON + timedelta(seconds=1)):
            spool.now = now
            await spool.write(b"line")
        noon = to_micros(NOON)
        assert [frame[0].received_at for frame in spool.frames()] == [noon, noon, noon + 1_000_000]


@in_virtual_time
async def test_received_at_does_not_run_backwards_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await spool.write(b"line")
    log = Log(tmp_path / "spool", tmp_path / "quarantine")
    writer = SpoolWriter(log, log.recover(START), now=lambda: NOON - timedelta(hours=1), max_bytes=1 << 30)
    assert writer.cut(log.end, 10).now == to_micros(NOON)
    log.close()


@in_virtual_time
async def test_a_cut_takes_whole_frames_up_to_its_size(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        ends = []
        for seconds, count in enumerate((3, 3, 3)):
            spool.now = NOON + timedelta(seconds=seconds)
            await spool.write(*[b"line"] * count)
            ends.append(spool.log.end)
        spool.now = NOON + timedelta(seconds=9)
        noon = to_micros(NOON)
        assert spool.writer.cut(START, 1) == (ends[0], noon, 3, True)
        assert spool.writer.cut(START, 6) == (ends[1], noon + 1_000_000, 6, True)
        assert spool.writer.cut(START, 8) == (ends[1], noon + 1_000_000, 6, True)
        assert spool.writer.cut(START, 9) == (ends[2], noon + 9_000_000, 9, False)
        assert spool.writer.cut(ends[0], 100) == (ends[2], noon + 9_000_000, 6, False)
        assert spool.writer.cut(ends[2], 100) == (ends[2], noon + 9_000_000, 0, False)


@in_virtual_time
async def test_a_cut_s_now_is_not_behind_a_frame_that_is_being_written(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        spool.log.failures = [Unavailable("full")]
        await spool.writer.append(lines(b"line"))
        await asyncio.sleep(0.5)
        spool.now = NOON + timedelta(hours=1)
        cut = spool.writer.cut(START, 10)
        await spool.writer.durable()
        assert (cut.end, cut.lines) == (START, 0)
        assert cut.now <= spool.frames()[0][0].received_at


@in_virtual_time
async def test_a_line_after_a_cut_is_not_older_than_it_though_the_clock_jumps_back(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        cut = spool.writer.cut(START, 10)
        spool.now = NOON - timedelta(hours=1)
        await spool.write(b"line")
        assert spool.frames()[0][0].received_at == cut.now == to_micros(NOON)


@in_virtual_time
async def test_what_redacts_sees_each_group_before_it_is_written_and_readers_go_on_by_what_was_received(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as spool:
        spool.writer.redact = lambda group: [
            msgspec.structs.replace(each, body=each.body.replace(b"secret", b"***")) for each in group
        ]
        for n in range(2 * BUFFER_BYTES // 1_000_000):
            await spool.write(b"secret" * 160_000 + str(n).encode())
        spool.writer.redact = None
        await spool.write(b"secret")
        bodies = [section.body for frame in spool.frames() for section in frame]
        assert [b"secret" in body for body in bodies] == [False] * 16 + [True]
        assert bodies[15] == b"***" * 160_000 + b"15\n"


@in_virtual_time
async def test_nothing_is_written_when_what_redacts_fails(tmp_path: Path) -> None:
    def fails(_: Sequence[Section]) -> Sequence[Section]:
        raise RuntimeError

    with pytest.raises(ExceptionGroup):
        async with running(tmp_path) as spool:
            spool.writer.redact = fails
            with pytest.raises(DataDirError, match="the writer has stopped"):
                await spool.write(b"secret")
            raise asyncio.CancelledError
    assert [path.stat().st_size for path in (tmp_path / "spool").iterdir()] == [0]
