"""What a watch leaves to the kernel for a moment, and what it does not."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from batcher.spool import Kind, Section
from batcher.watch.gathering import Gathering
from tests.connect.certificates import server_context, write_authority
from tests.virtual_time import in_virtual_time
from tests.watch.watched import Sink, Watched, sandboxed, watching


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Timed(Sink):
    """Knows of each watched section when it came, and of how many lines."""

    came: list[tuple[float, int]] = field(default_factory=list)

    async def append(self, section: Section) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        await super().append(section)
        if section.kind is Kind.WATCHED:
            self.came.append((round(now(), 2), section.lines))


@asynccontextmanager
async def timed(folder: Path, tls: ssl.SSLContext | None = None, **spec: Any) -> AsyncIterator[Watched]:
    """Watch, with a sink that is :class:`Timed`, from 100.01 s on: just behind a tick."""
    sink = Timed()
    async with sandboxed(folder, tls=tls) as cluster:
        if tls:
            kubeconfig = folder / "kubeconfig"
            document = yaml.safe_load(kubeconfig.read_text())
            document["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
            kubeconfig.write_text(yaml.safe_dump(document))
        async with watching(cluster, folder, sink=sink, **spec) as w:
            await w.connected()
            await asyncio.sleep(100.01 - now())
            sink.came.clear()
            yield w


async def at(moment: float) -> None:
    await asyncio.sleep(moment - now())


def came(w: Watched) -> list[tuple[float, int]]:
    assert isinstance(w.sink, Timed)
    return w.sink.came


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_comes_one_by_one_after_a_first_is_read_at_the_next_tick_as_one(tmp_path: Path, scheme: str) -> None:
    @in_virtual_time
    async def promise() -> None:
        authority = trustme.CA()
        write_authority(tmp_path, authority)
        async with timed(tmp_path, server_context(authority) if scheme == "https" else None) as w:
            for index in range(9):
                w.event(f"e{index}")
                await asyncio.sleep(0.02)
            await at(100.3)
            assert came(w) == [(100.01, 1), (100.2, 8)]
            assert w.sink.names() == [f"e{index}" for index in range(9)]

    promise()


@in_virtual_time
async def test_what_comes_after_a_tick_of_silence_is_read_at_once(tmp_path: Path) -> None:
    async with timed(tmp_path) as w:
        for moment in (100.01, 100.25, 100.47):
            await at(moment)
            w.event(f"at-{moment}")
        await at(101)
        assert came(w) == [(100.01, 1), (100.25, 1), (100.47, 1)]


@in_virtual_time
async def test_streams_that_read_at_different_times_read_on_at_the_same(tmp_path: Path) -> None:
    async with timed(tmp_path, namespaces=("web", "jobs")) as w:
        w.cluster.create_namespace("jobs")
        for moment, namespace in ((100.02, "web"), (100.07, "jobs"), (100.11, "web"), (100.15, "jobs")):
            await at(moment)
            w.event(f"at-{moment}", namespace=namespace)
        await at(101)
        assert came(w) == [(100.02, 1), (100.07, 1), (100.2, 1), (100.2, 1)]


@in_virtual_time
async def test_much_is_read_before_the_tick(tmp_path: Path) -> None:
    async with timed(tmp_path) as w:
        w.event("first")
        await at(100.05)
        for index in range(70):
            w.cluster.create_event(
                {"metadata": {"name": f"e{index}", "namespace": "web"}, "reason": "R", "message": "m" * 1000,
                 "involvedObject": {"kind": "Pod", "name": "p", "namespace": "web"}}
            )  # fmt: skip
        await at(100.15)
        assert "e39" in w.sink.names()
        await at(100.3)
        assert w.sink.names() == ["first", *(f"e{index}" for index in range(70))]


class Transport(asyncio.BaseTransport):
    """That of ``connected``."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__({"socket": connected})


@in_virtual_time
async def test_a_connection_that_gathers_is_told_of_at_the_tick_whatever_becomes_of_the_response() -> None:
    here, there = socket.socketpair()
    with here, there:
        Gathering(Transport(here)).begin()
        assert here.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 48 * 1024
        await at(0.21)
        assert here.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


@in_virtual_time
async def test_a_connection_that_is_closed_meanwhile_or_is_none_gathers_nothing() -> None:
    here, there = socket.socketpair()
    with there:
        gathering = Gathering(Transport(here))
        gathering.begin()
        here.close()
        await at(0.21)
        gathering.begin()
        Gathering(None).begin()
        await at(0.41)
        assert here.fileno() == -1
