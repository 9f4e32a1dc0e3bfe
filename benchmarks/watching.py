"""Receiving and spooling, against the official client's typed watch that only counts, in the same run.

Protects the decision to watch with aiohttp ourselves, and to judge a line without decoding it. The simulated API
server runs in another process, and both read the same events from it: in chunks of 64 KiB, as under load, and one
line a chunk, as on a quiet cluster. The two take turns, so that other work on the machine meets both.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kubernetes import client, config, watch

from batcher.sandbox import Chunking
from benchmarks.measure import Figure, cpu_seconds, figure
from benchmarks.receiving import FIRST, receiving
from benchmarks.serving import CLUSTER, Served, serving

RATE = "events a CPU second"
CHUNKS = {Chunking.BLOCK: "64 KiB a chunk", Chunking.LINE: "one line a chunk"}


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the events a CPU second of both, and the median of their ratios."""
    runs, count = (3, 10_000) if quick else (5, 40_000)
    for chunking, chunks in CHUNKS.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(Path(folder), Served(count, chunking=chunking)) as kubeconfig,
        ):
            yield from _compared(kubeconfig, runs=runs, count=count, chunks=chunks)


def _compared(kubeconfig: Path, *, runs: int, count: int, chunks: str) -> Iterator[Figure]:
    asyncio.run(_spool(kubeconfig, 1_000))
    _count_typed(kubeconfig, 1_000)
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(count / cpu_seconds(lambda: asyncio.run(_spool(kubeconfig, count))))
        theirs.append(count / cpu_seconds(lambda: _count_typed(kubeconfig, count)))
    yield figure(f"watched, judged and spooled, {chunks}", RATE, ours)
    yield figure(f"official client, typed watch, counted only, {chunks}", RATE, theirs)
    yield figure(
        f"the first ÷ the second, {chunks}, run by run",
        "times better",
        [a / b for a, b in zip(ours, theirs, strict=True)],
    )


async def _spool(kubeconfig: Path, count: int) -> None:
    async with receiving(kubeconfig) as spooled:
        await spooled.until(count)


def _count_typed(kubeconfig: Path, count: int) -> None:
    config.load_kube_config(str(kubeconfig), context=CLUSTER)
    stream = watch.Watch()
    listing = client.CoreV1Api().list_event_for_all_namespaces
    for seen, _ in enumerate(stream.stream(listing, resource_version=FIRST), 1):
        if seen >= count:
            stream.stop()
            break
