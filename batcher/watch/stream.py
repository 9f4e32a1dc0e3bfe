"""One stream's list and watch: what is asked, what is spooled, and what an answer means.

``list_all`` spools every page and moves the cursor once, behind the last, because a crash between two pages
must not skip the rest. ``stream_once`` is one HTTP response. Whoever raised decides nothing: the errors of
:mod:`batcher.errors` say what the caller should do.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
import msgspec

from batcher.connect import Connection
from batcher.errors import CorruptStream, Expired, Forbidden, Unauthorized, Unavailable
from batcher.spool import Kind, Section, Stream
from batcher.watch.lines import LONGEST_LINE, Ending, error_of, read_lines

PAGE = 500
LIST_SECONDS = 60.0
WATCH_SECONDS = (240, 290)
"""kube-apiserver closes a watch after 30 to 60 minutes; a proxy in between often after five."""
GRACE_SECONDS = 15
"""Behind ``timeoutSeconds``: only this deadline notices a half-open connection of a quiet cluster."""
CONTACT_SECONDS = 60.0
PIECE_LINES = 256
KEPT_OF_REFUSED = 64 * 1024


class Sink(Protocol):
    """Where sections go."""

    async def append(self, section: Section) -> None:
        """Accept for the next fsync group; wait while too much is not on disk yet."""
        ...

    async def durable(self) -> None:
        """Return when everything appended before is on disk. Raises DataDirError when it never will be."""
        ...


@dataclass(frozen=True)
class Feed:
    """One stream of one cluster: what to ask, and where the answer goes."""

    connection: Connection
    stream: Stream
    cluster: str
    sink: Sink
    rng: random.Random
    told: Callable[[str], None]
    """Called with ``event`` or ``contact`` whenever something was heard."""

    @property
    def path(self) -> str:
        """Where the API server has this stream's objects."""
        scope = f"/namespaces/{self.stream.scope}" if self.stream.scope else ""
        return f"/api/v1{scope}/{self.stream.resource}"

    def section(
        self, kind: Kind, cursor: str | None = None, *, lines: int = 0, body: bytes = b"", note: str = ""
    ) -> Section:
        """Return a section of this stream."""
        return Section(self.stream, self.cluster, kind, cursor, lines, body, note)


@dataclass
class Cursor:
    """Where a stream resumes; empty: with a list. Trusted only once the sink says that all is on disk."""

    version: str = ""


class _Page(msgspec.Struct):
    metadata: dict[str, Any]
    items: list[msgspec.Raw] | None = None


_page = msgspec.json.Decoder(_Page)


async def list_all(feed: Feed, cursor: Cursor) -> None:
    """Spool every object there is, and then move ``cursor`` to the list's resourceVersion."""
    token = ""
    while True:
        page = await _list_page(feed, token)
        await _spool_items(feed, page.items or [])
        token = str(page.metadata.get("continue") or "")
        if not token:
            break
    version = str(page.metadata.get("resourceVersion") or "")
    await feed.sink.append(feed.section(Kind.LIST_COMPLETE, version))
    cursor.version = version


async def _list_page(feed: Feed, token: str) -> _Page:
    params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
    timeout = aiohttp.ClientTimeout(total=LIST_SECONDS)
    async with feed.connection.request("GET", feed.path, params=params, timeout=timeout) as response:
        body = await response.read()
        _raise_for(response, body)
    try:
        return _page.decode(body)
    except msgspec.DecodeError as error:
        message = f"{feed.cluster}: a list is not JSON: {error}"
        raise Unavailable(message) from error


async def _spool_items(feed: Feed, items: list[msgspec.Raw]) -> None:
    for first in range(0, len(items), PIECE_LINES):
        piece = [_one_line(bytes(item)) for item in items[first : first + PIECE_LINES]]
        feed.told("event")
        body = b"\n".join(piece) + b"\n"
        await feed.sink.append(feed.section(Kind.LISTED, lines=len(piece), body=body))


def _one_line(item: bytes) -> bytes:
    return item if b"\n" not in item else msgspec.json.format(item, indent=-1)


