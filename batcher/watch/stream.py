"""One HTTP response of a watch: what is asked, and how its lines become sections and a cursor.

Whoever raised decides nothing: the errors of :mod:`batcher.errors` say what the caller should do.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import aiohttp

from batcher.errors import CorruptStream, Expired, Unavailable
from batcher.spool import Kind
from batcher.watch.answers import refuse_errors
from batcher.watch.feed import Cursor, Feed
from batcher.watch.gathering import Gathering
from batcher.watch.lines import LONGEST_LINE, Ending, error_of, read_lines

WATCH_SECONDS = (240, 290)
"""kube-apiserver closes a watch after 30 to 60 minutes; a proxy in between often after five."""
GRACE_SECONDS = 15
"""Behind ``timeoutSeconds``: only this deadline notices a half-open connection of a quiet cluster."""
CONTACT_SECONDS = 60.0
KEPT_OF_REFUSED = 64 * 1024


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
    } | feed.selector
    timeout = aiohttp.ClientTimeout(total=seconds + GRACE_SECONDS, sock_connect=30)
    began = asyncio.get_running_loop().time()
    heard = False
    accept = feed.accept("PartialObjectMetadata")
    async with feed.connection.request("GET", feed.path, params=params, accept=accept, timeout=timeout) as response:
        await refuse_errors(response, f"a watch of {feed.stream.resource}")
        feed.report.heard()
        async for chunk in _whole_lines(feed, response):
            heard = True
            await _spool_chunk(feed, chunk, cursor)
    await feed.spool(Kind.CONTACT)
    if not heard and asyncio.get_running_loop().time() - began < 1:
        message = "the watch ended at once with nothing, as one from a compacted version does"
        raise Expired(message)


async def _spool_chunk(feed: Feed, chunk: bytes, cursor: Cursor) -> None:
    lines = read_lines(chunk)
    if lines.number:
        feed.report.heard(event=True)
        await feed.spool(Kind.WATCHED, lines.cursor, lines=lines.number, body=lines.body)
        cursor.version = lines.cursor or cursor.version
    if lines.ending is Ending.ERROR:
        code, reason = error_of(lines.rest)
        message = f"the watch ended with {code or 'an error'} {reason}".rstrip()
        expired = code == HTTPStatus.GONE or reason in {"Expired", "Gone"}
        raise Expired(message) if expired else Unavailable(message)
    if lines.ending is Ending.CORRUPT:
        await _refuse(feed, lines.rest, "not JSON, or without resourceVersion")


async def _refuse(feed: Feed, line: bytes, note: str) -> None:
    kept = line.rstrip(b"\n")[:KEPT_OF_REFUSED] + b"\n"
    await feed.spool(Kind.REFUSED, lines=1, body=kept, note=note)
    message = f"a line is {note}; its bytes are in quarantine"
    raise CorruptStream(message)


async def _whole_lines(feed: Feed, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Chunks cut at their last newline; an unfinished line at the end is dropped: it comes again."""
    held = b""
    async for chunk in _chunks(feed, response):
        joined = held + chunk if held else chunk
        cut = joined.rfind(b"\n") + 1
        held = joined[cut:]
        if cut:
            yield joined[:cut]
        elif len(held) > LONGEST_LINE:
            await _refuse(feed, held, f"longer than {LONGEST_LINE} bytes")


async def _chunks(feed: Feed, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Bytes as they come; each minute of silence on an open connection is a contact."""
    gathering = Gathering(response.connection.transport if response.connection else None)  # none: all of it is here
    while True:
        minute = asyncio.timeout(CONTACT_SECONDS)
        try:
            async with minute:
                chunk = await response.content.readany()
        except TimeoutError:
            if not minute.expired():
                raise
            await feed.spool(Kind.CONTACT)
            feed.report.heard()
        else:
            if not chunk:
                return
            gathering.begin()
            yield chunk
