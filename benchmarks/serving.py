"""A simulated API server in a process of its own, so that its CPU and memory are nobody else's."""

import asyncio
import multiprocessing
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trustme

from batcher import clock
from batcher.sandbox import Chunking, Cluster, Sandbox
from benchmarks.load import events

CLUSTER = "us-west1"
NAMESPACE = "web"
KUBECONFIG, AUTHORITY = "kubeconfig", "ca.pem"
HISTORY = 100_000
"""Changes that the server remembers while it makes more: a watch that is further behind must list."""
PIECE = 500
NAMES = 5000
"""Events that are updated again and again, so that the server does not grow."""


@dataclass(frozen=True)
class Served:
    """What the server does."""

    count: int = 0
    """Changes in its history from the beginning."""
    rate: int = 0
    """Changes a second that it makes while it runs."""
    chunking: Chunking = Chunking.BLOCK
    workspaces: tuple[str, ...] = ()
    """Paths of the kcp's workspaces, each with the namespace :data:`NAMESPACE`."""
    tls: bool = False
    """Whether it speaks HTTPS, vouched for by ``ca.pem`` beside the kubeconfig, which does not tell."""


@contextmanager
def serving(folder: Path, served: Served) -> Iterator[Path]:
    """Serve one cluster as long as the block runs; its kubeconfig is in ``folder``."""
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, served))
    process.start()
    try:
        while not (folder / KUBECONFIG).exists():
            if process.exitcode is not None:
                message = "the simulated API server ended before it was ready"
                raise RuntimeError(message)
            process.join(0.1)
        yield folder / KUBECONFIG
    finally:
        process.terminate()
        process.join()


def _serve(folder: Path, served: Served) -> None:
    asyncio.run(_serve_for_ever(folder, served))


async def _serve_for_ever(folder: Path, served: Served) -> None:
    tls = _certified(folder / AUTHORITY) if served.tls else None
    workspaces = dict.fromkeys(served.workspaces, (NAMESPACE,))
    async with Sandbox([CLUSTER], workspaces, now=clock.now, history=served.count + HISTORY, tls=tls) as sandbox:
        cluster = sandbox.clusters[CLUSTER]
        cluster.faults = replace(cluster.faults, chunking=served.chunking)
        for _, event in events(served.count, seed=2):
            cluster.create_event({**event, "metadata": {**event["metadata"]}})
        sandbox.write_kubeconfig(folder / KUBECONFIG)
        if served.rate:
            await _make_more(cluster, served.rate)
        await asyncio.Event().wait()


def _certified(authority: Path) -> ssl.SSLContext:
    made = trustme.CA()
    made.cert_pem.write_to_path(authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def _make_more(cluster: Cluster, rate: int) -> None:
    made = [event for _, event in events(NAMES, repeats=0.0, seed=3)]
    number = 0
    while True:
        for _ in range(PIECE):
            event = made[number % NAMES]
            number += 1
            cluster.create_event({**event, "metadata": {**event["metadata"]}, "count": number})
        await asyncio.sleep(PIECE / rate)
