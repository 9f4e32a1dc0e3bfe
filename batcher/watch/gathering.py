"""What comes on a connection is left to the kernel for a moment, so that it is one read and not one a line.

A server sends each change as a chunk of its own, and a wake costs as much as judging fifty lines. Nothing is stopped:
the kernel goes on receiving, tells of much at once, as of an end of the connection, and of what little it has at the
next tick, which is the same for all connections. Pausing the transport instead would leave TLS waking for each record,
and aiohttp's parser handing out one line alone after each pause. Nothing here reads.
"""

import asyncio
import contextlib
import socket

from batcher.ticks import next_tick

GATHER_SECONDS = 0.2
MUCH_BYTES = 48 * 1024
"""Three quarters of the 64 KiB that a connection may be sent at first, so that one that is behind is not held up."""


class Gathering:
    """What one connection may gather."""

    def __init__(self, transport: asyncio.BaseTransport | None) -> None:
        """Gather nothing yet; never, without a ``transport``."""
        self._socket: socket.socket | None = transport.get_extra_info("socket") if transport else None
        self._loop = asyncio.get_running_loop()
        self._until = 0.0

    def begin(self) -> None:
        """Be told of what comes from now on when it is much, or at the next tick; of what comes after that, at once."""
        now = self._loop.time()
        if self._socket and now >= self._until:
            self._until = next_tick(now, every=GATHER_SECONDS)
            _tell_from(self._socket, MUCH_BYTES)
            self._loop.call_at(self._until, _tell_from, self._socket, 1)


def _tell_from(connected: socket.socket, number: int) -> None:
    """Have it be readable when so many bytes are there; one that is closed by now, or cannot, is left as it is."""
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, number)
