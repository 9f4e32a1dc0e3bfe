"""A list in pages: what is there now, spooled before the cursor moves.

The cursor moves once, behind the last page, because a crash between two pages must not skip the rest. Pages
and items have bounds: an API server's answer is not trusted to fit into memory.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import aiohttp
import msgspec

from batcher.errors import Unavailable
from batcher.spool import Kind
from batcher.watch.answers import read_at_most, refuse_errors
from batcher.watch.feed import Cursor, Feed
from batcher.watch.lines import LONGEST_LINE

PAGE_ITEMS = 500
PAGE_BYTES = 32 * 1024 * 1024
"""50 times what 500 usual Events have; a page above is asked for again with half as many items."""
LIST_SECONDS = 60.0
PIECE_LINES = 256
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Page(NamedTuple):
    """One answer to a LIST: bare objects as lines, and the list's resourceVersion."""

    items: list[bytes]
    version: str


class _List(msgspec.Struct):
    metadata: dict[str, Any]
    items: list[msgspec.Raw] | None = None


class _Key(msgspec.Struct):
    metadata: dict[str, Any]


_list = msgspec.json.Decoder(_List)
_key = msgspec.json.Decoder(_Key)


async def list_all(feed: Feed, cursor: Cursor) -> None:
    """Spool every object there is, and then move ``cursor`` to the list's resourceVersion."""
    version = ""
    async for page in pages(feed):
        await spool_items(feed, page.items)
        version = page.version
    await feed.spool(Kind.LIST_COMPLETE, version)
    cursor.listed(version)


async def pages(feed: Feed) -> AsyncIterator[Page]:
    """Yield the pages of one consistent list.

    Raises :class:`batcher.errors.Expired` when the server has forgotten it half-way: begin again.
    """
    token, limit = "", PAGE_ITEMS
    while True:
        body = await _ask(feed, token, limit)
        if body is None:
            limit = _halved(limit)
            continue
        found = _decoded(body)
        version = str(found.metadata.get("resourceVersion") or "")
        if not version:
            message = f"{feed.path}: a list without resourceVersion"
            raise Unavailable(message)
        yield Page([_one_line(bytes(item)) for item in found.items or []], version)
        token = str(found.metadata.get("continue") or "")
        if not token:
            return


async def _ask(feed: Feed, token: str, limit: int) -> bytes | None:
    params = {"limit": str(limit)} | feed.selector | ({"continue": token} if token else {})
    timeout = aiohttp.ClientTimeout(total=LIST_SECONDS)
    accept = feed.accept("PartialObjectMetadataList")
    async with feed.connection.request("GET", feed.path, params=params, accept=accept, timeout=timeout) as response:
        await refuse_errors(response, f"a list of {feed.stream.resource}")
        return await read_at_most(response, PAGE_BYTES)


def _halved(limit: int) -> int:
    if limit == 1:
        message = f"a list with limit=1 has more than {PAGE_BYTES} bytes"
        raise Unavailable(message)
    return limit // 2


def _decoded(body: bytes) -> _List:
    try:
        return _list.decode(body)
    except _UNREADABLE as error:
        message = f"a list is not JSON: {error}"
        raise Unavailable(message) from error


def _one_line(item: bytes) -> bytes:
    return item if b"\n" not in item else msgspec.json.format(item, indent=-1)


async def spool_items(feed: Feed, items: list[bytes]) -> None:
    """Spool bare objects; of one that is too large only its key, as refused."""
    for piece in _pieces([item for item in items if len(item) <= LONGEST_LINE]):
        feed.report.heard(event=True)
        await feed.spool(Kind.LISTED, lines=len(piece), body=b"\n".join(piece) + b"\n")
    for item in items:
        if len(item) > LONGEST_LINE:
            await feed.spool(
                Kind.REFUSED, lines=1, body=_key_of(item) + b"\n", note=f"longer than {LONGEST_LINE} bytes"
            )


def _pieces(items: list[bytes]) -> Iterator[list[bytes]]:
    for first in range(0, len(items), PIECE_LINES):
        yield items[first : first + PIECE_LINES]


def _key_of(item: bytes) -> bytes:
    """What names the object, so that it can be looked up where it is."""
    try:
        metadata = _key.decode(item).metadata
    except _UNREADABLE:
        return b"{}"
    named = {name: metadata[name] for name in ("namespace", "name", "uid", "resourceVersion") if name in metadata}
    return msgspec.json.encode({"metadata": {name: str(value)[:512] for name, value in named.items()}})
