"""API servers that cost next to nothing, in a process of their own: eight clusters and a kcp.

The clusters answer with what was made before, in whole chunks: a server that stores, encodes and cuts each Event as
it is asked for (:mod:`batcher.sandbox`) needs several times the CPU of what is measured here, and on two cores the
wall rates would be its own. The kcp is the sandbox's, whose writes are few; it judges each as kcp does, and notes when
a summary came. A watch is never ended by the server: a measurement ends before its ``timeoutSeconds``.
"""

import asyncio
import json
import multiprocessing
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from batcher import clock
from batcher.sandbox import Chunking, Sandbox
from batcher.sandbox.cluster import Kcp
from batcher.sandbox.kubeconfig import write_kubeconfig
from batcher.sandbox.resources import EVENTS
from batcher.sandbox.server import ApiServer
from benchmarks.fleet import CLUSTERS, NAMESPACES, Line, lines

KUBECONFIG = "kubeconfig"
NAMES = tuple(f"cluster-{number}" for number in range(CLUSTERS))
WORKSPACES = tuple(f"root:team-{number}" for number in range(NAMESPACES))
CHUNK = 64 << 10
TICK = 0.01
"""Seconds between two looks at what has to be sent by now, under a steady load."""
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
_PROBE = re.compile(rb'"name":"probe-(\d+)"')
_PROBE_LINE = (
    '{{"type":"ADDED","object":{{"kind":"Event","apiVersion":"v1","metadata":{{"name":"probe-{number}.1",'
    '"namespace":"team-{team}","uid":"{number:08x}-9f0b-4521-87db-0123456789ab","resourceVersion":"{version}",'
    '"creationTimestamp":"{at}"}},"involvedObject":{{"kind":"ConfigMap","namespace":"team-{team}",'
    '"name":"probe-{number}","apiVersion":"v1","uid":"{number:08x}-3587-433e-91fd-0123456789ab"}},'
    '"reason":"Probed","message":"This was sent to be seen in a workspace","source":{{"component":"prober"}},'
    '"firstTimestamp":"{at}","lastTimestamp":"{at}","count":1,"eventTime":null,"type":"Warning",'
    '"reportingComponent":"prober","reportingInstance":""}}}}\n'
)


class Told(Enum):
    """What the process is told."""

    BEGIN = "begin"
    """New kcp, new watches; with the folder for the kubeconfig."""
    PREPARE = "prepare"
    """Lines to be sent at once, with how many and how they are cut."""
    SEND = "send"
    """Send what was prepared."""
    STEADY = "steady"
    """Let lines happen, with how many a minute, for how many seconds, and how many of them a second are probes."""
    SEEN = "seen"
    """Say what was seen since it began."""


@dataclass
class Seen:
    """What the servers saw since a measurement began. Times are those of ``time.monotonic``, of all processes."""

    watches: int = 0
    """Watches of Events that are open or were."""
    first_watch: float = 0.0
    """When the first of them was asked for."""
    sent: int = 0
    """Lines of Events that were sent."""
    writes: int = 0
    """Changes of Events in workspaces."""
    delays: list[float] = field(default_factory=list)
    """Seconds from the moment that a probe was sent until its summary was in its workspace."""


class Servers:
    """The process that serves, as one that measures sees it."""

    def __init__(self, pipe: Connection) -> None:
        """Talk through ``pipe``."""
        self._pipe = pipe

    def tell(self, what: Told, *said: Any) -> Any:
        """Return the answer when it has been done."""
        self._pipe.send((what, said))
        return self._pipe.recv()

    @property
    def seen(self) -> Seen:
        """Return what was seen since :attr:`Told.BEGIN`."""
        seen: Seen = self.tell(Told.SEEN)
        return seen


