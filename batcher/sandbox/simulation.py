"""A whole simulated world: source clusters, each a server of its own, and one kcp with workspaces."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from batcher.clock import Now
from batcher.sandbox.cluster import Cluster, Kcp
from batcher.sandbox.identity import ADMIN_TOKEN
from batcher.sandbox.kubeconfig import write_kubeconfig
from batcher.sandbox.server import ApiServer

SWEEP_SECONDS = 1.0
"""How often Events that outlived their time are looked for, when no request does."""
DEFAULT_TTL = timedelta(hours=1)
"""kube-apiserver's and kcp's ``--event-ttl``."""


class Sandbox:
    """Runs the servers as long as it is entered; handles work before that too.

    Entering listens on loopback (``port`` 0: any free port for each server; else the kcp gets ``port`` and
    the clusters those behind it); leaving ends every stream and waits for it.
    """

    token = ADMIN_TOKEN

    def __init__(
        self,
        clusters: Sequence[str],
        workspaces: Mapping[str, Sequence[str]],
        *,
        now: Now,
        event_ttl: timedelta = DEFAULT_TTL,
        host: str = "127.0.0.1",
        port: int = 0,
        history: int = 100_000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Build ``clusters`` by name and ``workspaces`` (path → namespaces); with ``tls`` all speak HTTPS."""
        self._tls = tls
        self._host = host
        self._port = port
        kcp = ApiServer(kcp=True, now=now, event_ttl=event_ttl, history=history)
        self._servers = {"": kcp}
        self.kcp = Kcp(kcp)
        self.clusters: dict[str, Cluster] = {}
        for name in clusters:
            server = ApiServer(kcp=False, now=now, event_ttl=event_ttl, history=history)
            self._servers[name] = server
            self.clusters[name] = Cluster(name, server)
        for path, namespaces in workspaces.items():
            self.kcp.add_workspace(path, tuple(namespaces))
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen, and begin to expire Events."""
        async with AsyncExitStack() as exits:
            sweeper = await exits.enter_async_context(asyncio.TaskGroup())
            for index, server in enumerate(self._servers.values()):
                exits.push_async_callback(server.stop)
                await server.start(self._host, self._port + index if self._port else 0, self._tls)
            task = sweeper.create_task(self._sweep())
            exits.callback(task.cancel)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all streams and stop listening."""
        await self._exits.__aexit__(kind, error, trace)

    def write_kubeconfig(self, path: Path) -> None:
        """Write a kubeconfig with a context for each cluster (its name) and workspace (its path), mode 0600."""
        servers = {cluster.name: cluster.url for cluster in self.clusters.values()}
        servers |= {workspace.name: workspace.url for workspace in self.kcp.workspaces.values()}
        write_kubeconfig(path, servers, self.token)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for server in self._servers.values():
                server.store.expire(server.now)


async def serve(sandbox: Sandbox, kubeconfig: Path, *, duration: timedelta | None = None) -> None:
    """Run ``sandbox`` for ``duration`` (None: until cancelled); ``kubeconfig`` is written once all listen."""
    async with sandbox:
        sandbox.write_kubeconfig(kubeconfig)
        seconds = None if duration is None else duration.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            return
