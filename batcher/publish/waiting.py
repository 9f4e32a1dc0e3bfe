"""What one workspace has still to be told: the newest version of each summary, oldest first.

What was never tried and is not in the workspace yet comes before what is there with older totals, because
a tenant sees nothing at all of it. Tried once, it stands behind all others: it may fail for ever.

A summary is either ready, or parked until its time has come, or in flight; a newer version takes its place
wherever it is. Never holds two versions of a summary except the one in flight, and never sends.
"""

import asyncio
import contextlib
import heapq
import math
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass

from batcher.publish.writes import Write


@dataclass
class Entry:
    """A write, and how often its summary was refused for something that may pass."""

    write: Write
    refusals: int = 0
    given_up: bool = False
    """Nobody waits for it any more: it is not tried again."""
    since: float = 0.0
    """When its summary came here."""
    put_at: float = 0.0
    """When the write itself did."""


class Waiting:
    """The writes of a workspace. Times are the loop's, in seconds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.trouble = ""
        """Why the last write that went wrong did; empty when all is well."""
        self._first: OrderedDict[str, Entry] = OrderedDict()
        self._ready: OrderedDict[str, Entry] = OrderedDict()
        self._parked: dict[str, Entry] = {}
        self._due: list[tuple[float, str]] = []
        self._in_flight: Entry | None = None
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._first) + len(self._ready) + len(self._parked) + (self._in_flight is not None)

    @property
    def can_go_on(self) -> bool:
        """Whether something is ready or in flight: what is parked waits for people."""
        return bool(self._first or self._ready) or self._in_flight is not None

    def holds(self, summary: str) -> bool:
        """Whether a write of ``summary`` waits here, so that a newer one takes no more room."""
        return self._held(summary) is not None

    def has(self, summary: str, version: int, since: float) -> bool:
        """Whether ``version`` of ``summary`` is in flight, or waits here and was put no earlier than ``since``."""
        if self._flies(summary, version):
            return True
        entry = self._held(summary)
        return entry is not None and entry.write.version >= version and entry.put_at >= since

    def _flies(self, summary: str, version: int) -> bool:
        """Whether as new a version of ``summary`` is in flight."""
        write = self._in_flight.write if self._in_flight else None
        return write is not None and write.summary == summary and write.version >= version

    def put(self, write: Write, *, first: bool = False, at: float = 0.0) -> bool:
        """Take ``write``, unless as new a version is here already; return whether it takes more room.

        ``first``: the summary is not in the workspace yet. A version that replaces one has waited as long as it.
        """
        if self._flies(write.summary, write.version):
            return False
        entry = self._held(write.summary)
        if entry is None:
            (self._first if first else self._ready)[write.summary] = Entry(write, since=at, put_at=at)
            self._news.set()
            return True
        if entry.write.version <= write.version:
            entry.write, entry.put_at = write, at
        return False

    async def take(self) -> Entry | None:
        """Return the next write, which is then in flight, when there is one; None when nothing is left."""
        while True:
            self._unpark(asyncio.get_running_loop().time())
            if some := self._first or self._ready:
                _, self._in_flight = some.popitem(last=False)
                return self._in_flight
            if not self._parked:
                return None
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._due[0][0]):
                    await self._news.wait()

    def end(self) -> None:
        """Forget what was in flight: it has come to its end."""
        self._in_flight = None

    def again(self, entry: Entry) -> None:
        """Put what was in flight, or the newer version that came meanwhile, behind all others."""
        landed = self._landed(entry)
        self._ready[landed.write.summary] = landed

    def park(self, entry: Entry, until: float) -> None:
        """Let what was in flight, or the newer version that came meanwhile, wait ``until`` then."""
        landed = self._landed(entry)
        landed.refusals += 1
        self._parked[landed.write.summary] = landed
        heapq.heappush(self._due, (until, landed.write.summary))

    def keep(self, goes_on: Container[str]) -> None:
        """Forget the writes of summaries that are not in ``goes_on``; one in flight is not tried again."""
        for entries in (self._first, self._ready, self._parked):
            for summary in [summary for summary in entries if summary not in goes_on]:
                del entries[summary]
        if self._in_flight and self._in_flight.write.summary not in goes_on:
            self._in_flight.given_up = True
        self._news.set()

    def give_up_newest(self) -> None:
        """Forget the newest of what would be sent last, to make room: committed state has it, and offers it again."""
        (self._ready or self._first or self._parked).popitem()

    def _held(self, summary: str) -> Entry | None:
        return self._first.get(summary) or self._ready.get(summary) or self._parked.get(summary)

    def _landed(self, entry: Entry) -> Entry:
        self._in_flight = None
        newer = self._first.pop(entry.write.summary, None) or self._ready.pop(entry.write.summary, None)
        newest = newer or entry
        return Entry(newest.write, entry.refusals, since=entry.since, put_at=newest.put_at)

    def unpark(self) -> None:
        """Let all that is parked be ready at once."""
        self._unpark(math.inf)
        self._news.set()

    def _unpark(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, summary = heapq.heappop(self._due)
            entry = self._parked.pop(summary, None)
            if entry:
                self._ready[summary] = entry
