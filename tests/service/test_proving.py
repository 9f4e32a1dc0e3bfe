"""The hourly proof beside a service: how it ends well, and how it does not."""

import asyncio
import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batcher.service.proving import Proving
from tests.history import history
from tests.sections import event, misplaced, watched
from tests.service.world import until

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def test_sums_that_add_up_are_proved_and_sums_that_do_not_are_told_until_they_do(tmp_path: Path) -> None:
    proving = Proving(tmp_path / "data", now=lambda: NOW)
    assert (proving.proved_at, proving.trouble) == (None, "")
    with history(tmp_path / "data") as h:
        h.directory.write_archive(tmp_path / "archive")
        h.batch(misplaced(event("a", 1)), watched(event("b", 2)), minute=0)
    await proving.turn()
    assert (proving.proved_at, proving.trouble) == (NOW, "")
    (staged,) = (tmp_path / "data" / "staged" / "quarantine").glob("date=*/*.parquet")
    content = staged.read_bytes()
    staged.unlink()
    await proving.turn()
    assert "FAILED" in proving.trouble or "quarantine" in proving.trouble
    staged.write_bytes(content)
    await proving.turn()
    assert proving.trouble == ""


async def test_what_came_of_a_proof_is_known_to_the_next_process_and_so_is_when_the_next_is_due(tmp_path: Path) -> None:
    first = Proving(tmp_path, now=lambda: NOW)
    assert (first.proved_at, first.since, first.due_in()) == (None, NOW, timedelta(0))
    await first.turn()
    for minutes, due in ((20, timedelta(minutes=40)), (59, timedelta(minutes=1)), (600, timedelta(0))):
        later = Proving(tmp_path, now=lambda minutes=minutes: NOW + timedelta(minutes=minutes))  # type: ignore[misc]
        assert (later.proved_at, later.since, later.due_in()) == (NOW, NOW, due)
        assert "no batcher data here" in later.trouble
    assert Proving(tmp_path, now=lambda: NOW - timedelta(days=1)).due_in() == timedelta(hours=1)


def test_since_when_there_is_no_proof_is_known_to_the_next_process_too(tmp_path: Path) -> None:
    assert Proving(tmp_path, now=lambda: NOW).since == NOW
    later = Proving(tmp_path, now=lambda: NOW + timedelta(hours=4))
    assert (later.proved_at, later.since, later.due_in()) == (None, NOW, timedelta(0))


def test_what_cannot_be_read_of_the_last_proof_is_as_if_there_had_been_none(tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_bytes(b'{"since":')
    assert Proving(tmp_path, now=lambda: NOW).proved_at is None


async def test_a_proof_that_cannot_be_made_is_told_as_one(tmp_path: Path) -> None:
    proving = Proving(tmp_path / "nothing", now=lambda: NOW)
    await proving.turn()
    assert "no batcher data here" in proving.trouble
    assert proving.proved_at == NOW


def children() -> list[str]:
    """The processes that this one has started and that have not been waited for."""
    found: list[str] = []
    for thread in Path(f"/proc/{os.getpid()}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            found += (thread / "children").read_text(encoding="ascii").split()
    return found


async def test_the_end_of_the_service_is_the_end_of_the_proof(tmp_path: Path) -> None:
    before = children()
    proving = Proving(tmp_path / "nothing", now=lambda: NOW)
    async with asyncio.TaskGroup() as group:
        turn = group.create_task(proving.turn())
        await until(lambda: children() != before)
        turn.cancel()
    assert turn.cancelled()
    assert children() == before
    assert proving.proved_at is None
