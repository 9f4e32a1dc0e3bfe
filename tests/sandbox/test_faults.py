"""Each switch does what it says, over HTTP."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from batcher.sandbox import Answer, Chunking, Cluster, Compacted, Faults, InitialEvents, Sandbox
from batcher.sandbox.manual_clock import ManualClock

EVENTS = "/api/v1/events"


@pytest.fixture
def cluster(sandbox: Sandbox) -> Cluster:
    return sandbox.clusters["us-west1"]


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "web"}, **fields}


def watch(cluster: Cluster, **options: str) -> dict[str, str]:
    return {"watch": "true", "timeoutSeconds": "600", "resourceVersion": str(cluster.latest_revision), **options}


async def next_line(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    async with asyncio.timeout(10):
        line: dict[str, Any] = json.loads(await answer.content.readline())
    return line


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ],
)
async def test_the_next_requests_of_a_verb_are_refused_and_then_served(
    cluster: Cluster, http: aiohttp.ClientSession, code: int, reason: str
) -> None:
    cluster.faults = Faults(answers=(Answer(code, verb="list", times=2),))
    seen = []
    for path in (EVENTS, EVENTS, EVENTS, "/api/v1/namespaces/default"):
        async with http.get(cluster.url + path) as answer:
            seen.append((answer.status, (await answer.json()).get("reason"), answer.headers.get("Retry-After")))
    assert seen == [(code, reason, None), (code, reason, None), (200, None, None), (200, None, None)]


async def test_a_refusal_says_when_to_come_back_if_told_to(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.faults = Faults(answers=(Answer(429, retry_after=7),))
    async with http.get(cluster.url + EVENTS) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")


async def test_a_dropped_connection_closes_without_a_byte(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.faults = Faults(drop=frozenset({"list"}))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await http.get(cluster.url + EVENTS)


async def test_a_stalled_list_is_silent_until_the_switch_is_off(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.faults = Faults(stall=frozenset({"list"}))
    with pytest.raises(TimeoutError):
        await http.get(cluster.url + EVENTS, timeout=aiohttp.ClientTimeout(total=0.2))
    cluster.faults = Faults()
    async with http.get(cluster.url + EVENTS) as answer:
        assert answer.status == 200


async def test_a_stalled_watch_holds_its_lines_back_until_the_switch_is_off(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    async with http.get(cluster.url + EVENTS, params=watch(cluster)) as answer:
        cluster.faults = Faults(stall=frozenset({"watch"}))
        cluster.create_event(event("held"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await answer.content.readline()
        cluster.faults = Faults()
        assert (await next_line(answer))["object"]["metadata"]["name"] == "held"


async def test_headers_can_be_slow(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.faults = Faults(slow_headers=timedelta(seconds=30))
    with pytest.raises(TimeoutError):
        await http.get(cluster.url + EVENTS, timeout=aiohttp.ClientTimeout(total=0.2))


async def test_a_reset_cuts_one_stream_in_the_middle_of_a_line(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.faults = Faults(resets=1)
    async with http.get(cluster.url + EVENTS, params=watch(cluster)) as answer:
        cluster.create_event(event("cut"))
        with pytest.raises(aiohttp.ClientError):
            await answer.content.readline()
    assert cluster.faults.resets == 0


async def test_streams_end_cleanly_on_demand(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    async with http.get(cluster.url + EVENTS, params=watch(cluster)) as answer:
        cluster.faults = Faults(ends=1)
        async with asyncio.timeout(10):
            assert await answer.content.read() == b""


async def test_any_line_can_be_put_into_a_stream(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    async with http.get(cluster.url + EVENTS, params=watch(cluster)) as answer:
        cluster.faults = Faults(inserts=(b'{"type": \xff\n', b'{"type":"ERROR","object":{}}\n'))
        async with asyncio.timeout(10):
            assert await answer.content.readline() == b'{"type": \xff\n'
        assert await next_line(answer) == {"type": "ERROR", "object": {}}


@pytest.mark.parametrize("chunking", list(Chunking))
async def test_chunks_are_cut_as_told_and_lines_stay_whole(
    cluster: Cluster, http: aiohttp.ClientSession, chunking: Chunking
) -> None:
    cluster.faults = Faults(chunking=chunking)
    before = cluster.latest_revision
    for name in ("a", "b", "c"):
        cluster.create_event(event(name))
    sizes, read = [], b""
    async with http.get(cluster.url + EVENTS, params=watch(cluster, resourceVersion=str(before))) as answer:
        cluster.faults = replace(cluster.faults, ends=1)
        async for part, is_end in answer.content.iter_chunks():
            sizes += [len(part)] if is_end and part else []
            read += part
    lines = read.splitlines(keepends=True)
    assert [json.loads(line)["object"]["metadata"]["name"] for line in lines] == ["a", "b", "c"]
    expected = {
        Chunking.BLOCK: [len(read)],
        Chunking.LINE: [len(line) for line in lines],
        Chunking.BYTE: [1] * len(read),
    }
    assert sizes == expected[chunking]


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [(Compacted.IN_STREAM, 200, "ERROR"), (Compacted.EMPTY, 200, None), (Compacted.GONE, 410, None)],
)
async def test_a_forgotten_version_is_told_in_each_of_the_three_ways(
    cluster: Cluster, http: aiohttp.ClientSession, how: Compacted, status: int, kind: str | None
) -> None:
    cluster.faults = Faults(compacted=how)
    cluster.create_event(event("a"))
    cluster.compact()
    async with http.get(cluster.url + EVENTS, params=watch(cluster, resourceVersion="3")) as answer:
        body = await answer.read()
    assert answer.status == status
    assert (json.loads(body).get("type") if body else None) == kind


async def test_an_expired_page_token_is_answered_410_with_a_token_that_goes_on(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    for name in ("a", "b", "c"):
        cluster.create_event(event(name))
    async with http.get(cluster.url + EVENTS, params={"limit": "1"}) as answer:
        token = (await answer.json())["metadata"]["continue"]
    cluster.create_event(event("bb"))
    cluster.compact()
    async with http.get(cluster.url + EVENTS, params={"limit": "1", "continue": token}) as answer:
        expired = await answer.json()
    assert (expired["code"], expired["reason"]) == (410, "Expired")
    async with http.get(cluster.url + EVENTS, params={"continue": expired["metadata"]["continue"]}) as answer:
        assert [item["metadata"]["name"] for item in (await answer.json())["items"]] == ["b", "bb", "c"]


@pytest.mark.parametrize(("how", "status"), [(InitialEvents.REFUSED, 422), (InitialEvents.IGNORED, 200)])
async def test_send_initial_events_can_be_refused_or_ignored(
    cluster: Cluster, http: aiohttp.ClientSession, how: InitialEvents, status: int
) -> None:
    cluster.faults = Faults(initial_events=how)
    params = watch(cluster, sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true")
    async with http.get(cluster.url + EVENTS, params=params) as answer:
        cluster.create_event(event("later"))
        line = await next_line(answer)
    assert answer.status == status
    assert line.get("reason") == "Invalid" or line["object"]["metadata"]["name"] == "later"


async def test_a_lost_update_is_listed_and_never_watched(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    async with http.get(cluster.url + EVENTS, params=watch(cluster)) as answer:
        cluster.create_namespace("web")
        cluster.lose(1)
        cluster.create_event(event("lost"))
        cluster.create_event(event("seen"))
        assert (await next_line(answer))["object"]["metadata"]["name"] == "seen"
    assert [found["metadata"]["name"] for found in cluster.events()] == ["lost", "seen"]


async def test_a_restored_server_has_older_versions_and_its_identity(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    cluster.create_event(event("kept"))
    backup, uid = cluster.latest_revision, cluster.uid
    for name in ("a", "b", "c", "d"):
        cluster.create_event(event(name))
    async with http.get(cluster.url + EVENTS, params=watch(cluster)) as answer:
        cluster.restore(backup)
        async with asyncio.timeout(10):
            assert await answer.content.read() == b""
    assert (cluster.uid, cluster.latest_revision) == (uid, backup)
    assert [found["metadata"]["name"] for found in cluster.events()] == ["kept"]


async def test_another_server_at_the_address_has_another_identity(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    uid = cluster.uid
    async with http.get(cluster.url + EVENTS, params=watch(cluster)) as answer:
        cluster.replace()
        async with asyncio.timeout(10):
            assert await answer.content.read() == b""
    assert cluster.uid != uid


async def test_a_clock_can_be_wrong(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.faults = Faults(clock_offset=timedelta(hours=-1))
    assert cluster.create_event(event("a"))["metadata"]["creationTimestamp"] == "2026-11-23T15:40:44Z"
    async with http.get(cluster.url + "/version") as answer:
        assert answer.headers["Date"] == "Mon, 23 Nov 2026 15:40:44 GMT"


async def test_an_event_that_outlives_its_time_is_deleted_in_the_stream(
    cluster: Cluster, http: aiohttp.ClientSession, clock: ManualClock
) -> None:
    cluster.create_event(event("old"))
    async with http.get(cluster.url + EVENTS, params=watch(cluster)) as answer:
        clock.advance(timedelta(hours=1))
        assert cluster.expire() == 1
        line = await next_line(answer)
    assert (line["type"], line["object"]["metadata"]["name"]) == ("DELETED", "old")
