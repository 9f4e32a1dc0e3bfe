"""The quarantine at its bound: what is let go, what never is, and who fills it."""

from pathlib import Path

import polars as pl
from msgspec import structs

from batcher.batch.full import Fullness, look
from batcher.batch.quarantine import causes, quarantined
from batcher.spool import Kind, Section, Stream
from batcher.verify import verify
from tests.history import History, history
from tests.sections import event, lines, misplaced, watched

EU = Stream("uid-eu", "events")
LARGE = b"x" * 50_000


def found(h: History, max_bytes: int) -> Fullness:
    return look(h.directory, through=h.batches.last.batch, max_bytes=max_bytes)


def kept(h: History) -> list[int]:
    """How many bytes of each line are there."""
    rows = quarantined(h.directory, h.batches.last.batch).collect()
    return [len(line) for line in rows.sort("position")["line"]]


def refused(raw: bytes) -> Section:
    """A line that the watcher gave up at once."""
    return structs.replace(lines(raw, stream=EU), kind=Kind.REFUSED)


def rows(h: History) -> pl.DataFrame:
    """All that the sums are added up from."""
    return quarantined(h.directory, h.batches.last.batch).drop("line").sort("position").collect()


def retire_all(h: History) -> None:
    """Let go of the plans of all batches but the last, as deliveries and snapshots do."""
    h.directory.retire(h.batches.last.batch - 1)


def test_below_its_bound_nothing_is_let_go_and_nobody_is_held(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        h.batch(misplaced(event("a", 1)), minute=0)
        size = found(h, 10**9).bytes
        assert size > 500
        assert found(h, size) == Fullness(size, 0, {})


def test_at_its_bound_whoever_has_lines_in_it_is_held_and_all_lines_stay(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        h.batch(lines(b"no json", stream=EU), misplaced(event("a", 1)), watched(event("b", 2)), minute=0)
        h.batch(watched(event("b", 3)), minute=1)
        before = kept(h)
        retire_all(h)
        full = found(h, 10)
        assert full.held == {"uid-eu": "us-west1", "uid-us": "us-west1"}
        assert full.released == 0
        assert kept(h) == before


def test_lines_that_left_are_let_go_first_and_the_sums_still_add_up(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        h.batch(misplaced(event("a", 1, message="m" * 200_000)), lines(b"no json", stream=EU), minute=0)
        (read, unread) = h.waiting()
        assert causes(h.directory, h.batches.last.batch) == {"not-json": 1, "wrong-shape": 1}
        h.batch(minute=1, retry=[read])
        assert causes(h.directory, h.batches.last.batch) == {"not-json": 1}
        h.batch(watched(event("b", 2)), minute=2)
        assert h.waiting() == [unread]
        size, before = found(h, 10**9).bytes, rows(h)
        retire_all(h)
        full = found(h, size - 1)
        assert (full.held, kept(h)) == ({}, [0, 7])
        assert full.bytes + full.released == size
        assert rows(h).equals(before)
        assert h.waiting() == [unread]


def test_the_part_of_a_line_that_came_again_by_a_list_is_let_go_and_its_cluster_still_held(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        h.batch(refused(LARGE), minute=0)
        h.batch(watched(event("b", 2)), minute=1)
        retire_all(h)
        full = found(h, 10)
        assert (full.held, kept(h), full.released > 0) == ({"uid-eu": "us-west1"}, [0], True)


def test_what_a_batch_that_can_be_run_again_brought_is_left_as_it_is(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        h.batch(misplaced(event("a", 1)), minute=0)
        h.batch(minute=1, retry=h.waiting())
        before = kept(h)
        assert found(h, 10).held == {}
        assert kept(h) == before
        assert [check for check in verify(h.directory, h.directory.archive, deep=True) if not check.ok] == []


def test_bytes_that_were_no_frame_of_the_spool_count_but_are_nobodys(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        (h.directory.quarantine / "0000000001-0.bytes").write_bytes(LARGE)
        assert found(h, 10) == Fullness(50_000, 0, {})


def test_looking_again_changes_nothing(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        h.batch(misplaced(event("a", 1)), minute=0)
        h.batch(minute=1, retry=h.waiting())
        h.batch(watched(event("b", 2)), minute=2)
        retire_all(h)
        assert found(h, 10).released > 0
        assert found(h, 10).released == 0


def test_lines_are_told_by_why_they_could_not_be_counted_until_they_are(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        assert causes(h.directory, h.batches.last.batch) == {}
        h.batch(lines(b"no json", b"nor this", stream=EU), watched(event("b", 2)), minute=0)
        assert causes(h.directory, h.batches.last.batch) == {"not-json": 2}
        h.batch(misplaced(event("a", 1)), minute=1)
        assert causes(h.directory, h.batches.last.batch) == {"not-json": 2, "wrong-shape": 1}
        assert causes(h.directory, h.batches.last.batch - 1) == {"not-json": 2}
