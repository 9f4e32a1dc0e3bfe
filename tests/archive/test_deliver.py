import shutil
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from batcher import disk
from batcher.archive import Deliverer, check_owner, scan
from batcher.batch.process import staged_paths
from batcher.errors import ArchiveError, UsageError
from batcher.staging import StagedFile
from tests.history import History, history
from tests.sections import event, watched


def play(h: History, *batches: int) -> None:
    for n in batches:
        h.batch(watched(event("a", n, count=n), event(f"b{n}", n + 500, minute=n)), minute=n)


def deliverer(h: History, root: Path) -> Deliverer:
    return Deliverer(root, h.directory.staged, h.directory.id)


def delivered(root: Path) -> list[tuple[int, str]]:
    """Batch and Pod of each row of ``occurrences`` that the archive has, sorted."""
    rows = scan(root, "occurrences").select("batch", "regarding_name").collect().rows()
    return sorted((batch, name) for batch, name in rows)


TWO_BATCHES = [(1, "a"), (1, "b1"), (2, "a"), (2, "b2")]


def test_an_older_copy_of_the_directory_loses_no_row_beside_an_archive_that_has_gone_on(tmp_path: Path) -> None:
    data, archive = tmp_path / "data", tmp_path / "archive"
    with history(data) as h:
        play(h, 1)
        deliverer(h, archive).deliver(h.batches.undelivered)
    shutil.copytree(data, tmp_path / "copy")
    with history(data) as h:
        play(h, 2, 3)
        deliverer(h, archive).deliver(h.batches.undelivered)
    shutil.rmtree(data)
    (tmp_path / "copy").rename(data)
    with history(data) as h:
        begun = Deliverer(archive, h.directory.staged, h.directory.id, last=h.batches.last.batch)
        play(h, 2, 4, 5, 6)
        for _ in range(2):
            with pytest.raises(UsageError, match=r"had batch 3 of this data directory, whose last was 1: an older"):
                begun.deliver(h.batches.undelivered)
        assert {file.batch for file in h.batches.undelivered if file.table == "occurrences"} == {1, 2, 3, 4, 5}


class FailsOnce(Deliverer):
    """Its disk is full for a moment, in the second batch."""

    failed = False

    def _copy(self, file: StagedFile) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        if file.batch == 2 and not self.failed:
            self.failed = True
            raise OSError(28, "No space left on device")
        super()._copy(file)


def test_what_it_delivered_itself_is_not_taken_for_that_of_a_later_directory(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        one = FailsOnce(tmp_path / "archive", h.directory.staged, h.directory.id, last=h.batches.last.batch)
        play(h, 1)
        one.deliver(h.batches.undelivered)
        play(h, 2)
        with pytest.raises(ArchiveError):
            one.deliver(h.batches.undelivered)
        assert one.deliver(h.batches.undelivered)["occurrences"] == 2
    assert delivered(tmp_path / "archive") == TWO_BATCHES


def test_what_was_staged_is_in_the_archive(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        through = deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered)
    assert (through["occurrences"], through["batches"], through["dead_letters"]) == (2, 2, 0)
    assert delivered(tmp_path / "archive") == TWO_BATCHES


def test_any_delta_reader_sees_the_rows_and_their_date(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered)
    rows = pl.from_arrow(DeltaTable(tmp_path / "archive" / "occurrences").to_pyarrow_table())
    assert isinstance(rows, pl.DataFrame)
    assert rows["date"].to_list() == ["2026-11-23"] * 4
    assert sorted(rows["grew"]) == [1, 1, 1, 1]


def test_delivering_twice_adds_nothing(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        one = deliverer(h, tmp_path / "archive")
        through = one.deliver(h.batches.undelivered)
        assert one.deliver(h.batches.undelivered) == through
        assert deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered) == through
    assert delivered(tmp_path / "archive") == TWO_BATCHES
    assert DeltaTable(tmp_path / "archive" / "occurrences").version() == 1


def test_a_crash_between_delivering_and_forgetting_adds_nothing(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1)
        deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered)
    with history(tmp_path / "data") as h:
        play(h, 2)
        assert {file.batch for file in h.batches.undelivered} == {1, 2}
        h.batches.delivered(deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered))
        assert h.batches.undelivered == []
        assert list(h.directory.staged.rglob("*.parquet")) == []
    assert delivered(tmp_path / "archive") == TWO_BATCHES