@contextmanager
def answering() -> Iterator[Servers]:
    """Serve as long as the block runs."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,))
    process.start()
    there.close()
    try:
        yield Servers(here)
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection) -> None:
    with suppress(KeyboardInterrupt):
        asyncio.run(_Answering(pipe).run())


class _Answering:
    """The clusters, the kcp, and what is sent."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._raw: list[list[bytes]] = []
        self._frames: list[list[bytes]] = []
        self._release = asyncio.Event()
        self._streams: dict[int, asyncio.StreamWriter] = {}
        self._seen = Seen()
        self._kcp: ApiServer | None = None
        self._urls: dict[str, str] = {}
        self._probed: dict[int, float] = {}

    async def run(self) -> None:
        """Serve for ever, and do what is told."""
        told: asyncio.Queue[tuple[Told, tuple[Any, ...]]] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), lambda: told.put_nowait(_heard(self._pipe)))
        async with asyncio.TaskGroup() as group:
            servers = [await self._listen(group, number) for number in range(CLUSTERS)]
            self._urls = {name: _url(server) for name, server in zip(NAMES, servers, strict=True)}
            while True:
                what, said = await told.get()
                if what is Told.STEADY:
                    group.create_task(self._steady(*said))
                    self._pipe.send(None)
                else:
                    self._pipe.send(await self._do(what, said))

    async def _listen(self, group: asyncio.TaskGroup, cluster: int) -> asyncio.Server:
        def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            group.create_task(self._talk(cluster, reader, writer))

        return await asyncio.start_server(talk, "127.0.0.1", 0)

    async def _do(self, what: Told, said: tuple[Any, ...]) -> object:
        if what is Told.BEGIN:
            await self._begin(*said)
        elif what is Told.PREPARE:
            self._prepare(*said)
        elif what is Told.SEND:
            self._release.set()
        return self._seen if what is Told.SEEN else None

    async def _begin(self, folder: Path) -> None:
        """Forget what was seen; a new kcp, since summaries that are there are not written as new ones are."""
        if self._kcp:
            await self._kcp.stop()
        self._seen, self._release, self._streams, self._probed = Seen(), asyncio.Event(), {}, {}
        self._kcp = ApiServer(kcp=True, now=clock.now, event_ttl=timedelta(hours=1))
        await self._kcp.start("127.0.0.1", 0)
        kcp = Kcp(self._kcp)
        for number, path in enumerate(WORKSPACES):
            workspace = kcp.add_workspace(path, (f"team-{number}",))
            self._note(self._kcp, workspace.logical)
        urls = self._urls | {workspace.name: workspace.url for workspace in kcp.workspaces.values()}
        write_kubeconfig(folder / KUBECONFIG, urls, Sandbox.token)

    def _note(self, kcp: ApiServer, logical: str) -> None:
        """Note what is written to a workspace, and when."""
        events = kcp.store.collection(EVENTS, logical)
        read = events.end

        def changed() -> None:
            nonlocal read
            now = time.monotonic()
            while changes := events.read(read, 100):
                read += len(changes)
                self._seen.writes += len(changes)
                for change in changes:
                    found = _PROBE.search(change.line)
                    if found and (sent := self._probed.pop(int(found[1]), None)):
                        self._seen.delays.append(now - sent)

        events.listeners.append(changed)

    def _prepare(self, count: int, chunking: Chunking = Chunking.LINE) -> None:
        """Make lines that end now, and cut them into chunks; the lines are made once for the same number."""
        if not self._raw or sum(map(len, self._raw)) != count:
            start = clock.now() - timedelta(minutes=count / 60_000)
            self._raw = [[] for _ in NAMES]
            for line in lines(count, start=start):
                self._raw[line.cluster].append(line.raw)
        self._frames = [list(_cut(raw, chunking)) for raw in self._raw]

    async def _talk(self, cluster: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                url = urlsplit(head.split(b" ", 2)[1].decode())
                if "watch" in parse_qs(url.query):
                    await self._watched(cluster, url.path, reader, writer)
                    return
                writer.write(self._answer(cluster, url.path))
        writer.close()

    def _answer(self, cluster: int, path: str) -> bytes:
        """Answer a GET: the identity of the cluster, or a list of nothing."""
        metadata = {"resourceVersion": str(self._seen.sent + 1)}
        if path.endswith("kube-system"):
            metadata = {"name": "kube-system", "uid": f"{cluster:08x}-0000-4000-8000-000000000000"}
        body = json.dumps({"metadata": metadata, "items": []}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def _watched(
        self, cluster: int, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(_STREAM)
        if path.endswith("/events"):
            self._seen.first_watch = self._seen.first_watch or time.monotonic()
            self._seen.watches += 1
            self._streams[cluster] = writer
            await self._send(cluster, writer)
        await reader.read()

    async def _send(self, cluster: int, writer: asyncio.StreamWriter) -> None:
        await self._release.wait()
        for frame in self._frames[cluster] if self._frames else []:
            writer.write(frame)
            await writer.drain()
        self._seen.sent += len(self._raw[cluster]) if self._raw else 0

    async def _steady(self, per_minute: int, seconds: float, probes: float) -> None:
        """Send each line when it happens, as a chunk of its own; probes beside them."""
        start, begin = clock.now(), time.monotonic()
        due = lines(int(per_minute * seconds / 60), per_minute=per_minute, start=start)
        line: Line | None = next(due, None)
        probed = 0
        while line:
            passed = time.monotonic() - begin
            while line and line.at <= passed:
                self._send_now(line.cluster, line.raw)
                line = next(due, None)
            while probed < passed * probes:
                probed += 1
                self._probe(probed)
            await asyncio.sleep(TICK)

    def _probe(self, number: int) -> None:
        """Send what nobody has said before, so that its first write is the telling of it."""
        at = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
        team = number % NAMESPACES
        raw = _PROBE_LINE.format(number=number, team=team, at=at, version=10**9 + number)
        self._probed[number] = time.monotonic()
        self._send_now(number % CLUSTERS, raw.encode())

    def _send_now(self, cluster: int, raw: bytes) -> None:
        self._streams[cluster].write(b"%x\r\n%s\r\n" % (len(raw), raw))
        self._seen.sent += 1


def _heard(pipe: Connection) -> tuple[Told, tuple[Any, ...]]:
    """Return what is told. SystemExit when nobody is left to tell anything."""
    try:
        told: tuple[Told, tuple[Any, ...]] = pipe.recv()
    except EOFError:
        raise SystemExit from None
    return told


def _url(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()
    return f"http://{host}:{port}"


def _cut(raw: list[bytes], chunking: Chunking) -> Iterator[bytes]:
    """Yield what is written at once: a chunk of 64 KiB, cut anywhere, or as many chunks of a line."""
    if chunking is Chunking.BLOCK:
        joined = memoryview(b"".join(raw))
        pieces = (joined[first : first + CHUNK] for first in range(0, len(joined), CHUNK))
        yield from (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        return
    framed = [b"%x\r\n%s\r\n" % (len(line), line) for line in raw]
    yield from (b"".join(framed[first : first + 50]) for first in range(0, len(framed), 50))
