"""Version N reads N-1: ``format-1`` is what the version before wrote, byte for byte.

It was killed there behind a plan, with batch 1 delivered and batches 2 and 3 staged.
"""

import shutil
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from batcher import schema
from batcher.archive import Deliverer, scan
from batcher.archive.deliver import COLUMNS
from batcher.batch import DataDirectory
from batcher.batch.process import latest
from batcher.batch.records import NOTHING, Snapshot, _encode, decode_changes, decode_snapshot, encode_snapshot
from batcher.errors import DataDirError
from batcher.pipeline import STATE_COLUMNS, STATE_KEYS, empty_state
from batcher.schema import completed
from batcher.verify import verify
from tests.history import START_AT, history
from tests.sections import event, watched

FORMAT_1 = Path(__file__).parent / "format-1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of ``format-1``: ``data`` and ``archive``."""
    return Path(shutil.copytree(FORMAT_1, tmp_path / "format-1"))


def test_a_directory_of_the_format_before_goes_on_where_it_was(root: Path) -> None:
    with history(root / "data", snapshot_every=2) as h:
        assert h.finished
        assert (h.finished.batch, h.finished.sums["occurrences"]) == (4, 7)
        # All that was seen in batches 1 to 4, which adds nothing now; x has been silent for too long to be open.
        h.batch(watched(event("a", 3, count=5), event("b", 6, count=9), event("x", 2, namespace="jobs")), minute=6)
        totals = h.batches.last.totals
        assert (totals["received"], totals["revisions"], totals["repeats"], totals["occurrences"]) == (10, 5, 4, 15)
        assert {name: dict(frame.schema) for name, frame in h.batches.state.items()} == STATE_COLUMNS
        open_now = h.batches.state["open_summaries"].sort("occurrences")
        # Messages did not distinguish then: the summary of b is that of another key, and gets nothing any more.
        assert open_now.select("regarding_name", "template", "occurrences", "writes").rows() == [
            ("b", "", 2, 0), ("a", "", 5, 1), ("b", "Back-off restarting failed container", 7, 0),
        ]  # fmt: skip


def test_its_identities_are_forgotten_after_two_ttls_of_contact_though_they_name_no_cluster(root: Path) -> None:
    with history(root / "data") as h:
        assert set(h.batches.state["seen"]["cluster_key"]) > {0}
        for minute in range(6, 126, 5):
            h.batch(watched(event("c", minute)), minute=minute)
        assert 0 in set(h.batches.state["seen"]["cluster_key"])
        h.batch(watched(event("c", 126)), minute=131)
        assert 0 not in set(h.batches.state["seen"]["cluster_key"])


def test_its_format_is_raised_when_it_was_read_and_the_version_before_refuses_it_then(root: Path) -> None:
    directory = DataDirectory(root / "data")
    directory.check()
    latest(directory)
    assert (root / "data" / "format").read_text() == "1\n"  # a reader changes nothing
    with history(root / "data"):
        assert (root / "data" / "format").read_text() == "2\n"


def test_what_cannot_be_read_keeps_its_format(root: Path) -> None:
    changes = root / "data" / "batches" / "000000000003" / "changes"
    changes.write_bytes(b"damaged")
    with pytest.raises(DataDirError, match="differ from the digest"), history(root / "data"):
        pass
    assert (root / "data" / "format").read_text() == "1\n"


def test_its_archive_is_given_the_columns_of_today_and_every_sum_holds(root: Path) -> None:
    with history(root / "data") as h:
        h.batch(watched(event("b", 7, count=12)), minute=6)
        through = Deliverer(root / "archive", h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        assert through["occurrences"] == 5
        h.batches.delivered(through)
        assert [check for check in verify(h.directory, root / "archive") if not check.ok] == []
    rows = scan(root / "archive", "occurrences").sort("position").select("grew", "identity_time", "since_at").collect()
    assert rows["grew"].to_list() == [3, 1, 2, 2, 7, 3]
    assert rows["since_at"].to_list() == [None, None, None, None, START_AT, START_AT]
    for table, columns in COLUMNS.items():
        fields = {field.name for field in DeltaTable(root / "archive" / table).schema().fields}
        assert fields == {*columns, "date"}


def test_a_format_older_than_the_one_before_is_refused_in_one_line(root: Path) -> None:
    (root / "data" / "format").write_text("0\n")
    with pytest.raises(DataDirError, match="format 0 is older than 1, the oldest that this version reads"):
        DataDirectory(root / "data").check()


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pl.Int64, 0), (pl.UInt64, 0), (pl.Boolean, False), (pl.String, ""), (schema.TIME, None)],
    ids=str,
)
def test_a_column_that_was_not_known_is_filled_by_its_type(kind: pl.DataType, value: object) -> None:
    found = completed(pl.DataFrame({"old": [1], "gone": [2]}), {"new": kind, "old": pl.Int64})
    assert_frame_equal(found, pl.DataFrame({"new": [value], "old": [1]}, schema={"new": kind, "old": pl.Int64}))


def test_state_without_some_columns_or_tables_is_read_with_what_stands_for_them() -> None:
    seen = pl.DataFrame([[1, 2, 3, 4, 7, 50, 60]], schema=STATE_COLUMNS["seen"], orient="row")
    older = {"seen": seen.drop("cluster_key", "incarnation", "count", "touched")}
    expected = [(1, 2, 0, 0, 7, 0, 0)]
    changes = decode_changes(_encode({"seen.put": older["seen"], "seen.removed": seen.select(STATE_KEYS["seen"])}))
    snapshot = decode_snapshot(encode_snapshot(Snapshot(NOTHING, older)))
    assert changes["seen"].put.rows() == snapshot.state["seen"].rows() == expected
    assert changes["contacts"].put.equals(empty_state()["contacts"])
    assert changes["contacts"].removed.columns == list(STATE_KEYS["contacts"])
    assert {name: dict(frame.schema) for name, frame in snapshot.state.items()} == STATE_COLUMNS
