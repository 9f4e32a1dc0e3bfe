"""The second look at what a watch should have delivered."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from batcher.sandbox import Answer, Faults
from batcher.spool import Kind, Stream
from batcher.watch import audit
from tests.virtual_time import in_virtual_time
from tests.watch.watched import Counted, Sink, sandboxed, watched, watching

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
        for index in range(520):
            w.event(f"e{index:03}")
        await w.heard("e519")
        for count in range(1, 4 * HALF_TTL // 100):
            await asyncio.sleep(100)
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
    def refuse_once(_: str, params: Mapping[str, str]) -> None:
        if params.get("limit") == "500" and w.status.phase == "connected" and not refused:
            refused.append(True)
            w.cluster.faults = replace(w.cluster.faults, answers=(Answer(503, "list"),))

    def audited() -> bool:
        return bool(refused)

    refused: list[bool] = []
    async with watched(tmp_path, seen=Counted, event_ttl=timedelta(hours=10), on_ask=refuse_once) as w:
        await w.connected()
        w.cluster.lose(1)
        w.event("never-sent")
        w.event("meanwhile")
        await w.heard("meanwhile", seconds=10)
        await w.until(audited, 5 * 3600)
        await w.heard("never-sent", seconds=3600)


@in_virtual_time
async def test_30_a_fleet_without_a_memory_of_what_was_seen_does_not_audit(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.connected()
        lists = w.status.lists
        asked = len([1 for _, params in w.asked if params.get("limit") == "500"])
        await asyncio.sleep(4 * HALF_TTL)
        assert (w.status.lists, len([1 for _, params in w.asked if params.get("limit") == "500"])) == (lists, asked)


@dataclass
class Late(Counted):
    """Has counted what was in the sink when it was last asked to settle, as batches do that run now and then."""

    async def missing(self, stream: Stream, items: Sequence[bytes]) -> list[bytes]:  # type: ignore[explicit-override]
        before, self.sink = self.sink, Sink(self.sink.sections[: self.counted])
        found = await super().missing(stream, items)
        self.sink = before
        return found

    async def settled(self) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        self.count(len(self.sink.sections))


@in_virtual_time
async def test_30_what_waits_for_its_batch_or_is_on_its_way_is_not_missing(tmp_path: Path) -> None:
    def delay(_: str, params: Mapping[str, str]) -> None:
        if params.get("limit") == "500" and len(asked) < 5:
            asked.append(asyncio.get_running_loop().time())
            cluster.faults = replace(cluster.faults, stall=frozenset({"watch"}))
            cluster.create_event({"metadata": {"name": f"late-{len(asked)}", "namespace": "web"}})
            asyncio.get_running_loop().call_later(5, lambda: setattr(cluster, "faults", Faults()))

    asked: list[float] = []
    async with sandboxed(tmp_path) as cluster, watching(cluster, tmp_path, seen=Late, on_ask=delay) as w:
        await w.until(lambda: len(asked) == 5, 5 * HALF_TTL)
        await asyncio.sleep(60)
        assert sorted(w.sink.names()) == [f"late-{number}" for number in range(1, 6)]
        assert w.status.recovered == 0


@in_virtual_time
async def test_30_an_audit_looks_at_a_bounded_number_and_the_next_finds_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SUSPECTS_MOST", 100)
    async with watched(tmp_path, seen=Counted) as w:
        await w.connected()
        w.cluster.lose(520)
        for index in range(520):
            w.event(f"e{index:04}")
        await w.until(lambda: w.status.recovered == 500, HALF_TTL + 60)
        await w.until(lambda: w.status.recovered == 520, 2 * HALF_TTL + 120)


@in_virtual_time
async def test_30_what_is_appended_is_on_disk_before_it_is_looked_for(tmp_path: Path) -> None:
    async with watched(tmp_path, seen=Counted) as w:
        await w.connected()
        w.cluster.lose(1)
        w.event("never-sent")
        w.sink.behind = True
        await asyncio.sleep(3 * HALF_TTL)
        assert w.status.recovered == 0
        w.sink.behind = False
        await w.until(lambda: w.status.recovered == 1, 60)


@in_virtual_time
async def test_30_only_events_are_audited(tmp_path: Path) -> None:
    async with watched(tmp_path, seen=Counted, resources=("events", "namespaces")) as w:
        await w.connected()
        await asyncio.sleep(3 * HALF_TTL)
        listed = [path.rpartition("/")[2] for path, params in w.asked if params.get("limit") == "500"]
        assert (listed.count("namespaces"), listed.count("events") >= 3) == (1, True)
