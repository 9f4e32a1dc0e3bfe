"""Group commit: many watchers append, one task writes and syncs, and everybody knows what is on disk.

A group is written when it has 256 lines or is 100 ms old, whichever comes first, or before (fdatasync is about
0.4 ms: one a line would cap a disk at 2,500 events a second). Before, because what may wait is written every 100 ms by
the loop's clock, just after the watches have read what they let gather. While the disk takes nothing, ``append`` waits
and the sockets stay unread; nothing is dropped. A failed sync ends the process.

This is also where time is read for a batch: a group's ``received_at`` and a cut's ``now`` come from the same
place, so that no later line can be older than the ``now`` of a batch before it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from batcher.clock import Now, to_micros
from batcher.errors import DataDirError, Unavailable
from batcher.spool.frames import Section
from batcher.spool.log import FrameEnd, Log, Recovered
from batcher.spool.position import FRAME_LINES, Place
from batcher.ticks import next_tick

GROUP_LINES = 256
GROUP_SECONDS = 0.1
BEHIND_TICK_SECONDS = 0.02
"""Behind the tick at which watches read: hundreds have appended by then what they read."""
RETRY_SECONDS = 1.0
BUFFER_BYTES = 8 * 1024 * 1024
"""Lines that may wait for the disk, all streams together; 100 ms of 60,000 events a second."""


Redact = Callable[[Sequence[Section]], Sequence[Section]]
"""Returns sections of as many lines with other text; raising ends the process before anything is written."""


class Cut(NamedTuple):
    """A range of the spool for one batch: ends at ``end``; ``now`` is not behind any line after it."""

    end: Place
    now: int
    lines: int
    is_full: bool
    """Whether it ends where it does because the next frame would have been too much."""


class SpoolWriter:
    """The one writer of a :class:`Log`; a ``Sink`` to the watchers, and the planner's clock."""

    def __init__(
        self, log: Log, recovered: Recovered, *, now: Now, max_bytes: int, redact: Redact | None = None
    ) -> None:
        """Append to ``log`` as ``recovered``; stop reading while it holds more than ``max_bytes``.

        What ``redact`` returns is written instead of a group, by the next group on.
        """
        self._log = log
        self._now = now
        self._max_bytes = max_bytes
        self.redact = redact
        self._unplanned = deque(recovered.unplanned)
        self._stamp = recovered.last_received_at
        self._writing_stamp: int | None = None
        self._waiting: list[Section] = []
        self._waiting_bytes = 0
        self._waiting_lines = 0
        self._appended = 0
        self._written = 0
        self._failure: DataDirError | None = None
        self._changed = asyncio.Condition()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.trouble = ""
        """Why the disk takes nothing now; empty when it does."""

    async def append(self, section: Section) -> None:
        """Accept ``section`` for the next group; wait while too much is not on disk yet."""
        if self._waiting_bytes >= BUFFER_BYTES:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting_bytes < BUFFER_BYTES or self._failure)
        self._raise_failure()
        self._waiting.append(section)
        self._waiting_bytes += len(section.body)
        self._waiting_lines += section.lines
        self._appended += 1
        self._begin_group()

    async def durable(self) -> None:
        """Return when everything appended before is on disk; raise :class:`DataDirError` if it never will be."""
        async with self._changed:
            target = self._appended
            await self._changed.wait_for(lambda: self._written >= target or self._failure)
            self._raise_failure()

    async def run(self) -> None:
        """Write groups for ever. Raises :class:`DataDirError` when the disk cannot be trusted any more."""
        while True:
            await self._due.wait()
            group = self._take()
            try:
                end = await self._write(await self._redacted(group))
            except BaseException as error:
                await self._fail(error)
                raise
            await self._done(group, end)

    def _begin_group(self) -> None:
        """Have what waits written at once if it is much, else when the time has come for all that waits by then."""
        if self._waiting_lines >= GROUP_LINES:
            self._due.set()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            due = next_tick(loop.time(), every=GROUP_SECONDS, offset=BEHIND_TICK_SECONDS)
            self._timer = loop.call_at(due, self._due.set)

    def _end_group(self) -> None:
        self._due.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _take(self) -> list[Section]:
        group: list[Section] = []
        lines = 0
        for section in self._waiting:
            if group and lines + section.lines > FRAME_LINES:
                break
            lines += section.lines
            group.append(section)
        del self._waiting[: len(group)]
        self._waiting_lines -= lines
        if not self._waiting:
            self._end_group()
        self._writing_stamp = self._advance()
        return [msgspec.structs.replace(s, received_at=self._writing_stamp) for s in group]

    def _advance(self) -> int:
        self._stamp = max(self._stamp, to_micros(self._now()))
        return self._stamp

    async def _redacted(self, group: list[Section]) -> Sequence[Section]:
        return await asyncio.to_thread(self.redact, group) if self.redact else group

    async def _write(self, group: Sequence[Section]) -> FrameEnd:
        while True:
            try:
                if self.full:
                    message = (
                        f"spool: full at {self._max_bytes} bytes (spool.maxBytes); reading stops until batches catch up"
                    )
                    raise Unavailable(message)  # noqa: TRY301  the same waiting as for a full disk
                end = await asyncio.to_thread(self._log.append, group)
            except Unavailable as error:
                self.trouble = str(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.trouble = ""
                return end

    @property
    def full(self) -> bool:
        """Whether the spool is at its bound, and would be smaller if batches, archive and snapshots let it.

        A single segment above the bound never would: it is closed by what is appended.
        """
        return self._log.size > self._max_bytes and self._log.can_shrink

    async def _done(self, group: list[Section], end: FrameEnd) -> None:
        async with self._changed:
            self._writing_stamp = None
            self._unplanned.append(end)
            self._written += len(group)
            self._waiting_bytes -= sum(len(section.body) for section in group)
            self._changed.notify_all()

    async def _fail(self, error: BaseException) -> None:
        async with self._changed:
            self._failure = error if isinstance(error, DataDirError) else DataDirError("spool: the writer has stopped")
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure:
            raise self._failure

    def cut(self, start: Place, max_lines: int) -> Cut:
        """Return a range from ``start`` of at most ``max_lines`` lines (or one frame), and its ``now``.

        A range that ends before the newest frame takes its last frame's time for ``now``.
        """
        while self._unplanned and self._unplanned[0].end <= start:
            self._unplanned.popleft()
        lines, end, received_at = 0, start, 0
        for frame in self._unplanned:
            if end != start and lines + frame.lines > max_lines:
                return Cut(end, received_at, lines, is_full=True)
            lines, end, received_at = lines + frame.lines, frame.end, frame.received_at
        return Cut(end, self._writing_stamp or self._advance(), lines, is_full=False)
