"""Receiving and spooling, against the official client's typed watch that only counts, in the same run.

Protects the decision to watch with aiohttp ourselves. The simulated API server runs in another process, and
both read the same events from it.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from kubernetes import client, config, watch

from batcher import clock
from batcher.connect import connect
from batcher.spool import Stream
from batcher.spool.log import Log
from batcher.spool.position import START as BEGIN
from batcher.spool.writer import SpoolWriter
from batcher.watch import ClusterSpec, Fleet
from benchmarks.measure import Figure, resident_bytes
from benchmarks.serving import CLUSTER, serving


def figures(*, runs: int, count: int) -> Iterator[Figure]:
    """Yield the events a CPU second of both, and the ratio of runs that followed each other."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "kubeconfig", count) as kubeconfig:
        for _ in range(runs):
            ours.append(_rate(count, lambda: asyncio.run(_spool_all(kubeconfig, count))))
            theirs.append(_rate(count // 10, lambda: _count_typed(kubeconfig, count // 10)))
    yield _figure("watched, split, checked and spooled", ours)
    yield _figure("official client, typed watch, counted only", theirs)
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    yield Figure("ratio of the two, run by run", "times", statistics.median(ratios), min(ratios), max(ratios))


def memory(*, count: int, rate: int = 20_000) -> Iterator[Figure]:
    """Yield the resident memory while ``count`` events pass at ``rate`` a second, and how it grows."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "kubeconfig", 0, rate=rate) as kubeconfig:
        samples: list[int] = []
        asyncio.run(_spool_all(kubeconfig, count, lambda: samples.append(resident_bytes())))
    settled, mib = samples[len(samples) // 5 :], 2**20
    yield Figure(
        f"resident while {count:,} events are spooled", "MiB", statistics.median(settled) / mib,
        min(settled) / mib, max(settled) / mib,
    )  # fmt: skip
    half = len(settled) // 2
    grown = (statistics.median(settled[half:]) - statistics.median(settled[:half])) / mib
    yield Figure("of that, from the first half to the second", "MiB", grown, grown, grown)


def _figure(name: str, rates: list[float]) -> Figure:
    return Figure(name, "events a CPU second", statistics.median(rates), min(rates), max(rates))


def _rate(count: int, work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


async def _spool_all(kubeconfig: Path, count: int, look: Callable[[], object] = lambda: None) -> None:
    """Watch from the oldest revision until ``count`` lines are on disk; ``look`` is called each 1 % of them."""
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder), Path(folder))
        writer = SpoolWriter(log, log.recover(BEGIN), now=clock.now, max_bytes=2**40)
        connection = connect(name=CLUSTER, kubeconfig=kubeconfig, context=CLUSTER)
        spec = ClusterSpec(CLUSTER, connection)
        fleet = Fleet([spec], sink=writer, cursors=_FromTheFirst, now=clock.now, rng=random.Random(1))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(writer.run()), group.create_task(fleet.run())]
            looked = 0
            while (lines := writer.cut(BEGIN, 10 * count).lines) < count:
                if lines * 100 // count > looked:
                    looked = lines * 100 // count
                    look()
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
        log.close()


class _FromTheFirst(Mapping[Stream, str]):
    """Every stream resumes from resourceVersion 1, so that the whole history is watched and nothing listed."""

    def __getitem__(self, stream: Stream) -> str:  # type: ignore[explicit-override]  # typing.override: 3.12
        return "1"

    def __iter__(self) -> Iterator[Stream]:  # type: ignore[explicit-override]
        return iter(())

    def __len__(self) -> int:  # type: ignore[explicit-override]
        return 0


def _count_typed(kubeconfig: Path, count: int) -> None:
    config.load_kube_config(str(kubeconfig), context=CLUSTER)
    stream = watch.Watch()
    listing = client.CoreV1Api().list_event_for_all_namespaces
    for seen, _ in enumerate(stream.stream(listing, resource_version="1"), 1):
        if seen >= count:
            stream.stop()
            break