async def stream_once(feed: Feed, cursor: Cursor) -> None:
    """Watch from ``cursor``, moving it along, until the server ends the response.

    Raises :class:`Expired` (list again), :class:`CorruptStream` (list again; the bytes are in quarantine),
    :class:`Unauthorized`, :class:`Forbidden`, :class:`Unavailable`.
    """
    seconds = feed.rng.randint(*WATCH_SECONDS)
    params = {
        "watch": "1",
        "resourceVersion": cursor.version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(seconds),
    }
    timeout = aiohttp.ClientTimeout(total=seconds + GRACE_SECONDS, sock_connect=30)
    began = asyncio.get_running_loop().time()
    heard = False
    async with feed.connection.request("GET", feed.path, params=params, timeout=timeout) as response:
        if response.status != HTTPStatus.OK:
            _raise_for(response, await response.read())
        feed.told("contact")
        async for chunk in _whole_lines(feed, response):
            heard = True
            await _spool_chunk(feed, chunk, cursor)
    await feed.sink.append(feed.section(Kind.CONTACT))
    if not heard and asyncio.get_running_loop().time() - began < 1:
        message = f"{feed.cluster}: the watch ended at once with nothing, as one from a compacted version does"
        raise Expired(message)


async def _spool_chunk(feed: Feed, chunk: bytes, cursor: Cursor) -> None:
    lines = read_lines(chunk)
    if lines.number:
        feed.told("event")
        await feed.sink.append(feed.section(Kind.WATCHED, lines.cursor, lines=lines.number, body=lines.body))
        cursor.version = lines.cursor or cursor.version
    if lines.ending is Ending.ERROR:
        code, reason = error_of(lines.rest)
        message = f"{feed.cluster}: the watch ended with {code or 'an error'} {reason}".rstrip()
        expired = code == HTTPStatus.GONE or reason in {"Expired", "Gone"}
        raise Expired(message) if expired else Unavailable(message)
    if lines.ending is Ending.CORRUPT:
        await _refuse(feed, lines.rest, "not JSON, or without resourceVersion")


async def _refuse(feed: Feed, line: bytes, note: str) -> None:
    kept = line.rstrip(b"\n")[:KEPT_OF_REFUSED] + b"\n"
    await feed.sink.append(feed.section(Kind.REFUSED, lines=1, body=kept, note=note))
    message = f"{feed.cluster}: a line is {note}; its bytes are in quarantine"
    raise CorruptStream(message)


async def _whole_lines(feed: Feed, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Chunks cut at their last newline; an unfinished line at the end is dropped: it comes again."""
    held = b""
    async for chunk in _chunks(feed, response):
        whole, newline, held = (held + chunk).rpartition(b"\n")
        if newline:
            yield whole + newline
        elif len(held) > LONGEST_LINE:
            await _refuse(feed, held, f"longer than {LONGEST_LINE} bytes")


async def _chunks(feed: Feed, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Bytes as they come; each minute of silence on an open connection is a contact."""
    while True:
        minute = asyncio.timeout(CONTACT_SECONDS)
        try:
            async with minute:
                chunk = await response.content.readany()
        except TimeoutError:
            if not minute.expired():
                raise
            await feed.sink.append(feed.section(Kind.CONTACT))
            feed.told("contact")
        else:
            if not chunk:
                return
            yield chunk


_ERRORS = {
    HTTPStatus.GONE: Expired,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
}


def _raise_for(response: aiohttp.ClientResponse, body: bytes) -> None:
    status = response.status
    if status == HTTPStatus.OK:
        return
    message = f"HTTP {status} {_reason(body)}".rstrip()
    if status in _ERRORS:
        raise _ERRORS[HTTPStatus(status)](message)
    after = response.headers.get("Retry-After", "")
    raise Unavailable(message, float(after) if after.isdigit() else None)


def _reason(body: bytes) -> str:
    try:
        status = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    reason = status.get("reason") if isinstance(status, dict) else ""
    return reason if isinstance(reason, str) and reason.isalnum() else ""
