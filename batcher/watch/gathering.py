"""What comes on a connection is left to the kernel for a moment, so that it is one read and not one a line.

A server sends each change as a chunk of its own, and a wake costs as much as reading a hundred lines. Nothing is
stopped: the kernel goes on receiving, tells at once when there is much, or that the connection has ended, and tells
of whatever it has at the next tick. All connections have the same ticks. Pausing the transport would not do: under TLS
it goes on waking for each record.
"""

import asyncio
import contextlib
import socket

import aiohttp

from batcher.ticks import next_tick

GATHER_SECONDS = 0.2
MUCH_BYTES = 48 * 1024
"""Three quarters of the window that a connection begins with: one that is behind is never held up."""


class Gathering:
    """What one response's connection may gather."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """Gather nothing yet."""
        transport = response.connection.transport if response.connection else None  # none: all of the answer is here
        self._socket: socket.socket | None = transport.get_extra_info("socket") if transport else None
        self._loop = asyncio.get_running_loop()
        self._until = 0.0

    def begin(self) -> None:
        """Be told of what comes from now on at the next tick, or when it is much; if that is so, it stays so."""
        now = self._loop.time()
        if self._socket and now >= self._until:
            self._until = next_tick(now, every=GATHER_SECONDS)
            _tell_from(self._socket, MUCH_BYTES)
            self._loop.call_at(self._until, _tell_from, self._socket, 1)


def _tell_from(connected: socket.socket, number: int) -> None:
    """Have it be readable when so many bytes are there; what is closed since, or cannot do so, is as it is."""
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, number)
