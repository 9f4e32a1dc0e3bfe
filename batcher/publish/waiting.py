"""What one workspace has still to be told: the newest version of each summary, oldest first.

A summary is either ready, or parked until its time has come, or in flight; a newer version takes its place
wherever it is. Never holds two versions of a summary except the one in flight, and never sends.
"""

import asyncio
import contextlib
import heapq
from collections import OrderedDict
from dataclasses import dataclass

from batcher.publish.writes import Write


@dataclass
class Entry:
    """A write, and how often its summary was refused for something that may pass."""

    write: Write
    refusals: int = 0


class Waiting:
    """The writes of a workspace. Times are the loop's, in seconds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.trouble = ""
        """Why the last write that went wrong did; empty when all is well."""
        self._ready: OrderedDict[str, Entry] = OrderedDict()
        self._parked: dict[str, Entry] = {}
        self._due: list[tuple[float, str]] = []
        self._in_flight: Entry | None = None
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready) + len(self._parked) + (self._in_flight is not None)

    @property
    def can_go_on(self) -> bool:
        """Whether something is ready or in flight: what is parked waits for people."""
        return bool(self._ready) or self._in_flight is not None

    def holds(self, summary: str) -> bool:
        """Whether a write of ``summary`` waits here, so that a newer one takes no more room."""
        return summary in self._ready or summary in self._parked

    def put(self, write: Write) -> None:
        """Take ``write``, unless as new a version is here already."""
        flying = self._in_flight
        if flying and flying.write.summary == write.summary and flying.write.version >= write.version:
            return
        entry = self._ready.get(write.summary) or self._parked.get(write.summary)
        if entry is None:
            self._ready[write.summary] = Entry(write)
            self._news.set()
        elif entry.write.version <= write.version:
            entry.write = write

    async def take(self) -> Entry | None:
        """Return the next write, which is then in flight, when there is one; None when nothing is left."""
        while True:
            self._unpark()
            if self._ready:
                _, self._in_flight = self._ready.popitem(last=False)
                return self._in_flight
            if not self._parked:
                return None
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._due[0][0]):
                    await self._news.wait()

    def end(self) -> None:
        """Forget the write in flight: it has come to its end."""
        self._in_flight = None

    def again(self) -> None:
        """Put the write in flight, or the newer one of its summary, behind all others."""
        entry = self._landed()
        self._ready[entry.write.summary] = entry

    def park(self, until: float) -> None:
        """Let the write in flight, or the newer one of its summary, wait ``until`` then."""
        entry = self._landed()
        entry.refusals += 1
        self._parked[entry.write.summary] = entry
        heapq.heappush(self._due, (until, entry.write.summary))

    def give_up_newest(self) -> None:
        """Forget the write that came last, to make room: committed state still has it, and offers it again."""
        if self._ready:
            self._ready.popitem()
        elif self._parked:
            self._parked.popitem()
            self._due = sorted(due for due in self._due if due[1] in self._parked)

    def _landed(self) -> Entry:
        entry, self._in_flight = self._in_flight, None
        if entry is None:
            message = "nothing is in flight"
            raise LookupError(message)
        newer = self._ready.pop(entry.write.summary, None)
        return Entry(newer.write if newer else entry.write, entry.refusals)

    def _unpark(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            _, summary = heapq.heappop(self._due)
            self._ready[summary] = self._parked.pop(summary)
