"""Files that nobody names go, when no reader can have them open any more; others stay."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batcher.archive import Deliverer, check_owner, scan
from batcher.archive.compact import compact_all
from batcher.archive.vacuum import AFTER, vacuum
from tests.history import START_AT, History, history
from tests.sections import event, watched

DAY = timedelta(days=1)
NOW = START_AT + 2 * DAY
"""Files of the tests are made at the machine's time, which is :data:`SOME_TIME` in them."""
SOME_TIME = START_AT + DAY


def play(h: History, *batches: int) -> None:
    for n in batches:
        h.batch(watched(event(f"b{n}", n, minute=n)), minute=n)


def compacted(h: History, root: Path) -> None:
    """Two batches, delivered and compacted: two files are unnamed."""
    check_owner(root, h.directory.id)
    play(h, 1, 2)
    h.batches.delivered(Deliverer(root, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))
    compact_all(root, now=NOW)
    made_at_some_time(root)


def made_at_some_time(root: Path) -> None:
    for path in root.rglob("*"):
        os.utime(path, (SOME_TIME.timestamp(), SOME_TIME.timestamp()))


def names(root: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (root / "occurrences").glob("date=*/*"))


def test_what_was_replaced_stays_until_no_reader_has_it_open(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        compacted(h, root)
    reader = scan(root, "occurrences")
    assert (vacuum(root, "occurrences", now=NOW).files, vacuum(root, "occurrences", now=NOW).waiting) == (0, 2)
    almost = NOW + AFTER - timedelta(seconds=1)
    assert vacuum(root, "occurrences", now=almost).waiting == 2
    assert vacuum(root, "occurrences", now=NOW + AFTER, dry_run=True).files == 2
    assert len(names(root)) == 3
    done = vacuum(root, "occurrences", now=NOW + AFTER)
    assert (done.files, done.waiting) == (2, 0)
    assert done.bytes > 0
    assert names(root) == ["part"]
    assert len(reader.collect()) == 2


def test_a_file_of_a_rewriting_that_a_kill_left_goes_and_one_that_is_being_written_stays(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        compacted(h, root)
    (folder,) = (root / "occurrences").glob("date=*")
    for name in ("part-00.parquet", "kept-00.parquet.tmp"):
        (folder / name).write_bytes(b"torn")
        os.utime(folder / name, (NOW.timestamp(), NOW.timestamp()))
    assert vacuum(root, "occurrences", now=NOW + timedelta(minutes=59)).waiting == 2
    assert vacuum(root, "occurrences", now=NOW + timedelta(minutes=60)).waiting == 4
    vacuum(root, "occurrences", now=NOW + timedelta(minutes=60) + AFTER)
    assert names(root) == ["part"]
    assert len(scan(root, "occurrences").collect()) == 2


def test_a_staged_file_that_a_delivery_has_copied_and_not_registered_yet_stays(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        compacted(h, root)
        play(h, 3)
        (file,) = [file for file in h.batches.undelivered if file.table == "occurrences"]
        (root / "occurrences" / file.name).write_bytes((h.directory.staged / "occurrences" / file.name).read_bytes())
        made_at_some_time(root)
        for days in (1, 2, 3):
            vacuum(root, "occurrences", now=NOW + days * DAY)
        assert (root / "occurrences" / file.name).exists()
        Deliverer(root, h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
    assert len(scan(root, "occurrences").collect()) == 3


def test_what_a_former_owner_copied_and_never_registered_goes(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        compacted(h, root)
    (folder,) = (root / "occurrences").glob("date=*")
    (folder / "fedcba9876543210-000000000009.parquet").write_bytes(b"x")
    vacuum(root, "occurrences", now=NOW)
    vacuum(root, "occurrences", now=NOW + AFTER)
    assert names(root) == ["part"]


def test_a_note_that_is_lost_keeps_files_longer(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        compacted(h, root)
    vacuum(root, "occurrences", now=NOW)
    (root / "occurrences" / "_batcher_unnamed").write_text("{")
    assert vacuum(root, "occurrences", now=NOW + AFTER).waiting == 2
    assert vacuum(root, "occurrences", now=NOW + 2 * AFTER).files == 2


def test_a_clock_that_was_ahead_is_not_waited_for(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        compacted(h, root)
    vacuum(root, "occurrences", now=datetime(2030, 1, 1, tzinfo=UTC))
    vacuum(root, "occurrences", now=NOW)
    assert vacuum(root, "occurrences", now=NOW + AFTER).files == 2


def test_a_table_that_is_not_there_has_nothing_to_vacuum(tmp_path: Path) -> None:
    assert vacuum(tmp_path, "links", now=NOW)[1:] == (0, 0, 0, 0)
