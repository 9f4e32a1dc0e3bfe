"""The state is the snapshot and the changes since, whatever was retired, damaged or upgraded in between."""

import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.batch import Batches, Commit, DataDirectory
from batcher.batch.process import latest, staged_paths
from batcher.batch.records import NOTHING
from batcher.clock import to_micros
from batcher.decode import decode
from batcher.pipeline import Change, State, advance, empty_state, run
from batcher.schema import PODS, SEEN
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES
from tests.batch.test_process import Dying
from tests.history import RULES, START_AT, History, history
from tests.sections import event, watched


def assert_same_state(found: State, expected: State) -> None:
    """Row for row, in whatever order."""
    for name, frame in expected.items():
        keys = frame.columns[:2]
        assert_frame_equal(found[name].sort(keys), frame.sort(keys))


def seen(rows: list[tuple[int, int]]) -> pl.DataFrame:
    full = [(0, low, 0, 0, version, 1, 0) for low, version in rows]
    return pl.DataFrame(full, schema=SEEN, orient="row")


def change(put: dict[int, int], removed: set[int]) -> dict[str, Change]:
    nothing = {name: Change(frame, frame.clear()) for name, frame in empty_state().items()}
    gone = seen([(low, 0) for low in sorted(removed)]).select("identity_high", "identity_low")
    return nothing | {"seen": Change(seen(sorted(put.items())), gone)}


small = st.integers(0, 4)
changes = st.builds(change, st.dictionaries(small, small, max_size=3), st.sets(small, max_size=2))


@given(st.dictionaries(small, small), st.lists(changes, min_size=1, max_size=5))
def test_changes_applied_together_do_what_they_do_one_after_the_other(
    begun: dict[int, int], made: list[dict[str, Change]]
) -> None:
    state = empty_state() | {"seen": seen(sorted(begun.items()))}
    expected = state
    for one in made:
        expected = advance(expected, one)
    assert_frame_equal(advance(state, *made)["seen"], expected["seen"])


@given(st.dictionaries(small, small), st.lists(changes, min_size=1, max_size=40))
def test_a_change_takes_out_replaces_and_adds_and_leaves_few_pieces(
    begun: dict[int, int], made: list[dict[str, Change]]
) -> None:
    state, expected = empty_state() | {"seen": seen(sorted(begun.items()))}, dict(begun)
    for one in made:
        state = advance(state, one)
        put, removed = one["seen"]
        for low in removed["identity_low"]:
            expected.pop(low, None)
        expected |= dict(put.select("identity_low", "resource_version").iter_rows())
        assert state["seen"].n_chunks() <= 16
    assert_frame_equal(state["seen"], seen(sorted(expected.items())), check_row_order=False)


def happens(h: History, minute: int) -> None:
    h.batch(
        watched(event("a", minute, count=minute), event(f"b{minute}", 1000 + minute)),
        minute=minute,
        outcomes=h.written(),
    )


def test_what_is_put_keeps_no_texts_of_other_rows_in_memory() -> None:
    names = [f"a name that is not stored within its view {number}" for number in range(5_000)]
    batch = pl.DataFrame({name: names if kind == pl.String else [None] * 5_000 for name, kind in PODS.items()}, PODS)
    nothing = {name: Change(frame, frame.clear()) for name, frame in empty_state().items()}
    pods = batch.filter(pl.int_range(pl.len()) % 1_000 == 7)
    made = nothing | {"pods": Change(pods, nothing["pods"].removed)}
    found = advance(empty_state(), made)["pods"]
    assert_frame_equal(found, pods)
    held = found.to_arrow(compat_level=pl.CompatLevel.newest()).get_total_buffer_size()
    assert held < sum(map(len, names)) / 10


@settings(max_examples=max(5, settings().max_examples // 10))  # a directory with dozens of files each
@given(
    every=st.integers(1, 4),
    many=st.integers(5, 12),
    delivered=st.lists(st.integers(0, 12), min_size=12, max_size=12),
    segment_bytes=st.sampled_from([300, 1 << 20]),
)
def test_retirement_leaves_what_is_needed_when_the_newest_snapshot_is_damaged(
    every: int, many: int, delivered: list[int], segment_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        with history(root, snapshot_every=every, segment_bytes=segment_bytes) as h:
            for number, through in zip(range(1, many + 1), delivered, strict=False):
                happens(h, number)
                h.batches.delivered(dict.fromkeys(staged_paths(h.directory), min(through, number)))
                h.log.retire(h.batches.retire())
            state, last, undelivered = h.batches.state, h.batches.last, h.batches.undelivered
        newest = max((root / "snapshots").iterdir(), default=None)
        if newest:
            newest.write_bytes(newest.read_bytes()[:-1])
        with history(root, snapshot_every=every, segment_bytes=segment_bytes) as h:
            assert h.batches.last == last
            assert_same_state(h.batches.state, state)
            assert {file.name for file in undelivered} <= {file.name for file in h.batches.undelivered}
            happens(h, many + 1)
            assert h.batches.last.batch == many + 1


@pytest.mark.parametrize("version", ["0.0.1", "9.9.9"])
def test_a_batch_that_another_version_planned_runs_by_its_rules_and_the_next_by_those_of_now(
    tmp_path: Path, version: str
) -> None:
    with pytest.raises(KeyboardInterrupt), history(Dying(tmp_path / "data", "after the plan")) as h:
        happens(h, 1)
    path = tmp_path / "data" / "batches" / "000000000001" / "plan.json"
    path.write_bytes(path.read_bytes().replace(b'"code": "', f'"code": "{version}+'.encode()))
    plan = DataDirectory(tmp_path / "data").plan_after(0)
    assert plan
    assert plan.code.startswith(f"{version}+")
    moved = replace(RULES, mapping=(Rule("*", "web", "root:new"),))
    with history(tmp_path / "data", rules=moved) as h:
        assert h.finished
        happens(h, 2)
        state, last = h.batches.state, h.batches.last
    told = state["open_summaries"].sort("regarding_name", "workspace").select("regarding_name", "workspace")
    assert told.rows() == [("a", "root:new"), ("a", "root:shop"), ("b1", "root:shop"), ("b2", "root:new")]
    with history(tmp_path / "data") as h:  # and back again: what is committed is never run again
        assert h.batches.last == last
        assert_same_state(h.batches.state, state)


class TakenOver(DataDirectory):
    """Another process takes it over, as batch 5, between a reader's first look and whatever it does next."""

    def commits(self) -> list[Commit]:  # type: ignore[explicit-override]  # typing.override came with 3.12
        found = super().commits()
        if not found:
            nothing = pl.DataFrame(schema=OUTCOMES)
            result = run(decode([]), nothing, empty_state(), batch=5, now=START_AT, rules=RULES)
            batches = Batches(self, lambda _start, _end: iter(()), RULES)
            batches.begin(msgspec.structs.replace(NOTHING, batch=4), result, now=to_micros(START_AT))
        return found


def test_who_reads_while_a_directory_is_taken_over_sees_nothing_or_all_of_it(tmp_path: Path) -> None:
    directory = TakenOver(tmp_path / "data")
    with directory.owned():
        assert latest(directory)[0].batch == 0
        assert latest(directory)[0].batch == 5
