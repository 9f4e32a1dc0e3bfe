"""Write the newest totals of summaries into their workspaces, until they are there.

Level-triggered: what waits is one newest version a summary, never a queue of changes. One request in flight
a summary. Created by POST; updated by PUT with the resourceVersion of the last outcome; after a conflict or
an unknown end the object is read first, because a late unconditional PUT would bring old totals back. One
worker a workspace, so that a slow or refused one delays no other.

Never writes outside the allowed workspaces, and keeps nothing on disk: what was in flight in a crash is
written again from committed state, and finds itself there.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import msgspec

from batcher.clock import Now, to_micros
from batcher.errors import Unavailable
from batcher.publish.answers import Answer, Meaning, classify
from batcher.publish.writes import Outcome, Result, Write

REQUEST_SECONDS = 30.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
REMEMBERED = 200_000
"""Summaries whose last outcome is remembered, so that what is not in the state yet is not sent again."""


class Requests(Protocol):
    """What the publisher needs of a connection."""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: aiohttp.ClientTimeout,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send one request. Raises :class:`Unavailable` when no answer came."""
        ...


@dataclass(frozen=True)
class Status:
    """The publisher at a moment."""

    pending: int
    written: int
    refused: int
    last_error: str


class _Queue:
    """What waits for one workspace, oldest first, newest version each."""

    def __init__(self) -> None:
        self.waiting: OrderedDict[str, Write] = OrderedDict()
        self.in_flight: Write | None = None
        self.news = asyncio.Event()

    def put(self, write: Write) -> None:
        current = self.in_flight
        if current and current.summary == write.summary and current.version >= write.version:
            return
        waiting = self.waiting.get(write.summary)
        if waiting is None or waiting.version <= write.version:
            self.waiting[write.summary] = write
        self.news.set()

    def __len__(self) -> int:
        return len(self.waiting) + (self.in_flight is not None)


