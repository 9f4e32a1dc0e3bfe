"""Acquire a Lease, renew it, know when it is lost, and give it up: the loop of client-go's leaderelection.

Whether another's Lease is over is decided by observation on our own clock, which never runs backwards: it is over when
its record has not changed for as long as it says to last. The times in it are another machine's, and for people only.
A write always names the version that was read, so that of two who try at once one is refused.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple, Protocol
from urllib.parse import quote

import aiohttp
import msgspec

from batcher.clock import Now
from batcher.errors import BatcherError, Unavailable
from batcher.lease.record import Found, Record, given_up, lease, taken

JITTER = 1.2
"""client-go's: who waits tries again after a period and up to so many more of it, so that not all try at once."""


class Response(Protocol):
    """What is read of an answer; aiohttp's has it."""

    @property
    def status(self) -> int:
        """HTTP's code."""
        ...

    async def read(self) -> bytes:
        """Return the body."""
        ...


class Requests(Protocol):
    """What the election needs of a connection."""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: aiohttp.ClientTimeout,
    ) -> AbstractAsyncContextManager[Response]:
        """Send one request. Raises :class:`Unavailable` when no answer came."""
        ...

    async def reload(self) -> None:
        """Read the credentials again, after one was refused."""
        ...


class Terms(NamedTuple):
    """Which Lease, by which name it is held, and for how long, in seconds."""

    namespace: str
    name: str
    identity: str
    lease_seconds: float = 15.0
    """Who waits takes it after so long without a renewal."""
    renew_seconds: float = 10.0
    """The holder gives up after so long without one; less than ``lease_seconds``."""
    retry_seconds: float = 2.0
    """Between two tries."""

    @property
    def path(self) -> str:
        """Where Leases of the namespace are made."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{quote(self.namespace, safe='')}/leases"

    @property
    def item(self) -> str:
        """Where the Lease itself is."""
        return f"{self.path}/{quote(self.name, safe='')}"


class Elector:
    """One candidate for one Lease. Belongs to one event loop."""

    def __init__(self, connection: Requests, terms: Terms, *, now: Now, rng: random.Random | None = None) -> None:
        """Stand for ``terms``; nothing is sent yet."""
        self.terms = terms
        self.trouble = ""
        """Why the last try failed; empty if it did not, whoever holds the Lease."""
        self.failures = 0
        """Tries that failed because nobody answered as an API server does."""
        self.since: datetime | None = None
        """Since when this one leads; None: it does not."""
        self._connection = connection
        self._now = now
        self._rng = rng or random.Random()  # noqa: S311  jitter, not a secret
        self._record = Record()
        self._version = ""
        self._observed_at = 0.0

    @property
    def leading(self) -> bool:
        """Whether this one holds the Lease, as far as it knows."""
        return self.since is not None

    @property
    def holder(self) -> str:
        """Who holds the Lease, as it was observed last; empty: nobody."""
        return self._record.holder

    async def acquire(self) -> None:
        """Return when this one leads; wait for ever, if need be."""
        while not await self._try():  # noqa: ASYNC110  what is waited for happens elsewhere
            await asyncio.sleep(self.terms.retry_seconds * (1 + JITTER * self._rng.random()))
        self.since = self._now()

    async def renew(self) -> None:
        """Renew the Lease for ever; return when it is lost, or could not be renewed in time and may be another's."""
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        while True:
            await asyncio.sleep(min(self.terms.retry_seconds, self._left(renewed_at)))
            sent_at = loop.time()
            try:
                async with asyncio.timeout_at(renewed_at + self.terms.renew_seconds):
                    renewed = await self._try()
            except TimeoutError:
                renewed = False
            if renewed:
                renewed_at = sent_at
            elif self.holder != self.terms.identity or self._left(renewed_at) <= 0:
                self.since = None
                return

    async def release(self) -> None:
        """Give the Lease up, if it is held, so that the next one need not wait; what fails is left to expire."""
        if not self.leading:
            return
        self.since = None
        record = given_up(self._record, self._now())
        try:
            await self._send("PUT", self.terms.item, self._body(record))
        except BatcherError as error:
            self.trouble = str(error)

    def _left(self, renewed_at: float) -> float:
        """Seconds until it must be given up."""
        return renewed_at + self.terms.renew_seconds - asyncio.get_running_loop().time()

    async def _try(self) -> bool:
        """Acquire or renew the Lease once; what goes wrong is a reason to try again."""
        try:
            held = await self._acquire_or_renew()
        except BatcherError as error:
            self.failures += 1
            self.trouble = str(error)
            return False
        self.trouble = ""
        return held

    async def _acquire_or_renew(self) -> bool:
        if self.leading and await self._put():
            return True
        found = await self._send("GET", self.terms.item)
        if found is None:
            self._version = ""
            self._record = Record()
            return await self._write("POST", self.terms.path)
        self._observe(found)
        if self._is_anothers():
            return False
        return await self._put()

    def _observe(self, found: Found) -> None:
        """Note a Lease as it is now; a record that has changed is one whose holder lives."""
        if found.spec != self._record:
            self._record = found.spec
            self._observed_at = asyncio.get_running_loop().time()
        self._version = found.version

    def _is_anothers(self) -> bool:
        if self._record.holder in {"", self.terms.identity}:
            return False
        lasts = self._record.lease_duration_seconds or self.terms.lease_seconds
        return asyncio.get_running_loop().time() < self._observed_at + lasts

    async def _put(self) -> bool:
        return await self._write("PUT", self.terms.item)

    async def _write(self, method: str, path: str) -> bool:
        """Write the Lease as ours; False if somebody else was faster."""
        seconds = max(1, round(self.terms.lease_seconds))
        record = taken(self._record, self.terms.identity, seconds, self._now())
        found = await self._send(method, path, self._body(record))
        if found is None:
            return False
        self._observe(found)
        return self.holder == self.terms.identity

    def _body(self, record: Record) -> bytes:
        return lease(self.terms.namespace, self.terms.name, record, self._version)

    async def _send(self, method: str, path: str, body: bytes | None = None) -> Found | None:
        """Return the Lease that was answered; None if there is none (404), or another's write came between (409).

        Raises :class:`Unavailable` for any other answer, and without one in half the time there is.
        """
        timeout = aiohttp.ClientTimeout(total=self.terms.renew_seconds / 2)
        async with self._connection.request(method, path, body=body, timeout=timeout) as response:
            status, content = response.status, await response.read()
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            return None
        if status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            if status == HTTPStatus.UNAUTHORIZED:
                await self._connection.reload()
            message = f"the Lease {self.terms.namespace}/{self.terms.name}: HTTP {status} for {method}"
            raise Unavailable(message)
        try:
            return msgspec.json.decode(content, type=Found)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"the Lease {self.terms.namespace}/{self.terms.name}: the answer is none: {error}"
            raise Unavailable(message) from None
