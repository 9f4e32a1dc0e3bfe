"""Who answers at an address, and whether its versions still go forward.

A cluster is known by the UID of its kube-system Namespace: the same address with another UID is another
cluster. A cluster whose etcd was restored from a backup keeps the UID, and hands out resourceVersions again
that it gave to other objects before. A watch from a version that is still to come is silent until it comes,
and what happens until then is lost; so both are asked before each watch, not after a failure only.
"""

from typing import Any

import aiohttp
import msgspec

from batcher.connect import Connection
from batcher.errors import Replaced, Restored, Unavailable
from batcher.watch.answers import SMALL_BODY, read_at_most, refuse_errors
from batcher.watch.feed import JSON, Cursor, Feed

_TIMEOUT = aiohttp.ClientTimeout(total=30)


class _WithMetadata(msgspec.Struct):
    metadata: dict[str, Any]


_decoder = msgspec.json.Decoder(_WithMetadata)


async def cluster_uid(connection: Connection) -> str:
    """Return the UID of the cluster's kube-system Namespace; raise :class:`Unavailable` without one."""
    uid = await _metadata(connection, "/api/v1/namespaces/kube-system", "uid", {})
    if not uid:
        message = "the kube-system Namespace, which tells clusters apart, has no uid"
        raise Unavailable(message)
    return uid


async def confirm(feed: Feed, cursor: Cursor) -> None:
    """Return if the cluster is still ``feed``'s, and has reached ``cursor``.

    Raises :class:`Replaced` and :class:`Restored`. The version is that of a LIST, which goes to etcd; a
    cursor is never ahead of that, unless etcd went back. One that went back and has already come further
    again cannot be told by its versions; what is missing then is found by the audit.
    """
    uid = await cluster_uid(feed.connection)
    if uid != feed.stream.cluster_uid:
        message = f"another cluster answers: kube-system has uid {uid}, it was {feed.stream.cluster_uid}"
        raise Replaced(message)
    if not cursor.version:
        return
    params, accept = {"limit": "1"} | feed.selector, feed.accept("PartialObjectMetadataList")
    newest = await _metadata(feed.connection, feed.path, "resourceVersion", params, accept)
    if _number(newest) < _number(cursor.version):
        message = f"versions went backwards, from {cursor.version} to {newest}: the cluster was restored"
        raise Restored(message)


def _number(version: str) -> int:
    digits = version.isascii() and version.isdecimal() and len(version) < 20  # noqa: PLR2004  64 bits
    return int(version) if digits else 0


async def _metadata(connection: Connection, path: str, field: str, params: dict[str, str], accept: str = JSON) -> str:
    async with connection.request("GET", path, params=params, accept=accept, timeout=_TIMEOUT) as response:
        await refuse_errors(response, path)
        body = await read_at_most(response, 32 * SMALL_BODY)
    try:
        value = _decoder.decode(body or b"").metadata.get(field)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"{path}: not what an API server answers: {error}"
        raise Unavailable(message) from error
    return value if isinstance(value, str) else ""
