"""All clusters at once: one task each, so that a bad one never slows another.

A cluster is known by the UID of its kube-system Namespace, which is asked first: the same address with
another UID is another cluster, and starts without a cursor.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import msgspec

from batcher.clock import Now
from batcher.connect import Connection
from batcher.errors import BatcherError, Unavailable
from batcher.spool import Stream
from batcher.watch.observe import FIRST_PAUSE, LONGEST_PAUSE, observe
from batcher.watch.status import Statuses
from batcher.watch.stream import Cursor, Feed, Sink

LISTS_AT_ONCE = 4
"""A LIST goes to etcd; hundreds at a restart would hurt the clusters more than waiting hurts us."""


@dataclass(frozen=True)
class ClusterSpec:
    """A cluster to watch: its configured name, how to reach it, and which namespaces (none: all)."""

    name: str
    connection: Connection
    namespaces: tuple[str, ...] = ()
    resources: tuple[str, ...] = ("events",)


class Fleet:
    """The watches of all configured clusters."""

    def __init__(
        self,
        clusters: Sequence[ClusterSpec],
        *,
        sink: Sink,
        cursors: Mapping[Stream, str],
        now: Now,
        rng: random.Random | None = None,
    ) -> None:
        """Watch ``clusters`` into ``sink``, each stream from its cursor."""
        self._clusters = clusters
        self._sink = sink
        self._cursors = cursors
        self._now = now
        self._rng = rng or random.Random()  # noqa: S311  jitter, not a secret
        self._lists = asyncio.Semaphore(LISTS_AT_ONCE)
        self.statuses = Statuses()
        for spec in clusters:
            self.statuses.update(spec.name, phase="starting")

    async def run(self) -> None:
        """Watch for ever; ends only with a disk that cannot be trusted, or when cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for spec in self._clusters:
                    group.create_task(self._watch(spec))
        finally:
            for spec in self._clusters:
                self.statuses.update(spec.name, phase="stopped")
                await spec.connection.close()

    async def _watch(self, spec: ClusterSpec) -> None:
        uid = await self._identify(spec)
        self.statuses.update(spec.name, uid=uid)
        async with asyncio.TaskGroup() as group:
            for resource in spec.resources:
                for scope in spec.namespaces or ("",):
                    group.create_task(self._observe(spec, Stream(uid, resource, scope)))

    async def _observe(self, spec: ClusterSpec, stream: Stream) -> None:
        feed = Feed(
            spec.connection, stream, spec.name, self._sink, self._rng, lambda what: self._heard(spec.name, what)
        )
        cursor = Cursor(self._cursors.get(stream, ""))
        await observe(feed, cursor, statuses=self.statuses, lists=self._lists)

    def _heard(self, name: str, what: str) -> None:
        at = self._now()
        heard = {"last_contact_at": at} | ({"last_event_at": at} if what == "event" else {})
        self.statuses.update(name, **heard)

    async def _identify(self, spec: ClusterSpec) -> str:
        failures = 0
        while True:
            try:
                return await cluster_uid(spec.connection)
            except BatcherError as error:
                failures += 1
                self.statuses.update(spec.name, phase="waiting", last_error=str(error), restarts=failures)
                await asyncio.sleep(self._rng.uniform(0.5, 1.0) * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**failures))


class _Namespace(msgspec.Struct):
    metadata: dict[str, object]


async def cluster_uid(connection: Connection) -> str:
    """Return the UID of the cluster's kube-system Namespace; raise :class:`Unavailable` without one."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with connection.request("GET", "/api/v1/namespaces/kube-system", timeout=timeout) as response:
        body = await response.read()
    try:
        uid = msgspec.json.decode(body, type=_Namespace).metadata.get("uid")
    except msgspec.DecodeError:
        uid = None
    if response.status != 200 or not isinstance(uid, str) or not uid:  # noqa: PLR2004
        message = f"{connection.name}: HTTP {response.status} for the kube-system Namespace, which tells clusters apart"
        raise Unavailable(message)
    return uid
