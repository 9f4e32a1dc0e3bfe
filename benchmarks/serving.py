"""A simulated API server in a process of its own, so that its CPU and memory are nobody else's."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batcher import clock
from batcher.sandbox import Cluster, Sandbox
from benchmarks.load import events

CLUSTER = "us-west1"
HISTORY = 100_000
"""Changes that the server remembers while it makes more: a watch that is further behind must list."""
PIECE = 500
NAMES = 5000
"""Events that are updated again and again, so that the server does not grow."""


@contextmanager
def serving(kubeconfig: Path, count: int, *, rate: int = 0) -> Iterator[Path]:
    """Serve one cluster with ``count`` changes in its history, and ``rate`` more each second; its kubeconfig."""
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(kubeconfig, count, rate))
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


def _serve(kubeconfig: Path, count: int, rate: int) -> None:
    asyncio.run(_serve_for_ever(kubeconfig, count, rate))


async def _serve_for_ever(kubeconfig: Path, count: int, rate: int) -> None:
    async with Sandbox([CLUSTER], {}, now=clock.now, history=count + HISTORY) as sandbox:
        cluster = sandbox.clusters[CLUSTER]
        for _, event in events(count, seed=2):
            cluster.create_event({**event, "metadata": {**event["metadata"]}})
        sandbox.write_kubeconfig(kubeconfig)
        if rate:
            await _make_more(cluster, rate)
        await asyncio.Event().wait()


async def _make_more(cluster: Cluster, rate: int) -> None:
    made = [event for _, event in events(NAMES, repeats=0.0, seed=3)]
    number = 0
    while True:
        for _ in range(PIECE):
            event = made[number % NAMES]
            number += 1
            cluster.create_event({**event, "metadata": {**event["metadata"]}, "count": number})
        await asyncio.sleep(PIECE / rate)
