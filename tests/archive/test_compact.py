"""A day's small files become few: no row is lost, none is there twice, whoever does what at the same time."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from batcher.archive import Deliverer, scan
from batcher.archive.compact import Compacted, compact, compact_all, is_small, worth
from batcher.archive.read import open_to_read
from batcher.archive.rewrite import Held, chunks, held, replace, undisturbed, write
from batcher.archive.tables import COLUMNS
from batcher.batch.process import staged_paths
from batcher.errors import ArchiveError
from batcher.verify import verify
from tests.history import History, history
from tests.sections import event, watched

NEXT_DAY = datetime(2026, 11, 24, 1, tzinfo=UTC)
SAME_DAY = datetime(2026, 11, 23, 23, tzinfo=UTC)


def play(h: History, *batches: int) -> None:
    for n in batches:
        h.batch(watched(event("a", n, count=n), event(f"b{n}", n + 500, minute=n)), minute=n)


def deliver(h: History, root: Path) -> dict[str, int]:
    return Deliverer(root, h.directory.staged, h.directory.id).deliver(h.batches.undelivered)


def seen(h: History, root: Path) -> list[tuple[int, str]]:
    """Batch and Pod of each row that a reader sees, sorted."""
    rows = scan(root, "occurrences", staged_paths(h.directory)["occurrences"])
    return sorted((batch, name) for batch, name in rows.select("batch", "regarding_name").collect().rows())


def files(root: Path, table: str = "occurrences") -> list[Held]:
    return held(open_to_read(root, table))


def failed(h: History, root: Path, *, deep: bool = False) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in verify(h.directory, root, deep=deep) if not check.ok]


FOUR_BATCHES = [(n, name) for n in (1, 2, 3, 4) for name in ("a", f"b{n}")]


def test_small_files_of_a_day_become_one_with_every_row(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2, 3, 4)
        deliver(h, tmp_path / "archive")
        before = scan(tmp_path / "archive", "occurrences").collect().sort("position")
        done = compact(tmp_path / "archive", "occurrences", now=NEXT_DAY)
        assert (done.files, done.into, done.rows) == (4, 1, 8)
        (one,) = files(tmp_path / "archive")
        assert (one.date, one.rows, one.name.partition("-")[0]) == ("2026-11-23", 8, "part")
        assert scan(tmp_path / "archive", "occurrences").collect().sort("position").equals(before)


def test_a_delivered_file_that_was_compacted_is_neither_seen_nor_delivered_again(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2, 3, 4)
        through = deliver(h, tmp_path / "archive")
        compact_all(tmp_path / "archive", now=NEXT_DAY)
        assert seen(h, tmp_path / "archive") == FOUR_BATCHES  # the staged files are still here
        assert deliver(h, tmp_path / "archive") == through
        h.batches.delivered(through)
        assert seen(h, tmp_path / "archive") == FOUR_BATCHES
        play(h, 5)
        deliver(h, tmp_path / "archive")
        assert seen(h, tmp_path / "archive") == [*FOUR_BATCHES, (5, "a"), (5, "b5")]


def test_every_sum_and_every_recomputed_row_holds_after_compaction(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2, 3)
        h.batches.delivered(deliver(h, tmp_path / "archive"))
        compact_all(tmp_path / "archive", now=NEXT_DAY)
        play(h, 4)
        assert failed(h, tmp_path / "archive", deep=True) == []
        for path in (tmp_path / "archive").rglob("0123456789abcdef-*.parquet"):
            path.unlink()  # as a vacuum does
        assert failed(h, tmp_path / "archive", deep=True) == []


def test_a_delivered_file_that_is_gone_and_was_not_compacted_is_found(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1)
        h.batches.delivered(deliver(h, tmp_path / "archive"))
        (path,) = (tmp_path / "archive" / "occurrences").rglob("0123456789abcdef-*.parquet")
        path.unlink()
        (told,) = failed(h, tmp_path / "archive", deep=True)
        assert told.startswith("files of each commit = their digests: batch 1: occurrences/date=2026-11-23/")
        assert told.endswith("/0123456789abcdef-000000000001.parquet: is gone")


def test_compacting_again_does_nothing(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        deliver(h, tmp_path / "archive")
    compact_all(tmp_path / "archive", now=NEXT_DAY)
    version = DeltaTable(tmp_path / "archive" / "occurrences").version()
    assert {done.files for done in compact_all(tmp_path / "archive", now=NEXT_DAY)} == {0}
    assert DeltaTable(tmp_path / "archive" / "occurrences").version() == version


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        deliver(h, tmp_path / "archive")
    done = compact(tmp_path / "archive", "occurrences", now=NEXT_DAY, dry_run=True)
    assert (done.files, done.rows, done.into) == (2, 4, 0)
    assert len(files(tmp_path / "archive")) == 2


def test_today_is_left_alone_until_it_has_many_files(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
        deliver(h, tmp_path / "archive")
    assert compact(tmp_path / "archive", "occurrences", now=SAME_DAY).files == 0
    assert compact(tmp_path / "archive", "occurrences", now=SAME_DAY, today_from=2).files == 2


def of(name: str, rows: int, date: str = "2026-11-23") -> Held:
    return Held(f"date={date}/{name}", date, rows, 1000)


STAGED = "0123456789abcdef-000000000001.parquet"


@pytest.mark.parametrize(
    ("name", "rows", "small"),
    [
        (STAGED, 1, True),
        (STAGED, 150_000, True),
        ("part-00.parquet", 99_999, True),
        ("part-00.parquet", 100_000, False),
        ("full-00.parquet", 10, False),
        ("kept-00.parquet", 10, False),
    ],
)
def test_what_is_large_enough_or_retained_is_not_rewritten_again(name: str, rows: int, *, small: bool) -> None:
    assert is_small(of(name, rows)) is small


def test_a_day_that_is_over_is_worth_it_from_two_files_and_today_from_eight() -> None:
    old = [of(f"part-{n}", 10, "2026-11-22") for n in range(2)]
    alone = [of("part-9", 10, "2026-11-21")]
    seven = [of(f"part-{n}", 10) for n in range(7)]
    assert worth([*alone, *old, *seven], today="2026-11-23", today_from=8) == old
    eight = [*seven, of("part-8", 10)]
    assert worth([*alone, *old, *eight], today="2026-11-23", today_from=8) == [*old, *eight]


def test_files_of_an_older_version_are_compacted_into_the_columns_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "gaps" / "date=2026-11-23"
    older = {"batch": [1], "cluster_uid": ["u"]}
    table = DeltaTable.create(
        tmp_path / "gaps", pl.DataFrame(older | {"date": ["x"]}).to_arrow().schema, partition_by=["date"]
    )
    for number in (1, 2):
        pl.DataFrame(older | {"batch": [number], "date": ["2026-11-23"]}).write_delta(
            str(tmp_path / "gaps"), mode="append"
        )
    assert path.exists()
    assert len(table.schema().fields) == 3
    compact(tmp_path, "gaps", now=NEXT_DAY)
    (one,) = files(tmp_path, "gaps")
    assert dict(pl.read_parquet_schema(tmp_path / "gaps" / one.path)) == COLUMNS["gaps"]
    fields = {field.name for field in DeltaTable(tmp_path / "gaps").schema().fields}
    assert fields == {*COLUMNS["gaps"], "date"}
    rows = scan(tmp_path, "gaps").select("batch", "cluster_uid", "from_at").sort("batch").collect()
    assert rows.rows() == [(1, "u", None), (2, "u", None)]


def test_a_table_of_a_newer_version_is_not_rewritten_without_its_columns(tmp_path: Path) -> None:
    newer = pl.DataFrame({"batch": [1], "surprise": ["s"], "date": ["2026-11-23"]})
    for _ in range(2):
        newer.write_delta(str(tmp_path / "gaps"), mode="append", delta_write_options={"partition_by": ["date"]})
    with pytest.raises(ArchiveError, match="a newer version added surprise; upgrade batcher"):
        compact(tmp_path, "gaps", now=NEXT_DAY)
    assert len(files(tmp_path, "gaps")) == 2


class Interrupting:
    """Lets ``first`` happen when a rewriting has read the table and is about to commit, once."""

    def __init__(self, first: Callable[[], object]) -> None:
        self.first: Callable[[], object] | None = first

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        first, self.first = self.first, None
        if first:
            first()
        return rows


def test_of_two_that_rewrite_the_same_files_one_looks_again_and_no_row_is_there_twice(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        play(h, 1, 2, 3, 4)
        deliver(h, root)
        done: list[Compacted] = []
        other = Interrupting(lambda: done.append(compact(root, "occurrences", now=NEXT_DAY)))
        turns = []

        def work(table: DeltaTable) -> None:
            some = worth(held(table), today="2026-11-24", today_from=2)
            turns.append(len(some))
            for chunk in chunks(root, "occurrences", some, other):
                new = list(write(root, "occurrences", "2026-11-23", chunk.rows, kind="part"))
                replace(root, "occurrences", table, old=chunk.files, new=new, now=NEXT_DAY)

        undisturbed(root, "occurrences", work)
        assert (turns, [each.files for each in done]) == ([4, 0], [4])
        assert seen(h, root) == FOUR_BATCHES


def test_a_delivery_in_the_middle_of_a_compaction_loses_nothing_and_fails_nobody(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        one = Deliverer(root, h.directory.staged, h.directory.id)
        play(h, 1, 2)
        one.deliver(h.batches.undelivered)
        play(h, 3, 4)
        delivery = Interrupting(lambda: one.deliver(h.batches.undelivered))
        turns = []

        def work(table: DeltaTable) -> None:
            some = worth(held(table), today="2026-11-24", today_from=2)
            turns.append(len(some))
            for chunk in chunks(root, "occurrences", some, delivery):
                new = list(write(root, "occurrences", "2026-11-23", chunk.rows, kind="part"))
                replace(root, "occurrences", table, old=chunk.files, new=new, now=NEXT_DAY)

        undisturbed(root, "occurrences", work)
        assert turns == [2]
        assert seen(h, root) == FOUR_BATCHES
        play(h, 5)
        assert one.deliver(h.batches.undelivered)["occurrences"] == 5
        assert seen(h, root) == [*FOUR_BATCHES, (5, "a"), (5, "b5")]


def test_what_a_reader_has_opened_stays_readable_while_its_files_are_compacted(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2, 3, 4)
        deliver(h, tmp_path / "archive")
        reader = scan(tmp_path / "archive", "occurrences").select(pl.len())
        compact_all(tmp_path / "archive", now=NEXT_DAY)
        assert reader.collect().item() == 8
