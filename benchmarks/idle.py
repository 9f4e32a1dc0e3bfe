"""10,000 idle watches in one process: memory, descriptors, and how spread their reconnects are.

Protects the decision for one task and one small session a cluster instead of a thread or a process, and the
random ``timeoutSeconds``: watches that began together must not come back together for ever.
"""

import asyncio
import os
import random
import resource
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from batcher import clock
from batcher.connect import Access, Connection, read_kubeconfig
from batcher.spool import Section
from batcher.watch import ClusterSpec, Fleet
from benchmarks.measure import Figure, resident_bytes
from benchmarks.serving import CLUSTER, serving

MINUTES = 6
"""Longer than the longest ``timeoutSeconds`` (290 s): each watch comes back at least once."""


@dataclass
class Idle:
    """What was seen of the watches."""

    bytes_before: int = 0
    bytes_after: int = 0
    descriptors: int = 0
    connected_seconds: float = 0.0
    watches: Counter[int] = field(default_factory=Counter)
    """How many watches were asked for in each second."""

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

    def request(  # type: ignore[override, explicit-override]  # passes all on; typing.override came with 3.12
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


def figures(*, count: int, minutes: float = MINUTES) -> Iterator[Figure]:
    """Yield memory a watch and in all, and the spread, of ``count`` idle watches."""
    seen = measure(count, minutes)
    mib = 2**20
    for name, value, unit in (
        (f"{count:,} idle watches: resident memory of the process", seen.bytes_after / mib, "MiB"),
        ("of that, a watch", (seen.bytes_after - seen.bytes_before) / count / 1024, "KiB"),
        ("descriptors", seen.descriptors, "files"),
        ("until all are connected", seen.connected_seconds, "s"),
        ("reconnects in the busiest second", seen.busiest, f"of {seen.reconnects:,}"),
    ):
        yield Figure(name, unit, value, value, value)


def measure(count: int, minutes: float) -> Idle:
    """Open ``count`` watches to a server in another process and look at them for ``minutes``.

    Raises OSError when the machine does not give a process so many descriptors.
    """
    wanted = count + 200
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        message = f"{count} watches need {wanted} descriptors, and the hard limit is {hard}: raise it (ulimit -Hn)"
        raise OSError(message)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else hard, hard))
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "kubeconfig", 0) as kubeconfig:
        return asyncio.run(_watch(kubeconfig, count, minutes))


async def _watch(kubeconfig: Path, count: int, minutes: float) -> Idle:
    seen = Idle(bytes_before=resident_bytes())
    loop = asyncio.get_running_loop()
    began = loop.time()

    def asked(params: Mapping[str, str]) -> None:
        if "watch" in params:
            seen.watches[int(loop.time() - began)] += 1

    access = read_kubeconfig(kubeconfig, CLUSTER)  # once: 10,000 readings of one file are not what is measured
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
