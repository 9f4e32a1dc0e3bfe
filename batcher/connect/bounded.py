"""An answer that is read whole has a largest size, also after it is unpacked: a small one may be a bomb.

Streams and pages of lists are read in parts, and have limits of their own (:mod:`batcher.watch`).
"""

import aiohttp

LARGEST = 32 * 1024 * 1024
"""Bytes. The largest that is asked for is a page of 500 APIBindings, of which each has some kilobytes."""


class BoundedResponse(aiohttp.ClientResponse):
    """aiohttp's, but for what is too large."""

    async def read(self) -> bytes:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Return the body. Raises :class:`aiohttp.ClientPayloadError` if it is larger than :data:`LARGEST`."""
        if self._body is None:
            parts, size = [], 0
            while part := await self.content.readany():
                size += len(part)
                if size > LARGEST:
                    self.close()
                    message = f"an answer of more than {LARGEST} bytes"
                    raise aiohttp.ClientPayloadError(message)
                parts.append(part)
            self._body = b"".join(parts)
        return self._body
