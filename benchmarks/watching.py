"""Receiving and spooling, against the official client's typed watch that only counts, in the same run.

Protects the decision to watch with aiohttp ourselves. The simulated API server runs in another process, and
both read the same events from it.
"""

import asyncio
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kubernetes import client, config, watch

from batcher import clock
from batcher.connect import connect
from batcher.sandbox import Sandbox
from batcher.spool import Stream
from batcher.spool.log import Log
from batcher.spool.position import START as BEGIN
from batcher.spool.writer import SpoolWriter
from batcher.watch import ClusterSpec, Fleet
from benchmarks.load import events
from benchmarks.measure import Figure

CLUSTER = "us-west1"


def figures(*, runs: int, count: int) -> Iterator[Figure]:
    """Yield the events a CPU second of both, and the ratio of their medians."""
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder) / "kubeconfig", count) as kubeconfig:
        ours = [_rate(count, lambda: asyncio.run(_spool_all(kubeconfig, count))) for _ in range(runs)]
        theirs = [_rate(count // 10, lambda: _count_typed(kubeconfig, count // 10)) for _ in range(runs)]
    yield _figure("watched, split, checked and spooled", ours)
    yield _figure("official client, typed watch, counted only", theirs)
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    yield Figure("ratio of the two, run by run", "times", statistics.median(ratios), min(ratios), max(ratios))


def _figure(name: str, rates: list[float]) -> Figure:
    return Figure(name, "events a CPU second", statistics.median(rates), min(rates), max(rates))


def _rate(count: int, work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


@contextmanager
def _server(kubeconfig: Path, count: int) -> Iterator[Path]:
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(kubeconfig, count))
    process.start()
    try:
        while not kubeconfig.exists():
            if process.exitcode is not None:
                message = "the simulated API server ended before it was ready"
                raise RuntimeError(message)
            process.join(0.1)
        yield kubeconfig
    finally:
        process.terminate()
        process.join()


def _serve(kubeconfig: Path, count: int) -> None:
    asyncio.run(_serve_for_ever(kubeconfig, count))


async def _serve_for_ever(kubeconfig: Path, count: int) -> None:
    async with Sandbox([CLUSTER], {}, now=clock.now, history=count + 1000) as sandbox:
        cluster = sandbox.clusters[CLUSTER]
        for _, event in events(count, seed=2):
            cluster.create_event({**event, "metadata": {**event["metadata"]}})
        sandbox.write_kubeconfig(kubeconfig)
        await asyncio.Event().wait()


async def _spool_all(kubeconfig: Path, count: int) -> None:
    """Watch from the oldest revision until ``count`` lines are on disk."""
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder), Path(folder))
        writer = SpoolWriter(log, log.recover(BEGIN), now=clock.now, max_bytes=2**40)
        connection = connect(name=CLUSTER, kubeconfig=kubeconfig, context=CLUSTER)
        spec = ClusterSpec(CLUSTER, connection)
        fleet = Fleet([spec], sink=writer, cursors=_FromTheFirst, now=clock.now, rng=random.Random(1))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(writer.run()), group.create_task(fleet.run())]
            while writer.cut(BEGIN, 10 * count).lines < count:  # noqa: ASYNC110  another task's counter
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
