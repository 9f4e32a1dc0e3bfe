"""Proxies, clocks, initial events, and deliveries that are odd but true."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import polars as pl
import pytest
from aiohttp import web

from batcher.decode import decode
from batcher.pipeline import Rules, empty_state, run
from batcher.sandbox import InitialEvents
from batcher.sandbox.resources import EVENTS
from batcher.schema import from_rows
from batcher.spool.position import Place
from batcher.stages.settle import OUTCOMES
from tests.virtual_time import in_virtual_time
from tests.watch.watched import NOW, Sink, sandboxed, watched, watching

RULES = Rules(
    mapping=(), event_ttl=timedelta(hours=1), window=timedelta(minutes=5), longest=timedelta(hours=1), prefix=True,
    owner=True,
)  # fmt: skip


def occurrences(sink: Sink) -> tuple[int, int]:
    """(revisions, occurrences) that a batch over everything in the sink counts."""
    decoded = decode([(Place(1, index), [section]) for index, section in enumerate(sink.sections)])
    none: pl.DataFrame = from_rows([], OUTCOMES, micros="at")
    counted = run(decoded, none, empty_state(), batch=1, now=NOW, rules=RULES).sums
    return counted["revisions"], counted["occurrences"]


def as_it_is(_: str, body: bytes) -> bytes:
    return body


@asynccontextmanager
async def buffering_proxy(server: str, alter: Callable[[str, bytes], bytes] = as_it_is) -> AsyncIterator[str]:
    """Passes an answer on when it is whole, as some proxies do with what they do not know to be a stream."""

    async def handle(request: web.BaseRequest) -> web.Response:
        async with http.get(server + str(request.rel_url), headers=request.headers) as answer:
            body = alter(str(request.rel_url), await answer.read())
            return web.Response(status=answer.status, body=body, content_type="application/json")

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        runner = web.ServerRunner(web.Server(handle), handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()


@in_virtual_time
async def test_12_a_proxy_that_buffers_makes_everything_late_and_loses_nothing(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as cluster, buffering_proxy(cluster.url) as url:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(kubeconfig.read_text().replace(cluster.url, url))
        async with watching(cluster, tmp_path) as w:
            for index in range(20):
                w.event(f"e{index:02}")
                await asyncio.sleep(60)
            await w.heard(*(f"e{index:02}" for index in range(20)), seconds=600)
            assert sorted(w.sink.names()) == [f"e{index:02}" for index in range(20)]
            assert (w.status.restarts, w.status.lists) == (0, 1)


@pytest.mark.parametrize("how", list(InitialEvents), ids=str)
def test_17_initial_events_are_never_asked_for_so_servers_that_differ_in_them_do_not(
    tmp_path: Path, how: InitialEvents
) -> None:
    @in_virtual_time
    async def promise() -> None:
        async with sandboxed(tmp_path) as cluster:
            cluster.faults = replace(cluster.faults, initial_events=how)
            async with watching(cluster, tmp_path) as w:
                w.event("a")
                await w.heard("a")
                await asyncio.sleep(600)
                assert not any("sendInitialEvents" in params for params in w.watches())
                assert (w.sink.names(), w.status.restarts) == (["a"], 0)

    promise()


@in_virtual_time
async def test_18_no_watch_begins_without_a_version_so_that_no_synthetic_event_moves_a_cursor(tmp_path: Path) -> None:
    async with watched(tmp_path, cursors={"events": "0"}) as w:
        for name in ("z", "y", "x"):
            w.event(name)
        await w.heard("x", "y", "z")
        await asyncio.sleep(900)
        versions = [params["resourceVersion"] for params in w.watches()]
        assert len(versions) >= 3
        assert not {"", "0"} & set(versions)


@in_virtual_time
async def test_21_a_burst_of_deletions_with_one_version_and_then_a_cut_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    def deleted(name: str, version: int) -> bytes:
        return b'{"type":"DELETED","object":{"metadata":{"name":"%s","uid":"u","resourceVersion":"%d"}}}\n' % (
            name.encode(), version,
        )  # fmt: skip

    async with watched(tmp_path) as w:
        await w.connected()
        w.event("before")
        await w.heard("before")
        version = w.cluster.latest_revision
        burst = tuple(deleted(f"d{index}", version) for index in range(30))
        w.cluster.faults = replace(w.cluster.faults, inserts=burst)
        await w.until(lambda: w.sink.names().count("d20") == 1)
        w.cluster.faults = replace(w.cluster.faults, inserts=(), resets=1)
        w.event("after")
        await w.heard("after")
        assert w.sink.cursor() == str(w.cluster.latest_revision)
        assert occurrences(w.sink) == (2, 2)


@in_virtual_time
async def test_23_one_event_relisted_a_thousand_times_has_one_effect(tmp_path: Path) -> None:
    expired = b'{"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}}\n'
    async with watched(tmp_path) as w:
        w.event("a", 7)
        await w.heard("a")
        while w.status.lists < 1000:
            w.cluster.faults = replace(w.cluster.faults, inserts=(expired,))
            lists = w.status.lists
            await w.until(lambda seen=lists: w.status.lists > seen, step=10)  # type: ignore[misc]
        await w.connected()
        assert w.sink.names() == ["a"] * 1000
        assert occurrences(w.sink) == (1, 7)


@in_virtual_time
async def test_20_a_table_and_an_object_without_metadata_are_refused_and_odd_events_delivered(tmp_path: Path) -> None:
    odd: list[Mapping[str, object]] = [
        {"metadata": {"name": "null-time", "uid": "1"}, "eventTime": None},
        {"metadata": {"name": "no-count", "uid": "2"}, "reason": "R"},
        {"metadata": {"name": "series", "uid": "3"}, "eventTime": "2026-11-23T12:00:00.000000Z",
         "series": {"count": 4, "lastObservedTime": "2026-11-23T12:00:00.000000Z"}},
        {"metadata": {"name": "year-1", "uid": "4"}, "firstTimestamp": "0001-01-01T00:00:00Z"},
        {"metadata": {"name": "year-9999", "uid": "5"}, "lastTimestamp": "9999-12-31T23:59:59Z"},
        {"metadata": {"name": "fields", "uid": "6"}, "of": {"tomorrow": [1, 2]}},
    ]  # fmt: skip
    table = b'{"type":"ADDED","object":{"kind":"Table","metadata":{},"rows":[]}}\n'
    async with watched(tmp_path) as w:
        await w.connected()
        for event in odd:
            w.cluster.put_raw(EVENTS, "web", str(event["metadata"]["name"]), event)  # type: ignore[index]
        await w.heard("fields")
        for line in (table, b'{"type":"ADDED","object":{}}\n'):
            w.cluster.faults = replace(w.cluster.faults, inserts=(line,))
            await w.until(lambda refused=line: refused in [body for body, _ in w.sink.refused()])  # type: ignore[misc]
            await w.connected()
        assert occurrences(w.sink) == (6, 9)


@pytest.mark.parametrize("hours", [-1, 1])
def test_27_a_clock_that_jumps_an_hour_neither_ends_nor_repeats_anything(tmp_path: Path, hours: int) -> None:
    @in_virtual_time
    async def promise() -> None:
        async with watched(tmp_path) as w:
            w.event("a")
            await w.heard("a")
            w.cluster.faults = replace(w.cluster.faults, clock_offset=timedelta(hours=hours))
            w.now.advance(timedelta(hours=hours))
            w.event("b")
            await w.heard("b", seconds=5)
            await asyncio.sleep(600)
            assert [name for kind, name, _ in w.sink.delivered() if kind != "DELETED"] == ["a", "b"]
            assert (w.status.restarts, w.status.lists) == (0, 1)
            assert w.status.last_event_at == NOW + timedelta(hours=hours)

    promise()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>sign in</html>", "a list is not JSON"),
        (b'{"items":[]}', "a list is not JSON"),
        (b'{"metadata":{},"items":[]}', "a list without resourceVersion"),
    ],
    ids=["html", "no-metadata", "no-version"],
)
def test_an_answer_that_is_no_list_is_said_so_and_asked_for_again(tmp_path: Path, body: bytes, says: str) -> None:
    def alter(url: str, answer: bytes) -> bytes:
        return body if "limit=500" in url and len(altered) < 3 and not altered.append(url) else answer  # type: ignore[func-returns-value]

    altered: list[str] = []

    @in_virtual_time
    async def promise() -> None:
        async with sandboxed(tmp_path) as cluster, buffering_proxy(cluster.url, alter) as url:
            kubeconfig = tmp_path / "kubeconfig"
            kubeconfig.write_text(kubeconfig.read_text().replace(cluster.url, url))
            async with watching(cluster, tmp_path) as w:
                await w.until(lambda: says in w.status.last_error)
                w.event("a")
                await w.heard("a", seconds=600)
                assert (w.status.restarts, w.sink.refused()) == (3, [])

    promise()


@pytest.mark.parametrize("answer", [b"{}", b'{"metadata":{"uid":7}}', b"[]", b"no"], ids=str)
def test_a_cluster_that_does_not_say_who_it_is_is_asked_again(tmp_path: Path, answer: bytes) -> None:
    def alter(url: str, body: bytes) -> bytes:
        return answer if "kube-system" in url and len(altered) < 3 and not altered.append(url) else body  # type: ignore[func-returns-value]

    altered: list[str] = []

    @in_virtual_time
    async def promise() -> None:
        async with sandboxed(tmp_path) as cluster, buffering_proxy(cluster.url, alter) as url:
            kubeconfig = tmp_path / "kubeconfig"
            kubeconfig.write_text(kubeconfig.read_text().replace(cluster.url, url))
            async with watching(cluster, tmp_path) as w:
                w.event("a")
                await w.heard("a", seconds=600)
                assert w.sink.sections[0].stream.cluster_uid == cluster.uid

    promise()
