"""10,000 idle watches in one process: memory, descriptors, and how spread their reconnects are.

Protects the decision for one task and one small session a cluster instead of a thread or a process, and the
random ``timeoutSeconds``: watches that began together must not come back together for ever. Each watch has a
session and a connection of its own, as clusters have; their server is one, in another process.
"""

import asyncio
import os
import random
import resource
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from batcher import clock
from batcher.connect import Access, Connection, read_kubeconfig
from batcher.spool import Section
from batcher.watch import ClusterSpec, Fleet
from benchmarks.measure import Figure, alone, figure, resident_bytes
from benchmarks.serving import AUTHORITY, CLUSTER, Served, serving

MINUTES = 6.0
"""Longer than the longest ``timeoutSeconds`` (290 s): each watch comes back at least once."""
TLS_COUNT = 1_000
MIB = 2**20


@dataclass
class Idle:
    """What was seen of the watches."""

    bytes_before: int = 0
    bytes_after: int = 0
    descriptors: int = 0
    connected_seconds: float = 0.0
    watches: Counter[int] = field(default_factory=Counter)
    """How many watches were asked for in each second."""
    timeouts: Counter[int] = field(default_factory=Counter)
    """How many first watches asked to be ended after so many seconds."""

    @property
    def bytes_a_watch(self) -> float:
        """Return what each watch added."""
        return (self.bytes_after - self.bytes_before) / self.timeouts.total()

    @property
    def due_at_once(self) -> int:
        """The most watches that would come back in one second if all had begun in the same."""
        return max(self.timeouts.values())

    @property
    def busiest(self) -> int:
        """The most reconnects in a second, after all were connected once."""
        return max((n for second, n in self.watches.items() if second > self.connected_seconds), default=0)

    @property
    def reconnects(self) -> int:
        """All reconnects after all were connected once."""
        return sum(n for second, n in self.watches.items() if second > self.connected_seconds)


class _Counted(Connection):
    """A connection that tells of each request before it is sent."""

    def __init__(self, name: str, access: Access, asked: Callable[[Mapping[str, str]], None]) -> None:
        """Tell ``asked`` the parameters."""
        super().__init__(name, access)
        self._asked = asked

    def request(  # type: ignore[explicit-override]  # passes all on; typing.override came with 3.12
        self, method: str, path: str, **options: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Tell, and send."""
        self._asked(options.get("params") or {})
        return super().request(method, path, **options)


class _Nowhere:
    """A sink that keeps nothing, because nothing happens."""

    async def append(self, section: Section) -> None:
        """Forget ``section``."""

    async def durable(self) -> None:
        """Return at once."""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield memory in all and a watch, descriptors, and how spread the watches are; then what TLS adds."""
    count, minutes = (1_000, 0.0) if quick else (10_000, MINUTES)
    seen = alone(measure, count, minutes=minutes)
    yield figure(f"{count:,} idle watches: resident", "MiB", [seen.bytes_after / MIB])
    yield figure("of that, a watch", "KiB", [seen.bytes_a_watch / 1024])
    yield figure("descriptors", "files", [seen.descriptors])
    yield figure("until all are connected", "s", [seen.connected_seconds])
    yield figure("due in the busiest second, had all begun at once", "watches", [seen.due_at_once])
    if seen.reconnects:
        yield figure("reconnects in the busiest second", "watches", [seen.busiest])
    encrypted = alone(measure, TLS_COUNT, minutes=0.0, tls=True)
    yield figure(f"{TLS_COUNT:,} idle watches over TLS: a watch", "KiB", [encrypted.bytes_a_watch / 1024])


def measure(count: int, *, minutes: float, tls: bool = False) -> Idle:
    """Open ``count`` watches to a server in another process, and look at them for ``minutes`` once all are open.

    Raises OSError when the machine does not give a process so many descriptors.
    """
    wanted = count + 200
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        message = f"{count} watches need {wanted} descriptors, and the hard limit is {hard}: raise it (ulimit -Hn)"
        raise OSError(message)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else hard, hard))
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), Served(tls=tls)) as kubeconfig:
        return asyncio.run(_watch(_access(kubeconfig), count, minutes))


def _access(kubeconfig: Path) -> Access:
    """Return how to reach the server, read once: 10,000 readings of one file are not what is measured."""
    access, authority = read_kubeconfig(kubeconfig, CLUSTER), kubeconfig.with_name(AUTHORITY)
    ca_data = authority.read_text(encoding="ascii") if authority.exists() else None
    return replace(access, source=None, ca_data=ca_data)


async def _watch(access: Access, count: int, minutes: float) -> Idle:
    seen = Idle(bytes_before=resident_bytes())
    loop = asyncio.get_running_loop()
    began = loop.time()

    def asked(params: Mapping[str, str]) -> None:
        if "watch" in params:
            seen.watches[int(loop.time() - began)] += 1
            if seen.watches.total() <= count:
                seen.timeouts[int(params["timeoutSeconds"])] += 1

    specs = [ClusterSpec(f"c{n}", _Counted(f"c{n}", access, asked)) for n in range(count)]
    fleet = Fleet(specs, sink=_Nowhere(), cursors=dict, now=clock.now, rng=random.Random(1))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run())
        while any(fleet.statuses[spec.name].phase != "connected" for spec in specs):  # noqa: ASYNC110  others' state
            await asyncio.sleep(0.5)
        seen.connected_seconds = loop.time() - began
        await asyncio.sleep(minutes * 60)
        seen.bytes_after, seen.descriptors = resident_bytes(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        running.cancel()
    return seen
