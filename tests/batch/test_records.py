from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from batcher.batch.records import (
    NOTHING,
    Snapshot,
    decode_changes,
    decode_snapshot,
    encode_changes,
    encode_snapshot,
)
from batcher.errors import DataDirError
from batcher.pipeline import STATE_COLUMNS, STATE_KEYS, Change, State
from batcher.schema import TIME, empty
from tests.history import START_AT, history
from tests.sections import event, watched

SEEN = pl.DataFrame([[1, 2**64 - 1, 2**63, 0, 7, 50, 60]], schema=STATE_COLUMNS["seen"], orient="row")
CLOCKS = pl.DataFrame([[2**63, "us", START_AT, 60]], schema=STATE_COLUMNS["clocks"], orient="row")


def state() -> State:
    return {name: empty(columns) for name, columns in STATE_COLUMNS.items()} | {"seen": SEEN, "clocks": CLOCKS}


def test_changes_come_back_as_they_were(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        commit = h.batch(watched(event("a", 1), event("b", 2)), minute=0)
        changes = decode_changes(h.directory.read_changes(commit))
    assert set(changes) == set(STATE_KEYS)
    assert [len(changes[name].put) for name in ("seen", "open_slots", "open_summaries")] == [2, 2, 2]
    again = decode_changes(encode_changes(changes))
    for name, change in changes.items():
        assert_frame_equal(again[name].put, change.put)
        assert_frame_equal(again[name].removed, change.removed)
        assert dict(change.put.schema) == STATE_COLUMNS[name]


def test_the_same_changes_are_the_same_bytes() -> None:
    changes = {name: Change(empty(STATE_COLUMNS[name]), empty(STATE_COLUMNS[name])) for name in STATE_KEYS}
    assert encode_changes(changes) == encode_changes(changes)


def test_a_snapshot_comes_back_to_the_largest_key_and_the_microsecond() -> None:
    found = decode_snapshot(encode_snapshot(Snapshot(NOTHING, state())))
    assert found.commit == NOTHING
    assert found.state["seen"].row(0) == (1, 2**64 - 1, 2**63, 0, 7, 50, 60)
    assert found.state["clocks"].row(0) == (2**63, "us", START_AT, 60)
    assert found.state["clocks"].schema["received_at"] == TIME
    assert list(found.state) == list(STATE_COLUMNS)


def test_a_snapshot_with_any_byte_changed_or_cut_off_is_refused() -> None:
    data = encode_snapshot(Snapshot(NOTHING, state()))
    for index in range(0, len(data), 13):
        with pytest.raises(DataDirError, match="snapshot"):
            decode_snapshot(data[:index])
    for index in range(data.index(b"\n") + 1, len(data), 13):
        with pytest.raises(DataDirError, match="its bytes differ from its digest"):
            decode_snapshot(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
