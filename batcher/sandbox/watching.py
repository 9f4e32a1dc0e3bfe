"""Sending one watch: from its first line through the changes as they come to its end.

A stream sleeps on a bell, one for each collection, so that ten thousand idle watches cost nothing until
something happens. The server's faults are looked at each time it wakes.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from batcher.sandbox.faults import Chunking, Faults
from batcher.sandbox.stream import Stream

CHUNK = 64 << 10
"""Bytes of a chunk; what a reader's buffer takes in one piece."""
BOOKMARK_BEFORE_END = 2.0
"""Seconds before its timeout that kcp's only bookmark comes (watch-lifecycle.ndjson)."""


class Bell:
    """Wakes everyone who waits, each time it is rung."""

    def __init__(self) -> None:
        """Begin silent."""
        self._next = asyncio.Event()
        self._heard = False

    def listen(self) -> asyncio.Event:
        """Return what the next ring sets; take it before looking at what may have changed."""
        self._heard = True
        return self._next

    def ring(self) -> None:
        """Wake the listeners; costs nothing when there are none."""
        if self._heard:
            waiting, self._next, self._heard = self._next, asyncio.Event(), False
            waiting.set()


class Pipe(Protocol):
    """Where a stream writes to."""

    async def write(self, data: bytes) -> None:
        """Send one HTTP chunk; returns when the socket takes more."""

    def reset(self, data: bytes) -> None:
        """Send ``data`` as the first part of a longer chunk and reset the connection."""


class Host(Protocol):
    """What a stream asks of its server each time it wakes."""

    faults: Faults

    @property
    def now(self) -> datetime:
        """Return the server's time."""

    def alive(self, cluster: str, generation: int) -> bool:
        """Tell whether streams of this logical cluster, begun in this generation of the store, go on."""


class Cut(Exception):  # noqa: N818  an order, not an error
    """The connection was reset on purpose: there is nothing left to finish."""


class Course:
    """The way of one watch through time."""

    def __init__(self, stream: Stream, pipe: Pipe, host: Host, bell: Bell, *, cluster: str, generation: int) -> None:
        """Send ``stream`` into ``pipe`` as long as ``host`` lets it."""
        self._stream = stream
        self._pipe = pipe
        self._host = host
        self._bell = bell
        self._cluster = cluster
        self._generation = generation

    async def run(self, first: list[bytes], seconds: float) -> None:
        """Send ``first`` and what follows for ``seconds`` of the event loop, or until ended."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        bookmark_at = end - min(BOOKMARK_BEFORE_END, seconds / 2)
        lines = first
        while True:
            rung = self._bell.listen()
            if self._ended():
                return
            lines = lines or self._inserted() or self._next()
            stalled = "watch" in self._host.faults.stall
            if lines and not stalled:
                await self._send(lines)
                lines = []
                continue
            if loop.time() >= end and not stalled:
                return
            due = bookmark_at if loop.time() < bookmark_at else end
            if not await _rung(rung, None if stalled else due) and due == bookmark_at:
                lines = self._stream.bookmark() if self._host.faults.bookmarks else []

    def _ended(self) -> bool:
        if not self._host.alive(self._cluster, self._generation):
            return True
        if ends := self._host.faults.ends:
            self._host.faults = replace(self._host.faults, ends=ends - 1)
        return ends > 0

    def _next(self) -> list[bytes]:
        return self._stream.next(self._host.now)

    def _inserted(self) -> list[bytes]:
        inserts = self._host.faults.inserts
        if inserts:
            self._host.faults = replace(self._host.faults, inserts=inserts[1:])
        return list(inserts[:1])

    async def _send(self, lines: list[bytes]) -> None:
        faults = self._host.faults
        if faults.resets:
            self._host.faults = replace(faults, resets=faults.resets - 1)
            data = b"".join(lines)
            self._pipe.reset(data[: len(data) // 2])
            raise Cut
        for chunk in chunks(lines, faults.chunking):
            await self._pipe.write(chunk)


def chunks(lines: list[bytes], chunking: Chunking) -> list[bytes]:
    """Cut lines into HTTP chunks."""
    if chunking is Chunking.LINE:
        return lines
    data = b"".join(lines)
    size = 1 if chunking is Chunking.BYTE else CHUNK
    return [data[at : at + size] for at in range(0, len(data), size)]


async def _rung(event: asyncio.Event, until: float | None) -> bool:
    """Wait for the bell; False when ``until`` (loop time) came first."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return False
    return True
