"""The requests of a check, and what they tell of the other side's clock.

There are two: a read, and a review of one's own permissions. So a check cannot change anything, whatever asks it to.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import aiohttp
import msgspec

from batcher.clock import Now
from batcher.connect import Connection
from batcher.errors import Unavailable
from batcher.watch.answers import read_at_most, refuse_errors

JSON = "application/json"
LARGEST = 32 * 1024 * 1024
"""Bytes of an answer; a page of 500 objects' metadata has a few hundred kilobytes."""
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_DONE = frozenset({int(HTTPStatus.OK), int(HTTPStatus.CREATED)})
_NOTHING = frozenset[int]()
_WHAT_IS_ALLOWED = frozenset({int(HTTPStatus.FORBIDDEN), int(HTTPStatus.NOT_FOUND)})
"""Answers that say something of permissions."""
_HALF_A_SECOND = timedelta(milliseconds=500)
"""What a Date header, of whole seconds, is behind in the mean."""


T = TypeVar("T")


class Wanted(NamedTuple):
    """Something that is to be allowed."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    """Empty: in all of them."""
    subresource: str = ""
    name: str = ""


class _Answer(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Answer = msgspec.field(default_factory=_Answer)


class _Details(msgspec.Struct):
    kind: str = ""


class _Status(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


class Asking:
    """Asks one API server; ``below`` is put before each path, such as ``/clusters/root:shop``."""

    def __init__(self, connection: Connection, now: Now, below: str = "") -> None:
        """Ask over ``connection``; nothing is sent yet."""
        self.connection = connection
        self.skew: timedelta | None = None
        """How far the server's clock is ahead of ours, by its last answer."""
        self._now = now
        self._below = below

    @property
    def server_now(self) -> datetime:
        """The time on the server's clock; on ours while that is unknown."""
        return self._now() + (self.skew or timedelta(0))

    async def get(self, path: str, kind: type[T], *, params: Mapping[str, str] | None = None, accept: str = JSON) -> T:
        """Return the answer as a ``kind``. Raises as :func:`batcher.watch.answers.refuse_errors` says."""
        _, body = await self._ask("GET", path, refused=_NOTHING, params=params, accept=accept)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"{path}: not what an API server answers: {error}"
            raise Unavailable(message) from None

    async def status(self, path: str) -> tuple[int, str]:
        """Return the status of a read and of what kind a Status says that it is; 401 and 5xx are raised."""
        status, body = await self._ask("GET", path, refused=_WHAT_IS_ALLOWED)
        try:
            return status, msgspec.json.decode(body, type=_Status).details.kind
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return status, ""

    async def may(self, wanted: Wanted) -> bool | None:
        """Return whether the server allows ``wanted``; None if it does not let us ask."""
        attributes = {name: value for name, value in wanted._asdict().items() if value}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        status, body = await self._ask("POST", _REVIEWS, refused=_WHAT_IS_ALLOWED, body=msgspec.json.encode(review))
        if status not in _DONE:
            return None
        try:
            return msgspec.json.decode(body, type=_Review).status.allowed
        except (msgspec.DecodeError, RecursionError) as error:
            message = f"{self.connection.name}: the answer is no review: {error}"
            raise Unavailable(message) from None

    async def _ask(self, method: str, path: str, *, refused: frozenset[int], **how: Any) -> tuple[int, bytes]:
        """Send one request; a status that is no success and not among those ``refused`` is raised."""
        timeout = aiohttp.ClientTimeout(total=None)  # whoever checks has a limit for all of it
        sent = self._now()
        async with self.connection.request(method, self._below + path, timeout=timeout, **how) as response:
            self._hear(response.headers.get("Date", ""), sent)
            if response.status not in _DONE | refused:
                await refuse_errors(response, path)
            return response.status, await self._whole(response, path)

    async def _whole(self, response: aiohttp.ClientResponse, path: str) -> bytes:
        body = await read_at_most(response, LARGEST)
        if body is None:
            message = f"{self.connection.name}: the answer for {path} has more than {LARGEST} bytes"
            raise Unavailable(message)
        return body

    def _hear(self, date: str, sent: datetime) -> None:
        """Learn the skew: the answer was dated between when we asked and now."""
        try:
            told = parsedate_to_datetime(date).astimezone(UTC) + _HALF_A_SECOND
        except (TypeError, ValueError):
            return
        received = self._now()
        if sent - _HALF_A_SECOND <= told <= received + _HALF_A_SECOND:
            self.skew = timedelta(0)
        else:
            self.skew = told - (sent + (received - sent) / 2)
