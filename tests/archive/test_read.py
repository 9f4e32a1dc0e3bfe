from pathlib import Path

import polars as pl
import pytest

from batcher.archive import Deliverer, scan
from batcher.archive.deliver import COLUMNS
from batcher.archive.read import settled
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.errors import ArchiveError
from tests.history import history
from tests.sections import event, watched


def counted(archive: Path, directory: DataDirectory) -> list[tuple[int, int]]:
    """How many occurrences a reader sees of each batch, sorted."""
    frame = scan(archive, "occurrences", staged_paths(directory)["occurrences"])
    return frame.group_by("batch").agg(pl.sum("grew")).sort("batch").collect().rows()


def test_staged_and_delivered_rows_are_seen_once_at_every_moment(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1, count=3)), minute=0)
        assert counted(archive, h.directory) == [(1, 3)]
        through = Deliverer(archive, h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        assert counted(archive, h.directory) == [(1, 3)]
        h.batches.delivered(through)
        assert counted(archive, h.directory) == [(1, 3)]
        h.batch(watched(event("a", 2, count=7)), minute=1)
        assert counted(archive, h.directory) == [(1, 3), (2, 4)]


def test_files_of_a_batch_that_was_not_committed_are_not_seen(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1)), minute=0)
        (staged,) = staged_paths(h.directory)["occurrences"]
        staged.with_name("0123456789abcdef-000000000002.parquet").write_bytes(staged.read_bytes())
        assert counted(tmp_path / "archive", h.directory) == [(1, 1)]


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_that_is_not_there_yet_is_empty_and_has_its_columns(tmp_path: Path, table: str) -> None:
    frame = scan(tmp_path / "archive", table).collect()
    assert (len(frame), dict(frame.schema)) == (0, COLUMNS[table])


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "batches" / "_delta_log").mkdir(parents=True)
    (tmp_path / "batches" / "_delta_log" / f"{0:020d}.json").write_text("{")
    with pytest.raises(ArchiveError, match=r"archive table .*/batches: "):
        scan(tmp_path, "batches")


def test_a_reader_that_was_overtaken_by_a_delivery_reads_again() -> None:
    answers = [FileNotFoundError("moved"), pl.exceptions.ComputeError("cut"), None]

    def read() -> str:
        error = answers.pop(0)
        if error:
            raise error
        return "rows"

    assert settled(read) == "rows"


def test_a_file_that_stays_missing_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"archive: .*No such file"):
        settled(lambda: pl.scan_parquet(tmp_path / "none.parquet").collect())
