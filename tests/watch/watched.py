"""A watch of one simulated cluster on a virtual clock, and a sink that remembers."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from batcher.connect import Connection, connect
from batcher.decode import revisions
from batcher.errors import DataDirError
from batcher.sandbox import Cluster, Sandbox
from batcher.sandbox.manual_clock import ManualClock
from batcher.spool import Kind, Section, Stream
from batcher.watch import ClusterSpec, ClusterStatus, Fleet, Seen

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Ask = Callable[[str, Mapping[str, str]], None]


@dataclass
class Sink:
    """Keeps every section; everything is durable at once, until ``lasts`` sections are, when the disk fails."""

    sections: list[Section] = field(default_factory=list)
    lasts: int | None = None
    full: bool = False
    """Whether ``append`` waits, as it does while the disk takes nothing."""
    behind: bool = False
    """Whether what was appended is not on disk yet."""

    async def append(self, section: Section) -> None:
        while self.full:
            await asyncio.sleep(1)
        if self.lasts is not None and len(self.sections) >= self.lasts:
            message = "the disk failed"
            raise DataDirError(message)
        self.sections.append(section)

    async def durable(self) -> None:
        while self.behind:
            await asyncio.sleep(1)

    @property
    def cursors(self) -> dict[Stream, str]:
        """What a restart would resume from."""
        found: dict[Stream, str] = {}
        for section in self.sections:
            if section.cursor:
                found[section.stream] = section.cursor
            elif section.cursor is not None:
                found.pop(section.stream, None)
        return found

    def kinds(self) -> list[Kind]:
        return [section.kind for section in self.sections]

    def cursor(self) -> str:
        return next((s.cursor for s in reversed(self.sections) if s.cursor), "")

    def delivered(self) -> list[tuple[str, str, int]]:
        """(type, name, count) of every line that was spooled, in order; LISTED for what a list brought."""
        found = []
        for section in self.sections:
            for line in section.body.splitlines():
                if section.kind in {Kind.LISTED, Kind.WATCHED}:
                    decoded = msgspec.json.decode(line)
                    kind, event = decoded.get("type", "LISTED"), decoded.get("object", decoded)
                    found.append((kind, event["metadata"].get("name", ""), event.get("count", 0)))
        return found

    def names(self) -> list[str]:
        return [name for _, name, _ in self.delivered()]

    def refused(self) -> list[tuple[bytes, str]]:
        return [(section.body, section.note) for section in self.sections if section.kind is Kind.REFUSED]


@dataclass
class Counted:
    """Has counted what is in the sink, as batches would have."""

    sink: Sink
    known: set[tuple[int, ...]] = field(default_factory=set)
    counted: int = 0

    async def missing(self, stream: Stream, items: Sequence[bytes]) -> list[bytes]:
        self.count(len(self.sink.sections))
        found = revisions(stream.cluster_uid, items).rows()
        return [items[index] for index, *revision in found if tuple(revision) not in self.known]

    def count(self, through: int) -> None:
        """Count the sections up to ``through`` that were not yet."""
        for section in self.sink.sections[self.counted : through]:
            lines = section.body.splitlines() if section.kind is not Kind.REFUSED else []
            bodies = [msgspec.json.encode(line.get("object", line)) for line in map(msgspec.json.decode, lines)]
            self.known.update(revisions(section.stream.cluster_uid, bodies).drop("index").rows())
        self.counted = through

    async def settled(self) -> None:
        return


class Recorded(Connection):
    """A connection that tells of each request before it is sent."""

    def __init__(self, connection: Connection, ask: Ask) -> None:
        self.__dict__ = connection.__dict__
        self.ask = ask

    def request(  # type: ignore[explicit-override]  # passes all on; typing.override came with 3.12
        self, method: str, path: str, **options: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        self.ask(path, options.get("params") or {})
        return super().request(method, path, **options)


@dataclass
class Watched:
    """A cluster, what its watch has spooled, and the fleet that watches."""

    cluster: Cluster
    sink: Sink
    fleet: Fleet
    spec: ClusterSpec
    now: ManualClock
    """The watcher's, which is not the cluster's."""
    asked: list[tuple[str, Mapping[str, str]]]

    def event(self, name: str, count: int = 1, namespace: str = "web") -> None:
        about = {"kind": "Pod", "name": "p", "namespace": namespace}
        known = any(event["metadata"]["name"] == name for event in self.cluster.events(namespace))
        if known:
            self.cluster.update_event(namespace, name, {"count": count})
        else:
            metadata = {"name": name, "namespace": namespace}
            self.cluster.create_event({"metadata": metadata, "involvedObject": about, "reason": "R", "count": count})

    async def until(self, condition: Callable[[], bool], seconds: float = 3600, *, step: float = 0.05) -> None:
        """Let virtual time pass until ``condition`` holds; it is asked each ``step``, and less often later."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(step)
                step = max(step, min(step * 1.05, 0.5))

    async def heard(self, *names: str, seconds: float = 3600) -> None:
        """Let virtual time pass until events of all these names are spooled."""
        await self.until(lambda: set(names) <= set(self.sink.names()), seconds)

    async def connected(self) -> None:
        await self.until(lambda: self.status.phase == "connected")

    @property
    def status(self) -> ClusterStatus:
        return self.fleet.statuses[self.cluster.name]

    def watches(self) -> list[Mapping[str, str]]:
        """The parameters of every watch that was asked for."""
        return [params for _, params in self.asked if "watch" in params]