def test_a_crash_after_forgetting_asks_for_no_file_again(tmp_path: Path) -> None:
    for n in (1, 2):
        with history(tmp_path / "data") as h:
            play(h, n)
            h.batches.delivered(deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered))
    assert delivered(tmp_path / "archive") == TWO_BATCHES


class DyingDeliverer(Deliverer):
    """Dies when it has registered the files of one table."""

    def _deliver(self, name: str, files: list[StagedFile]) -> int:  # type: ignore[explicit-override]  # typing.override came with 3.12
        super()._deliver(name, files)
        raise KeyboardInterrupt


def test_a_crash_between_two_tables_is_made_up_for(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        dying = DyingDeliverer(tmp_path / "archive", h.directory.staged, h.directory.id)
        with pytest.raises(KeyboardInterrupt):
            dying.deliver(h.batches.undelivered)
        assert delivered(tmp_path / "archive") == TWO_BATCHES
        assert deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered)["batches"] == 2
    assert delivered(tmp_path / "archive") == TWO_BATCHES
    assert scan(tmp_path / "archive", "batches").collect()["batch"].to_list() == [1, 2]


def test_after_a_failure_of_unknown_outcome_the_archive_is_asked_what_it_has(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        one = deliverer(h, tmp_path / "archive")
        play(h, 1)
        one.deliver(h.batches.undelivered)
        play(h, 2)
        deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered)  # what the answer did not come back for
        with pytest.raises(ArchiveError):
            one.deliver(h.batches.undelivered)
        assert one.deliver(h.batches.undelivered)["occurrences"] == 2
    assert delivered(tmp_path / "archive") == TWO_BATCHES


def test_a_version_that_a_power_cut_tore_is_delivered_again(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered)
        newest = max((tmp_path / "archive" / "occurrences" / "_delta_log").glob("*.json"))
        newest.write_bytes(newest.read_bytes()[:-10])
        assert deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered)["occurrences"] == 2
    assert delivered(tmp_path / "archive") == TWO_BATCHES


class Noting(disk.System):
    """Notes the versions of tables that are opened, which is to sync them."""

    def __init__(self) -> None:
        self.versions: list[str] = []

    def open(self, path: Path, flags: int) -> int:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Note a version's path."""
        if path.suffix == ".json" and path.parent.name == "_delta_log":
            self.versions.append(f"{path.parent.parent.name} {int(path.stem)}")
        return super().open(path, flags)


def test_a_version_that_a_kill_left_unsynced_is_synced_before_columns_are_added_after_it(tmp_path: Path) -> None:
    older = pl.DataFrame({"batch": [1], "date": ["2026-11-23"]}).to_arrow().schema
    DeltaTable.create(tmp_path / "archive" / "gaps", older, partition_by=["date"])
    noting = Noting()
    with history(tmp_path / "data") as h, disk.using(noting):
        deliverer(h, tmp_path / "archive").deliver([])
    assert [version for version in noting.versions if version.startswith("gaps")] == ["gaps 0", "gaps 1"]


def test_an_archive_that_is_away_costs_nothing_and_gets_everything_later(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1)
        one = deliverer(h, tmp_path / "archive")
        (tmp_path / "archive").touch()
        with pytest.raises(ArchiveError, match=r"archive .*/archive: ") as caught:
            one.deliver(h.batches.undelivered)
        assert "\n" not in str(caught.value)
        (tmp_path / "archive").unlink()
        play(h, 2)
        h.batches.delivered(one.deliver(h.batches.undelivered))
    assert delivered(tmp_path / "archive") == TWO_BATCHES


def test_a_staged_file_that_is_gone_is_an_error_and_no_table_gets_a_hole(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        for path in staged_paths(h.directory)["occurrences"][:1]:
            path.unlink()
        with pytest.raises(ArchiveError, match="No such file or directory"):
            deliverer(h, tmp_path / "archive").deliver(h.batches.undelivered)
    assert delivered(tmp_path / "archive") == []


def test_an_archive_that_was_taken_over_meanwhile_gets_nothing_more(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        check_owner(tmp_path / "archive", h.directory.id)
        play(h, 1)
        one = deliverer(h, tmp_path / "archive")
        one.deliver(h.batches.undelivered)
        check_owner(tmp_path / "archive", "fedcba9876543210", take_over=True)
        play(h, 2)
        with pytest.raises(UsageError, match=r"\(id fedcba9876543210\) has taken it over from this one"):
            one.deliver(h.batches.undelivered)
    assert delivered(tmp_path / "archive") == [(1, "a"), (1, "b1")]
