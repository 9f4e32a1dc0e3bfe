"""The second look at what a watch should have delivered."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from batcher.sandbox import Answer
from batcher.spool import Kind
from tests.virtual_time import in_virtual_time
from tests.watch.watched import Counted, watched

HALF_TTL = 1800


@in_virtual_time
async def test_30_the_audit_recovers_an_event_that_the_server_never_sent(tmp_path: Path) -> None:
    async with watched(tmp_path, seen=Counted) as w:
        await w.connected()
        w.cluster.lose(1)
        w.event("never-sent")
        w.event("sent")
        await w.heard("sent")
        assert "never-sent" not in w.sink.names()
        await w.heard("never-sent", seconds=HALF_TTL + 60)
        assert w.status.recovered == 1


@in_virtual_time
async def test_30_what_was_counted_or_is_only_late_is_not_spooled_again(tmp_path: Path) -> None:
    async with watched(tmp_path, seen=Counted) as w:
        await w.connected()
        for index in range(700):
            w.event(f"e{index:03}")
        await w.heard("e699")
        for count in range(1, 4 * HALF_TTL // 20):
            await asyncio.sleep(20)
            w.event("again-and-again", count)
        assert (w.status.recovered, w.sink.kinds().count(Kind.LISTED)) == (0, 0)
        assert len([1 for path, params in w.asked if params.get("limit") == "500"]) >= 4


@in_virtual_time
async def test_30_a_missed_update_of_a_known_event_is_recovered(tmp_path: Path) -> None:
    async with watched(tmp_path, seen=Counted) as w:
        w.event("a")
        await w.heard("a")
        w.cluster.lose(1)
        w.event("a", 50)
        await w.until(lambda: ("LISTED", "a", 50) in w.sink.delivered(), HALF_TTL + 60)


@in_virtual_time
async def test_30_an_audit_moves_no_cursor(tmp_path: Path) -> None:
    async with watched(tmp_path, seen=Counted) as w:
        await w.connected()
        w.cluster.lose(1)
        w.event("never-sent")
        before = w.sink.cursor()
        await w.heard("never-sent")
        assert w.sink.cursor() == before


@in_virtual_time
async def test_30_an_audit_that_fails_is_tried_again_soon_and_the_watch_goes_on(tmp_path: Path) -> None:
    async with watched(tmp_path, seen=Counted, event_ttl=timedelta(hours=10)) as w:
        await w.connected()
        w.cluster.lose(1)
        w.event("never-sent")
        w.cluster.faults = replace(w.cluster.faults, answers=(Answer(503, "list", times=3),))
        w.event("meanwhile")
        await w.heard("meanwhile", seconds=10)
        await w.until(lambda: not w.cluster.faults.answers, 5 * 3600)
        await w.heard("never-sent", seconds=3600)


@in_virtual_time
async def test_30_a_fleet_without_a_memory_of_what_was_seen_does_not_audit(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.connected()
        lists = w.status.lists
        asked = len([1 for _, params in w.asked if params.get("limit") == "500"])
        await asyncio.sleep(4 * HALF_TTL)
        assert (w.status.lists, len([1 for _, params in w.asked if params.get("limit") == "500"])) == (lists, asked)