@asynccontextmanager
async def sandboxed(
    folder: Path, before: Callable[[Cluster], None] = lambda _: None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Cluster]:
    """Run a fresh cluster that ``before`` prepares, and write its kubeconfig into ``folder``."""
    async with Sandbox(["us-west1"], {}, now=ManualClock(NOW), tls=tls) as sandbox:
        cluster = sandbox.clusters["us-west1"]
        cluster.create_namespace("web")
        before(cluster)
        sandbox.write_kubeconfig(folder / "kubeconfig")
        yield cluster


@asynccontextmanager
async def watching(
    cluster: Cluster,
    folder: Path,
    *,
    sink: Sink | None = None,
    seen: Callable[[Sink], Seen] | None = None,
    on_ask: Ask = lambda _, __: None,
    **spec: Any,
) -> AsyncIterator[Watched]:
    """Watch ``cluster`` into ``sink`` until the block ends, resuming from what the sink has."""
    sink = sink or Sink()
    asked: list[tuple[str, Mapping[str, str]]] = []

    def ask(path: str, params: Mapping[str, str]) -> None:
        asked.append((path, params))
        on_ask(path, params)

    def connection() -> Connection:
        return Recorded(connect(name="us-west1", kubeconfig=folder / "kubeconfig", context="us-west1"), ask)

    made = ClusterSpec("us-west1", connection(), **spec)
    rng = random.Random(1)  # noqa: S311
    now = ManualClock(NOW)
    fleet = Fleet([made], sink=sink, cursors=lambda: sink.cursors, now=now, rng=rng)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run(seen(sink) if seen else None))
        yield Watched(cluster, sink, fleet, made, now, asked)
        running.cancel()


@asynccontextmanager
async def watched(
    folder: Path, *, cursors: Mapping[str, str] | None = None, before: Callable[[Cluster], None] = lambda _: None,
    **options: Any,
) -> AsyncIterator[Watched]:  # fmt: skip
    """Watch a fresh cluster until the block ends; ``cursors`` by resource, ``before`` prepares the cluster."""
    async with sandboxed(folder, before) as cluster:
        sink = Sink()
        for resource, cursor in (cursors or {}).items():
            stream = Stream(cluster.uid, resource)
            sink.sections.append(Section(stream, "us-west1", Kind.CURSOR, cursor))
        async with watching(cluster, folder, sink=sink, **options) as w:
            yield w
