"""When a service's work is due: soon after a start, and then every so often, whatever else changes."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from batcher import clock, settings
from batcher.service import loop, opened
from batcher.service.timetable import Timetable
from tests.service.world import until, world

HOUR = timedelta(hours=1)


async def test_what_is_due_for_the_first_time_is_due_when_it_was_said_and_the_rest_after_its_interval() -> None:
    seldom, often, now_and_then = asyncio.Event(), asyncio.Event(), asyncio.Event()
    table = Timetable()
    began = clock.now()
    table.start({seldom: HOUR, often: timedelta(minutes=1), now_and_then: HOUR}, {seldom: timedelta(minutes=5)})
    ended = clock.now()
    for event, wait in ((seldom, timedelta(minutes=5)), (often, timedelta(minutes=1)), (now_and_then, HOUR)):
        assert began + wait <= table.due_at(event) <= ended + wait
    await table.end()


async def test_what_is_due_is_said_and_said_again() -> None:
    due = asyncio.Event()
    table = Timetable()
    table.start({due: timedelta(milliseconds=20)}, {due: timedelta(0)})
    for _ in range(3):
        await asyncio.wait_for(due.wait(), 60)
        due.clear()
    await table.end()
    assert not due.is_set()


async def test_a_configuration_that_is_read_again_puts_off_only_what_it_changes() -> None:
    seldom, often = asyncio.Event(), asyncio.Event()
    table = Timetable()
    table.start({seldom: HOUR, often: HOUR}, {seldom: timedelta(minutes=5)})
    before = table.due_at(seldom)
    table.follow({seldom: HOUR, often: timedelta(minutes=1)})
    assert table.due_at(seldom) == before
    assert table.due_at(often) < clock.now() + timedelta(minutes=2)
    await table.end()


async def test_a_service_goes_on_telling_of_the_last_proof_of_the_one_before(tmp_path: Path) -> None:
    at = (clock.now() - timedelta(minutes=20)).isoformat()
    async with world(tmp_path) as w:
        with opened(settings.load(w.config, {}), now=clock.now):
            pass
        left = {"since": at, "at": at, "trouble": "FAILED  sums"}
        (Path(settings.load(w.config, {}).data_dir) / "proof.json").write_text(json.dumps(left), encoding="utf-8")
        stop = asyncio.Event()
        with opened(settings.load(w.config, {}), now=clock.now) as service:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop))
                await until(lambda: service.status.batched_at is not None)
                stop.set()
        assert service.status.proof_trouble == "FAILED  sums"
        assert service.status.proved_at is not None
        assert service.status.proved_at.isoformat() == at


async def test_a_service_proves_its_sums_and_keeps_its_archive_soon_after_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SOON", timedelta(seconds=0.2))
    stop = asyncio.Event()
    async with world(tmp_path) as w:
        with opened(settings.load(w.config, {}), now=clock.now) as service:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(stop))
                await until(lambda: service.status.proved_at is not None)
                await until(lambda: service.status.kept_at is not None or service.status.keeping_failures > 0)
                stop.set()
