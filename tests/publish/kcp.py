"""A small kcp behind what the publisher needs of a connection: Events by path, and scripted faults."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp
import msgspec

from batcher.errors import Unavailable
from batcher.publish import Delivery, Identities, Lookup, Publisher, Way, Write

NOW = datetime(2026, 11, 23, 16, tzinfo=UTC)
SHOP, TEAM_A = "root:shop", "root:team-a"
OCCURRENCES, LAST_SEEN = "batcher.kcp.io/occurrences", "batcher.kcp.io/last-seen"


class Fault(NamedTuple):
    """What happens to one request: no answer, unless there is a ``status``."""

    status: int = 0
    reason: str = ""
    retry_after: str = ""
    content: bytes | None = None
    done: bool = False
    """The server does as it is asked all the same."""
    late: float = 0.0
    """The server does as it is asked, seconds after the client has given up."""


LOST, UNREACHED = Fault(done=True), Fault()
AWAY, FORBIDDEN, INVALID = Fault(503), Fault(403, "Forbidden"), Fault(422, "Invalid")


class Asked(NamedTuple):
    at: float
    method: str
    path: str
    version: str | None


class Answered:
    def __init__(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        self._content = content

    async def read(self) -> bytes:
        return self._content


@dataclass
class Kcp:
    """Serves as the recorded one does, after ``latency`` seconds of loop time."""

    latency: float = 0.0
    faults: deque[Fault | None] = field(default_factory=deque)
    """One a request, in order; None: none."""
    lasting: dict[str, Fault] = field(default_factory=dict)
    """For each request whose path has the text."""
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    totals: dict[str, list[int]] = field(default_factory=dict)
    """Each total that an object ever had."""
    overlaps: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """The logical cluster's name of each workspace that has one here; both lead to it."""
    uids: dict[str, str] = field(default_factory=dict)
    """uids of objects other than Events, by path."""
    version: int = 100
    _flying: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,  # noqa: ARG002  as Requests has it
        body: bytes | None = None,
        accept: str = "application/json",  # noqa: ARG002  as Requests has it
        timeout: aiohttp.ClientTimeout,  # noqa: ARG002, ASYNC109  as Requests has it
    ) -> AsyncIterator[Answered]:
        event = msgspec.json.decode(body) if body else None
        version = event["metadata"].get("resourceVersion") if event else None
        self.asked.append(Asked(asyncio.get_running_loop().time(), method, path, version))
        where = self._by_path(f"{path}/{event['metadata']['name']}" if event and method == "POST" else path)
        if where in self._flying:
            self.overlaps.append(where)
        self._flying.add(where)
        try:
            await asyncio.sleep(self.latency / 2)
            answered = self._answer(method, where, event, self._fault(path))
            await asyncio.sleep(self.latency / 2)
        finally:
            self._flying.discard(where)
        yield answered

    def _by_path(self, path: str) -> str:
        for workspace, logical in self.names.items():
            path = path.replace(f"/clusters/{logical}/", f"/clusters/{workspace}/")
        return path

    def _fault(self, path: str) -> Fault | None:
        lasting = next((fault for text, fault in self.lasting.items() if text in path), None)
        return lasting or (self.faults.popleft() if self.faults else None)

    def _answer(self, method: str, where: str, event: Any, fault: Fault | None) -> Answered:
        if fault is None:
            return self._serve(method, where, event)
        if fault.done:
            self._serve(method, where, event)
        if fault.late:
            asyncio.get_running_loop().call_later(fault.late, self._serve, method, where, event)
        if not fault.status:
            message = "kcp: no answer in time"
            raise Unavailable(message)
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
        status = msgspec.json.encode({"kind": "Status", "reason": fault.reason})
        return Answered(fault.status, status if fault.content is None else fault.content, headers)

    def _serve(self, method: str, where: str, event: Any) -> Answered:
        current = self.objects.get(where)
        if where in self.uids:
            return Answered(200, msgspec.json.encode({"metadata": {"uid": self.uids[where]}}))
        if method == "GET":
            return Answered(200, msgspec.json.encode(current)) if current else _no(404, "NotFound")
        if method == "POST" and current:
            return _no(409, "AlreadyExists")
        given = event["metadata"].get("resourceVersion")
        if current and given and given != current["metadata"]["resourceVersion"]:
            return _no(409, "Conflict")
        return Answered(200 if current else 201, msgspec.json.encode(self._store(where, event)))

    def _store(self, where: str, event: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = event["metadata"] | {"resourceVersion": str(self.version)}
        if logical := self.names.get(where.split("/")[2]):
            metadata["annotations"] = metadata["annotations"] | {"kcp.io/cluster": logical}
        stored = event | {"metadata": metadata}
        self.objects[where] = stored
        self.totals.setdefault(where, []).append(int(stored["metadata"]["annotations"][OCCURRENCES]))
        return stored

    async def retire(self) -> None:
        """A connection is not closed for what is no connection."""

    def touch(self, where: str, **changes: Any) -> None:
        """Somebody else changes the Event at ``where``."""
        self._store(where, self.objects[where] | changes)

    @property
    def told(self) -> dict[str, int]:
        """The newest total of each Event, by its name."""
        return {where.rpartition("/")[2]: totals[-1] for where, totals in self.totals.items()}

    def sent(self) -> list[tuple[str, str | None]]:
        """The method and resourceVersion of each request, in order."""
        return [(method, version) for _, method, _, version in self.asked]

    def times(self, text: str) -> list[float]:
        """When each request whose path has ``text`` was sent."""
        return [at for at, _, path, _ in self.asked if text in path]


def _no(status: int, reason: str) -> Answered:
    return Answered(status, msgspec.json.encode({"kind": "Status", "reason": reason}))


def where(name: str, workspace: str = SHOP, namespace: str = "web") -> str:
    return f"/clusters/{workspace}/api/v1/namespaces/{namespace}/events/{name}"


def write(
    name: str = "web.1",
    total: int = 1,
    *,
    version: int | None = None,
    workspace: str = SHOP,
    namespace: str = "web",
    known: str | None = None,
    message: str = "Back-off restarting failed container",
    last: str = "2026-11-23T16:00:00.000000Z",
) -> Write:
    """Return version ``version`` (``total``, when not given) of the summary ``name``."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {OCCURRENCES: str(total), LAST_SEEN: last},
        },
        "involvedObject": {"kind": "Deployment", "namespace": namespace, "name": "web"},
        "message": message,
        "count": total,
    }
    return Write(
        summary=f"{workspace}/{name}",
        version=total if version is None else version,
        workspace=workspace,
        namespace=namespace,
        name=name,
        event=event,
        resource_version=known,
    )


@asynccontextmanager
async def publishing(
    kcp: Kcp,
    *,
    workspaces: Sequence[str] = ("**",),
    lookup: Lookup | None = None,
    per_second: float = 100_000.0,
    max_pending: int = 100_000,
    remembered: int = 1000,
) -> AsyncIterator[Publisher]:
    """Run a publisher against ``kcp`` until the block ends; then it forgets everything."""
    targets = Identities(Way(pattern, kcp) for pattern in workspaces)
    publisher = Publisher(
        Delivery(targets, lookup),
        now=lambda: NOW,
        per_second=per_second,
        max_pending=max_pending,
        remembered=remembered,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(publisher.run())
        yield publisher
        running.cancel()
