"""The uid that the workspace's own object has: asked for rarely, and never in the way of a write."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from batcher import kinds
from batcher.publish import Lookup
from batcher.publish.lookup import KEPT, KEPT_ABSENT, KEPT_REFUSED, KEPT_SILENT, SECONDS
from tests.publish.kcp import AWAY, FORBIDDEN, SHOP, Answered, Fault, Kcp, publishing, where, write
from tests.virtual_time import in_virtual_time

WEB = f"/clusters/{SHOP}/apis/apps/v1/namespaces/web/deployments/web"
GONE = Fault(404, content=b'{"kind":"Status","reason":"NotFound","details":{"name":"web","kind":"deployments"}}')
NO_SUCH_KIND = Fault(404, content=b"404 page not found")


def lookup(*entries: str, remembered: int = 100) -> Lookup:
    return Lookup([kinds.parse(entry) for entry in entries or ("Deployment",)], remembered)


async def told(kcp: Kcp, found: Lookup, rounds: int = 1, pause: float = 0.0, **changes: Any) -> list[Any]:
    """Write a summary ``rounds`` times; return the uids its object then had."""
    uids = []
    before = kcp.told.get("web.1", 0)
    async with publishing(kcp, lookup=found) as publisher:
        for total in range(before + 1, before + rounds + 1):
            made = write(total=total)
            made.event["involvedObject"] |= changes
            publisher.offer([made])
            assert await publisher.drain()
            uids.append(kcp.objects[where("web.1")]["involvedObject"].get("uid"))
            await asyncio.sleep(pause)
    return uids


@in_virtual_time
async def test_the_written_event_has_the_uid_of_the_workspaces_object_asked_for_once() -> None:
    kcp = Kcp(uids={WEB: "u-1"})
    assert await told(kcp, lookup(), 3) == ["u-1"] * 3
    assert len(kcp.times("/deployments/")) == 1


@in_virtual_time
async def test_an_object_that_was_made_anew_has_its_new_uid_after_ten_minutes() -> None:
    kcp = Kcp(uids={WEB: "u-1"})
    found = lookup()
    await told(kcp, found)
    kcp.uids[WEB] = "u-2"
    await asyncio.sleep(KEPT)
    assert await told(kcp, found) == ["u-2"]


@pytest.mark.parametrize(
    ("fault", "kept"),
    [(GONE, KEPT_ABSENT), (FORBIDDEN, KEPT_REFUSED), (NO_SUCH_KIND, KEPT_REFUSED), (AWAY, KEPT_SILENT)],
)
@in_virtual_time
async def test_what_cannot_be_had_is_not_asked_for_again_for_a_while_and_stops_no_write(
    fault: Fault, kept: float
) -> None:
    kcp, found = Kcp(uids={WEB: "u-1"}, lasting={"/deployments/": fault}), lookup()
    assert await told(kcp, found, 2, kept / 3) == [None, None]
    assert len(kcp.times("/deployments/")) == 1
    kcp.lasting.clear()
    await asyncio.sleep(kept)
    assert await told(kcp, found) == ["u-1"]


@in_virtual_time
async def test_a_refusal_is_one_for_the_whole_kind() -> None:
    kcp = Kcp(lasting={"/deployments/": FORBIDDEN})
    found = lookup()
    await told(kcp, found, 1, name="web")
    await told(kcp, found, 1, name="db")
    assert len(kcp.times("/deployments/")) == 1


class Stalled(Kcp):
    """Answers nothing about objects."""

    def request(  # type: ignore[override, explicit-override]  # typing.override came with 3.12
        self, method: str, path: str, **given: Any
    ) -> AbstractAsyncContextManager[Answered]:
        self.latency = 7200.0 if "/deployments/" in path else 0.0
        return super().request(method, path, **given)


@in_virtual_time
async def test_a_server_that_does_not_answer_delays_the_writes_to_a_workspace_by_two_seconds_once() -> None:
    kcp = Stalled()
    async with publishing(kcp, lookup=lookup()) as publisher:
        publisher.offer([write("web.1"), write("web.2")])
        assert await publisher.drain()
    assert asyncio.get_running_loop().time() == pytest.approx(SECONDS)
    assert set(kcp.told) == {"web.1", "web.2"}


@in_virtual_time
async def test_a_uid_that_was_known_stays_while_the_server_is_silent() -> None:
    kcp, found = Kcp(uids={WEB: "u-1"}), lookup()
    await told(kcp, found)
    await asyncio.sleep(KEPT)
    kcp.lasting["/deployments/"] = AWAY
    assert await told(kcp, found) == ["u-1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "Secret", "apiVersion": "v1"},
        {"kind": "Deployment", "apiVersion": "example.com/v1"},
        {"namespace": ""},
        {"name": ".."},
        {"namespace": "."},
    ],
)
@in_virtual_time
async def test_what_is_not_to_be_looked_up_is_not(changes: dict[str, str]) -> None:
    kcp = Kcp()
    await told(kcp, lookup(), 1, 0.0, **changes)
    assert [asked.method for asked in kcp.asked] == ["POST"]


@in_virtual_time
async def test_a_hostile_name_is_one_part_of_the_path() -> None:
    kcp = Kcp()
    await told(kcp, lookup(), 1, name="../../secrets/x?y=1#z")
    assert kcp.asked[0].path == WEB.removesuffix("web") + "..%2F..%2Fsecrets%2Fx%3Fy%3D1%23z"


@in_virtual_time
async def test_what_is_remembered_is_bounded() -> None:
    kcp = Kcp(uids={WEB: "u-1"})
    found = lookup(remembered=1)
    await told(kcp, found)
    kcp.lasting["deployments/db"] = GONE._replace(content=b'{"details":{"name":"db"}}')
    await told(kcp, found, 1, name="db")
    await told(kcp, found)
    assert len(kcp.times("deployments/web")) == 2


@in_virtual_time
async def test_kinds_that_the_settings_name_no_more_are_not_asked_for() -> None:
    kcp = Kcp(uids={WEB: "u-1"})
    found = lookup()
    found.apply([])
    assert await told(kcp, found) == [None]
    assert kcp.times("/deployments/") == []
