"""All clusters at once: one task each, so that a bad one never slows another.

Which clusters there are may change at any time; what goes on is not touched by what comes or goes. Nothing
here knows what a configuration is.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from batcher.clock import Now
from batcher.connect import Connection
from batcher.errors import BatcherError, Replaced, Unauthorized
from batcher.spool import UNLISTED, Kind, Section, Stream
from batcher.watch.audit import Seen, audit
from batcher.watch.backoff import Backoff
from batcher.watch.feed import EVENTS, Cursor, Feed, Incarnations, Sink
from batcher.watch.identity import cluster_uid
from batcher.watch.observe import observe
from batcher.watch.status import Statuses

LISTS_AT_ONCE = 4
"""A LIST goes to etcd; hundreds at a restart would hurt the clusters more than waiting hurts us."""
CLUSTER_WIDE = frozenset({"namespaces"})
"""Resources that have no namespace."""


@dataclass(frozen=True)
class ClusterSpec:
    """A cluster to watch: its configured name, how to reach it, and which namespaces (none: all)."""

    name: str
    connection: Connection
    namespaces: tuple[str, ...] = ()
    resources: tuple[str, ...] = (EVENTS,)
    event_ttl: timedelta = timedelta(hours=1)

    def streams(self, uid: str) -> list[Stream]:
        """Return what is watched of the cluster ``uid``."""
        return [
            Stream(uid, resource, scope)
            for resource in self.resources
            for scope in (("",) if resource in CLUSTER_WIDE else self.namespaces or ("",))
        ]


class Fleet:
    """The watches of all configured clusters."""

    def __init__(
        self,
        clusters: Sequence[ClusterSpec],
        *,
        sink: Sink,
        cursors: Callable[[], Mapping[Stream, str]],
        now: Now,
        rng: random.Random | None = None,
    ) -> None:
        """Watch ``clusters`` into ``sink``, each stream from what ``cursors`` says is on disk."""
        self._sink = sink
        self._cursors = cursors
        self._incarnations = Incarnations(cursors())
        self._seen: Seen | None = None
        self._rng = rng or random.Random()  # noqa: S311  jitter, not a secret
        self._lists = asyncio.Semaphore(LISTS_AT_ONCE)
        self._changed = asyncio.Event()
        self._wanted: dict[str, ClusterSpec] = {}
        self.statuses = Statuses(now)
        self.apply(clusters)

    def apply(self, clusters: Sequence[ClusterSpec]) -> None:
        """Watch exactly ``clusters`` from now on; one whose spec is the same object goes on undisturbed.

        A cluster that comes back resumes from its cursor.
        """
        self._wanted = {spec.name: spec for spec in clusters}
        for name in self._wanted.keys() - self.statuses.all.keys():
            self.statuses.update(name, phase="starting")
        self._changed.set()

    async def run(self, seen: Seen | None = None) -> None:
        """Watch for ever; ends only with a disk that cannot be trusted, or when cancelled.

        With ``seen``, what the API servers never sent is looked for, each half of a cluster's event TTL.
        """
        self._seen = seen
        running: dict[str, tuple[ClusterSpec, asyncio.Task[None]]] = {}
        for stream in self._incarnations.outdated():
            await self._sink.append(Section(stream, "", Kind.CURSOR, ""))
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                await self._end_unwanted(running)
                for name, spec in self._wanted.items():
                    if name not in running:
                        running[name] = spec, group.create_task(self._watch(spec))
                await self._changed.wait()

    async def _end_unwanted(self, running: dict[str, tuple[ClusterSpec, asyncio.Task[None]]]) -> None:
        ended = [name for name, (spec, _) in running.items() if self._wanted.get(name) is not spec]
        tasks = [running.pop(name)[1] for name in ended]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for name in ended:
            if name not in self._wanted:
                self.statuses.forget(name)

    async def _watch(self, spec: ClusterSpec) -> None:
        backoff = Backoff(self._rng)
        try:
            while True:
                backoff.begin()
                try:
                    await self._watch_one(spec, await cluster_uid(spec.connection))
                except BatcherError as error:
                    backoff.failed()
                    self.statuses.failed(spec.name, error)
                    if isinstance(error, Unauthorized):
                        await spec.connection.reload()
                await backoff.wait()
        finally:
            self.statuses.stopped(spec.name)
            await spec.connection.close()

    async def _watch_one(self, spec: ClusterSpec, uid: str) -> None:
        """Watch the cluster ``uid`` for ever. Raises :class:`Replaced` when another one answers in its place."""
        self.statuses.begin(spec.name, uid)
        try:
            async with asyncio.TaskGroup() as group:
                for stream in spec.streams(uid):
                    self._begin(group, spec, stream)
        except BaseExceptionGroup as group_of_errors:
            replaced, others = group_of_errors.split(Replaced)
            if replaced is None or others is not None:
                raise
            message = f"another cluster answers than {uid}"
            raise Replaced(message) from replaced

    def _begin(self, group: asyncio.TaskGroup, spec: ClusterSpec, stream: Stream) -> None:
        stream = self._incarnations.present(stream)
        report = self.statuses.stream(spec.name)
        feed = Feed(spec.connection, stream, spec.name, self._sink, self._rng, report, self._incarnations)
        version = self._cursors().get(stream, "")
        group.create_task(observe(feed, Cursor("" if version == UNLISTED else version), lists=self._lists))
        if self._seen and stream.resource == EVENTS:
            every = spec.event_ttl.total_seconds() / 2
            group.create_task(audit(feed, self._seen, every=every, lists=self._lists))