class Publisher:
    """Writes summaries; what became of them is taken with :meth:`take_outcomes`."""

    def __init__(
        self, connection: Requests, *, now: Now, allowed: Callable[[str], bool], max_pending: int = 100_000
    ) -> None:
        """Write over ``connection`` to workspaces that are ``allowed``; hold at most ``max_pending``."""
        self._connection = connection
        self._now = now
        self._allowed = allowed
        self._max_pending = max_pending
        self._queues: dict[str, _Queue] = {}
        self._outcomes: list[Outcome] = []
        self._versions: OrderedDict[str, tuple[int, str | None]] = OrderedDict()
        self._new_queue = asyncio.Event()
        self._idle = asyncio.Condition()
        self._written = self._refused = 0
        self._last_error = ""

    def offer(self, writes: Iterable[Write]) -> None:
        """Take ``writes`` to be sent; a newer version replaces one that waits. Never blocks."""
        for write in writes:
            if self._handled(write):
                continue
            if not self._allowed(write.workspace):
                self._end(write, Result.REFUSED, None, "WorkspaceNotAllowed")
            elif self.status.pending < self._max_pending:
                self._queue(write.workspace).put(write)

    def _handled(self, write: Write) -> bool:
        """Whether the outcome of this version is on its way into the state already."""
        return self._versions.get(write.summary, (-1, None))[0] >= write.version

    def _queue(self, workspace: str) -> _Queue:
        if workspace not in self._queues:
            self._queues[workspace] = _Queue()
            self._new_queue.set()
        return self._queues[workspace]

    def take_outcomes(self) -> list[Outcome]:
        """Return the outcomes since the last call, and forget them."""
        taken, self._outcomes = self._outcomes, []
        return taken

    @property
    def status(self) -> Status:
        """The publisher at this moment."""
        pending = sum(len(queue) for queue in self._queues.values())
        return Status(pending, self._written, self._refused, self._last_error)

    async def run(self) -> None:
        """Write for ever: one worker a workspace."""
        started: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                for workspace in set(self._queues) - started:
                    started.add(workspace)
                    group.create_task(self._work(self._queues[workspace]))
                await self._new_queue.wait()
                self._new_queue.clear()

    async def drain(self) -> None:
        """Return when nothing waits or is in flight, or every workspace that has something refuses or is away."""
        async with self._idle:
            await self._idle.wait_for(lambda: not self.status.pending)

    async def _work(self, queue: _Queue) -> None:
        failures = 0
        while True:
            while not queue.waiting:
                queue.news.clear()
                await queue.news.wait()
            _, write = queue.waiting.popitem(last=False)
            queue.in_flight = write
            pause = await self._send(write, failures)
            queue.in_flight = None
            failures = failures + 1 if pause else 0
            if pause:
                queue.waiting.setdefault(write.summary, write)
            async with self._idle:
                self._idle.notify_all()
            if pause:
                await asyncio.sleep(pause)

    async def _send(self, write: Write, failures: int) -> float:
        """Try once. Return 0 when the write has ended, else the seconds to wait before the next."""
        try:
            answer, version = await self._write(write)
        except Unavailable as error:
            answer, version = Answer(Meaning.LATER, "NoAnswer"), None
            self._last_error = str(error)
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**failures)
        if answer.meaning is Meaning.WRITTEN:
            self._end(write, Result.WRITTEN, version, "")
            return 0
        if answer.meaning in {Meaning.NEVER, Meaning.CAUSE_MAY_PASS}:
            self._end(write, Result.REFUSED, None, answer.reason)
            return 0
        return answer.after or backoff

    async def _write(self, write: Write) -> tuple[Answer, str | None]:
        known = write.resource_version or self._versions.get(write.summary, (-1, None))[1]
        answer, found = await self._put(write, known) if known else await self._post(write)
        if answer.meaning is not Meaning.READ_FIRST:
            return answer, found
        answer, current = await self._get(write)
        if answer.meaning is not Meaning.WRITTEN or current is None:
            return answer, None
        version: str = current["metadata"]["resourceVersion"]
        if _occurrences(current) >= _occurrences(write.event) and _same_object(current, write.event):
            return answer, version
        return await self._put(write, version)

    async def _post(self, write: Write) -> tuple[Answer, str | None]:
        return await self._request("POST", _collection(write), write.event)

    async def _put(self, write: Write, version: str) -> tuple[Answer, str | None]:
        event = {**write.event, "metadata": {**write.event["metadata"], "resourceVersion": version}}
        return await self._request("PUT", _object(write), event)

    async def _request(self, method: str, path: str, event: dict[str, Any]) -> tuple[Answer, str | None]:
        async with self._answer(method, path, msgspec.json.encode(event)) as (answer, body):
            version = body["metadata"]["resourceVersion"] if answer.meaning is Meaning.WRITTEN else None
            return answer, version

    async def _get(self, write: Write) -> tuple[Answer, dict[str, Any] | None]:
        async with self._answer("GET", _object(write), None) as (answer, body):
            return answer, body if answer.meaning is Meaning.WRITTEN else None

    @contextlib.asynccontextmanager
    async def _answer(self, method: str, path: str, body: bytes | None) -> AsyncIterator[tuple[Answer, Any]]:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        async with self._connection.request(method, path, body=body, timeout=timeout) as response:
            content = await response.read()
            try:
                decoded = msgspec.json.decode(content)
            except msgspec.DecodeError:
                decoded = None
            answer = classify(response.status, decoded, response.headers.get("Retry-After"))
            yield answer, decoded

    def _end(self, write: Write, result: Result, version: str | None, reason: str) -> None:
        self._versions[write.summary] = (write.version, version)
        self._versions.move_to_end(write.summary)
        if len(self._versions) > REMEMBERED:
            self._versions.popitem(last=False)
        self._written += result is Result.WRITTEN
        self._refused += result is Result.REFUSED
        at = to_micros(self._now())
        self._outcomes.append(Outcome(write.summary, write.version, result, version, reason, at))


def _collection(write: Write) -> str:
    return f"/clusters/{quote(write.workspace, safe=':')}/api/v1/namespaces/{quote(write.namespace, safe='')}/events"


def _object(write: Write) -> str:
    return f"{_collection(write)}/{quote(write.name, safe='')}"


def _occurrences(event: dict[str, Any]) -> int:
    text = (event["metadata"].get("annotations") or {}).get("batcher.kcp.io/occurrences", "")
    return int(text) if text.isdigit() else -1


def _same_object(current: dict[str, Any], ours: dict[str, Any]) -> bool:
    about, wanted = current.get("involvedObject") or {}, ours["involvedObject"]
    return all(about.get(key) == wanted[key] for key in ("kind", "name"))
