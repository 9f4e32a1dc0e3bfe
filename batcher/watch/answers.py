"""What an API server's answer means to who asked: the errors of :mod:`batcher.errors`, and bounded bodies.

Nothing here decides what is done about it.
"""

from http import HTTPStatus

import aiohttp
import msgspec

from batcher.errors import Absent, Expired, Forbidden, Unauthorized, Unavailable

SMALL_BODY = 1024 * 1024
"""More than any Status, Namespace, or list of one Event has."""

_ERRORS = {
    HTTPStatus.GONE: Expired,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: Absent,
}


async def read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return the body, or None if it has more than ``limit`` bytes; the rest is not read then."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


async def refuse_errors(response: aiohttp.ClientResponse, asking_for: str) -> None:
    """Return if ``response`` is a 200; else raise Expired, Unauthorized, Forbidden, Absent or Unavailable."""
    status = response.status
    if status == HTTPStatus.OK:
        return
    reason = _reason(await read_at_most(response, SMALL_BODY) or b"")
    message = f"HTTP {status} {reason}".rstrip() + f" for {asking_for}"
    if status in _ERRORS:
        raise _ERRORS[HTTPStatus(status)](message)
    after = response.headers.get("Retry-After", "")
    raise Unavailable(message, float(after) if after.isdecimal() and after.isascii() else None)


def _reason(body: bytes) -> str:
    try:
        status = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    reason = status.get("reason") if isinstance(status, dict) else ""
    return reason if isinstance(reason, str) and reason.isalnum() else ""
