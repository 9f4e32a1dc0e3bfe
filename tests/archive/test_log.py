from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError

from batcher.archive.log import mend

APP = "batcher/0123456789abcdef/gaps"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table whose versions 1 to 3 have registered batches 1 to 3."""
    made = DeltaTable.create(tmp_path / "gaps", pl.DataFrame({"a": [1]}).to_arrow().schema)
    for batch in (1, 2, 3):
        commit(made, batch)
    return tmp_path / "gaps"


def commit(table: DeltaTable, batch: int) -> None:
    properties = CommitProperties(app_transactions=[Transaction(APP, batch)])
    table.create_write_transaction([], "append", table.schema(), [], commit_properties=properties)
    table.update_incremental()


def delivered(table: Path) -> int | None:
    return DeltaTable(table).transaction_version(APP)


def version(table: Path, number: int) -> Path:
    return table / "_delta_log" / f"{number:020d}.json"


def test_a_whole_table_is_left_as_it_is(table: Path) -> None:
    DeltaTable(table).create_checkpoint()
    before = {path.name: path.read_bytes() for path in (table / "_delta_log").iterdir()}
    mend(table)
    assert {path.name: path.read_bytes() for path in (table / "_delta_log").iterdir()} == before


def test_a_table_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    mend(tmp_path / "gaps")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [b"", b'{"commitInfo":{}}\n{"txn":', bytes(100)], ids=["empty", "torn", "zeros"])
def test_a_version_that_a_power_cut_tore_is_removed_and_can_be_written_again(table: Path, left: bytes) -> None:
    version(table, 3).write_bytes(left)
    mend(table)
    assert (delivered(table), version(table, 3).exists()) == (2, False)
    commit(DeltaTable(table), 3)
    assert delivered(table) == 3


def test_only_the_newest_version_can_be_torn(table: Path) -> None:
    version(table, 2).write_bytes(b"{")
    mend(table)
    with pytest.raises(DeltaError):
        DeltaTable(table)


@pytest.mark.parametrize("left", [b"", b"PAR1 and no end"])
def test_a_torn_checkpoint_is_not_needed(table: Path, left: bytes) -> None:
    DeltaTable(table).create_checkpoint()
    checkpoint = version(table, 3).with_suffix(".checkpoint.parquet")
    checkpoint.write_bytes(left)
    mend(table)
    assert (delivered(table), checkpoint.exists()) == (3, False)


@pytest.mark.parametrize("hint", [b'{"version":7,"size":5}', b'{"ver'], ids=["of nothing", "torn"])
def test_a_hint_to_no_checkpoint_is_removed(table: Path, hint: bytes) -> None:
    (table / "_delta_log" / "_last_checkpoint").write_bytes(hint)
    mend(table)
    assert delivered(table) == 3
    assert not (table / "_delta_log" / "_last_checkpoint").exists()
