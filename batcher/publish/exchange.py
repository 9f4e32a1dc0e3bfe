"""One write, brought to the server: create, update, or read and then decide.

A request never overwrites what it has not seen: created by POST, updated by PUT with the resourceVersion
last seen. So a request that arrives late, or is sent again because its answer was lost, cannot bring old
totals back: it conflicts, and the object is read. (PUT with any resourceVersion creates an object that is
absent: put-absent-with-rv.json.) Never waits and never tries twice: that is for the publisher.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

import aiohttp
import msgspec

from batcher.errors import Unavailable
from batcher.publish.addresses import collection, item
from batcher.publish.answers import Answer, Meaning, classify
from batcher.publish.writes import Write
from batcher.stages.announce import LABEL

JSON = "application/json"
REQUEST_SECONDS = 30.0
LARGEST_BODY = 256 * 1024
"""Bytes: far more than a rendered Event has, far less than etcd refuses with a 500 (body-2mb.json)."""
_TIMEOUT = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
_ABSENT = 404
_CLUSTER = "kcp.io/cluster"
_OCCURRENCES, _LAST_SEEN = "batcher.kcp.io/occurrences", "batcher.kcp.io/last-seen"
_DIGITS = 18
"""More than any count has; Python refuses to read numbers of thousands of digits."""

T = TypeVar("T")


class Response(Protocol):
    """What is read of an answer; aiohttp's has it."""

    @property
    def status(self) -> int:
        """HTTP's code."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case."""
        ...

    async def read(self) -> bytes:
        """Return the body."""
        ...


class Requests(Protocol):
    """What the publisher needs of a connection."""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accept: str = JSON,
        timeout: aiohttp.ClientTimeout,
    ) -> AbstractAsyncContextManager[Response]:
        """Send one request. Raises :class:`Unavailable` when no answer came."""
        ...


class _Seen(msgspec.Struct, rename="camel"):
    resource_version: str
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class _About(msgspec.Struct):
    kind: str | None = None
    name: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    """What matters of an Event that the server holds."""

    metadata: _Seen
    involved_object: _About
    message: str | None = None


class _Raw(NamedTuple):
    status: int
    content: bytes
    answer: Answer


class Brought(NamedTuple):
    """What the last answer to a write means; the rest only when the server has these totals or newer ones."""

    answer: Answer
    version: str | None = None
    """The object's resourceVersion."""
    cluster: str = ""
    """The logical cluster that the object says it is in; empty when it says none."""


async def bring(connection: Requests, write: Write, known: str | None) -> Brought:
    """Send ``write``; ``known`` is the resourceVersion of the object as last seen, None: never seen.

    Raises :class:`Unavailable` when no answer came, or none that an API server would give.
    """
    raw = await (_put(connection, write, known) if known else _post(connection, write))
    if raw.answer.meaning is Meaning.READ_FIRST:
        raw = await _read_and_decide(connection, write)
    if raw.answer.meaning is not Meaning.WRITTEN:
        return Brought(raw.answer)
    found = _decoded(raw, _Event).metadata
    return Brought(raw.answer, found.resource_version, (found.annotations or {}).get(_CLUSTER, ""))


async def _read_and_decide(connection: Requests, write: Write) -> _Raw:
    raw = await _send(connection, "GET", item(write), None)
    if raw.status == _ABSENT:
        return await _post(connection, write)
    if raw.answer.meaning is not Meaning.WRITTEN:
        return raw
    current = _decoded(raw, _Event)
    if _is_told(current, msgspec.convert(write.event | {"metadata": _seen(write)}, _Event)):
        return raw
    return await _put(connection, write, current.metadata.resource_version)


def _seen(write: Write) -> dict[str, Any]:
    return {"resourceVersion": "", **write.event["metadata"]}


def _is_told(current: _Event, ours: _Event) -> bool:
    """Whether the server has newer totals than ours, or these very ones. Lower totals never replace higher."""
    if current.involved_object != ours.involved_object:
        return False
    theirs, wanted = _totals(current), _totals(ours)
    same = (current.message, _incident(current)) == (ours.message, _incident(ours))
    return theirs > wanted or (theirs == wanted and same)


def _incident(event: _Event) -> str:
    """The incident that it is said to be a member of: it comes to a summary that is there already."""
    return (event.metadata.labels or {}).get(LABEL, "")


def _totals(event: _Event) -> tuple[int, str]:
    """Occurrences, and when last seen: a text of fixed width. Less than any for what is not ours."""
    annotations = event.metadata.annotations or {}
    count = annotations.get(_OCCURRENCES, "")
    readable = count.isascii() and count.isdigit() and len(count) <= _DIGITS
    return int(count) if readable else -1, annotations.get(_LAST_SEEN, "")


async def _post(connection: Requests, write: Write) -> _Raw:
    return await _send(connection, "POST", collection(write), write.event)


async def _put(connection: Requests, write: Write, version: str) -> _Raw:
    event = {**write.event, "metadata": {**write.event["metadata"], "resourceVersion": version}}
    return await _send(connection, "PUT", item(write), event)


async def _send(connection: Requests, method: str, path: str, event: dict[str, Any] | None) -> _Raw:
    body = None if event is None else msgspec.json.encode(event)
    if body and len(body) > LARGEST_BODY:
        return _Raw(0, b"", Answer(Meaning.NEVER, "BodyTooLarge"))
    async with connection.request(method, path, body=body, timeout=_TIMEOUT) as response:
        content = await response.read()
        said = None if response.status < 300 else _status(content)  # noqa: PLR2004  HTTP's own number
        answer = classify(response.status, said, response.headers.get("Retry-After"))
        return _Raw(response.status, content, answer)


def _status(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return None


def _decoded(raw: _Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw.content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"the answer {raw.status} is no Event: {error}"
        raise Unavailable(message) from None
