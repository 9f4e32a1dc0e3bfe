"""A watch of one simulated cluster on a virtual clock, and a sink that remembers."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from batcher.connect import connect
from batcher.sandbox import Cluster, Sandbox
from batcher.sandbox.manual_clock import ManualClock
from batcher.spool import Kind, Section, Stream
from batcher.watch import ClusterSpec, Fleet

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class Sink:
    """Keeps every section; everything is durable at once."""

    sections: list[Section] = field(default_factory=list)

    async def append(self, section: Section) -> None:
        self.sections.append(section)

    async def durable(self) -> None:
        return

    def kinds(self) -> list[Kind]:
        return [section.kind for section in self.sections]

    def cursor(self) -> str:
        """What a restart would resume from."""
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

    def refused(self) -> list[tuple[bytes, str]]:
        return [(section.body, section.note) for section in self.sections if section.kind is Kind.REFUSED]


@dataclass
class Watched:
    """A cluster, what its watch has spooled, and the fleet that watches."""

    cluster: Cluster
    sink: Sink
    fleet: Fleet

    def event(self, name: str, count: int = 1) -> None:
        about = {"kind": "Pod", "name": "p", "namespace": "web"}
        known = any(event["metadata"]["name"] == name for event in self.cluster.events("web"))
        if known:
            self.cluster.update_event("web", name, {"count": count})
        else:
            metadata = {"name": name, "namespace": "web"}
            self.cluster.create_event({"metadata": metadata, "involvedObject": about, "reason": "R", "count": count})

    async def until(self, condition: Callable[[], bool], seconds: float = 3600) -> None:
        """Let virtual time pass until ``condition`` holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.05)

    @property
    def status(self) -> Any:
        return self.fleet.statuses[self.cluster.name]


@asynccontextmanager
async def watched(
    folder: Path, *, cursors: Mapping[str, str] | None = None, before: Callable[[Cluster], None] = lambda _: None
) -> AsyncIterator[Watched]:
    """Watch a fresh cluster until the block ends; ``cursors`` by resource, ``before`` prepares the cluster."""
    async with Sandbox(["us-west1"], {}, now=ManualClock(NOW)) as sandbox:
        cluster = sandbox.clusters["us-west1"]
        cluster.create_namespace("web")
        before(cluster)
        sandbox.write_kubeconfig(folder / "kubeconfig")
        connection = connect(name="us-west1", kubeconfig=folder / "kubeconfig", context="us-west1")
        known = {Stream(cluster.uid, resource): cursor for resource, cursor in (cursors or {}).items()}
        sink = Sink()
        spec = ClusterSpec("us-west1", connection)
        fleet = Fleet([spec], sink=sink, cursors=known, now=lambda: NOW, rng=random.Random(1))  # noqa: S311
        async with asyncio.TaskGroup() as group:
            running = group.create_task(fleet.run())
            yield Watched(cluster, sink, fleet)
            running.cancel()
