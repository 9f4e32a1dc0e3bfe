import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from polars.testing import assert_frame_equal

from batcher.batch import Commit, DataDirectory, OutcomeRecord, Plan
from batcher.batch.process import latest, staged_paths
from batcher.batch.quarantine import kept_paths
from batcher.batch.records import Snapshot
from batcher.errors import DataDirError
from batcher.pipeline import State
from batcher.spool import UNLISTED, Kind, Section, Stream
from batcher.spool.position import START, Place
from tests.history import History, history
from tests.sections import event, lines, watched


def play(h: History, first: int, last: int) -> list[Commit]:
    """Run batches ``first`` to ``last``, ten minutes apart: every Pod goes on, sessions open and close."""
    return [
        h.batch(
            watched(event("a", minute, count=minute), event(f"b{minute}", minute + 500, minute=minute)),
            minute=minute * 10,
            outcomes=h.written(),
        )
        for minute in range(first, last + 1)
    ]


def assert_same_state(found: State, expected: State) -> None:
    assert set(found) == set(expected)
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame)


class Dying(DataDirectory):
    """Dies before or after one kind of write, as a process that is killed there."""

    def __init__(self, root: Path, step: str) -> None:
        super().__init__(root)
        self.step = step

    def _at(self, step: str) -> None:
        if step == self.step:
            raise KeyboardInterrupt(step)

    def write_rules(self, digest: str, rules: bytes) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        super().write_rules(digest, rules)
        self._at("after the rules")

    def write_plan(self, plan: Plan) -> None:  # type: ignore[explicit-override]  # as above
        super().write_plan(plan)
        self._at("after the plan")

    def write_changes(self, batch: int, data: bytes) -> str:  # type: ignore[explicit-override]  # as above
        self._at("before the changes")
        return super().write_changes(batch, data)

    def write_commit(self, commit: Commit) -> None:  # type: ignore[explicit-override]  # as above
        self._at("before the commit")
        super().write_commit(commit)
        self._at("after the commit")

    def write_snapshot(self, snapshot: Snapshot) -> None:  # type: ignore[explicit-override]  # as above
        self._at("before the snapshot")
        super().write_snapshot(snapshot)
        self._at("after the snapshot")


STEPS = [
    "after the rules", "after the plan", "before the changes", "before the commit", "after the commit",
    "before the snapshot", "after the snapshot",
]  # fmt: skip


def staged_names(directory: DataDirectory) -> list[Path]:
    return [path.relative_to(directory.root) for path in sorted(directory.staged.rglob("*.parquet"))]


class Undisturbed(NamedTuple):
    """Four batches that nobody killed: their commits, the state after them, and what they staged."""

    commits: list[Commit]
    state: State
    staged: list[Path]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    with history(tmp_path_factory.mktemp("undisturbed") / "data", snapshot_every=3) as h:
        return Undisturbed(play(h, 1, 4), h.batches.state, staged_names(h.directory))


@pytest.fixture(scope="module")
def two_batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory after the first two of them."""
    folder = tmp_path_factory.mktemp("two") / "data"
    with history(folder, snapshot_every=3) as h:
        play(h, 1, 2)
    return folder


@pytest.mark.parametrize("step", STEPS)
def test_a_batch_that_was_killed_anywhere_is_as_if_it_had_not_been(
    undisturbed: Undisturbed, two_batches: Path, tmp_path: Path, step: str
) -> None:
    killed = shutil.copytree(two_batches, tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt), history(Dying(killed, step), snapshot_every=3) as h:
        play(h, 3, 3)
    with history(killed, snapshot_every=3) as h:
        planned = step in {"after the plan", "before the changes", "before the commit"}
        assert h.finished == (undisturbed.commits[2] if planned else None)
        if step == "after the rules":  # the frame is there, and no plan for it: it is the next batch's
            h.batch(minute=30, outcomes=h.written())
        assert h.batches.last == undisturbed.commits[2]
        assert play(h, 4, 4) == undisturbed.commits[3:]
        assert_same_state(h.batches.state, undisturbed.state)
        assert staged_names(h.directory) == undisturbed.staged


def test_batches_are_numbered_from_1_and_each_begins_where_the_one_before_ended(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        commits = play(h, 1, 3)
        ends = [START, *(Place(*commit.end) for commit in commits)]
        assert [commit.batch for commit in commits] == [1, 2, 3]
        assert all(a < b for a, b in pairwise(ends))
        assert h.batches.end == ends[-1] == h.log.end


def test_totals_are_the_sums_so_far(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1, count=3), event("a", 1, count=3), event("x", 2, namespace="jobs")), minute=0)
        h.batch(lines(b"no JSON"), watched(event("a", 5, count=7)), minute=1)
        totals = h.batches.last.totals
    counted = ("received", "revisions", "repeats", "quarantined", "occurrences", "kept", "unmapped")
    assert [totals[name] for name in counted] == [5, 3, 1, 1, 8, 2, 1]
    assert h.batches.last.clusters["us-west1"]["occurrences"] == 8


def test_the_totals_of_a_cluster_go_on_and_its_lag_is_the_newest(tmp_path: Path) -> None:
    eu = Section(Stream("uid-eu", "events"), "eu-1", Kind.LISTED, None, 1, event("e", 1, type="Normal") + b"\n")
    with history(tmp_path / "data") as h:
        for minute in (1, 3):
            h.batch(watched(event("a", minute)), minute=minute)
        commit = h.batch(eu, minute=4)
    assert commit.clusters == {
        "us-west1": {"events": 2, "occurrences": 1, "warnings": 1, "lag_ms": 180_000},
        "eu-1": {"events": 1, "occurrences": 1, "warnings": 0, "lag_ms": 0},
    }


def test_a_batch_without_lines_moves_the_time_on(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 1)
        commit = h.batch(minute=60, outcomes=h.written())
        assert (commit.batch, commit.sums["received"], commit.sums["published"]) == (2, 0, 2)
        assert h.batches.state["open_summaries"].is_empty()


@pytest.mark.parametrize("snapshot_every", [1, 2, 3, 1000])
def test_the_state_is_the_snapshot_and_the_changes_since_exactly(tmp_path: Path, snapshot_every: int) -> None:
    with history(tmp_path / "data", snapshot_every=snapshot_every) as h:
        play(h, 1, 7)
        state, last = h.batches.state, h.batches.last
    found_last, found = latest(DataDirectory(tmp_path / "data"))
    assert found_last == last
    assert_same_state(found, state)


def test_a_snapshot_is_written_every_so_many_batches_restarts_included(tmp_path: Path) -> None:
    for batch in range(1, 8):
        with history(tmp_path / "data", snapshot_every=3) as h:
            play(h, batch, batch)
    assert sorted(path.name for path in (tmp_path / "data" / "snapshots").iterdir()) == ["000000000003", "000000000006"]


def test_rules_that_changed_since_do_not_change_a_plan_s_batch(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), history(Dying(tmp_path / "data", "after the plan")) as h:
        play(h, 1, 1)
    plan = DataDirectory(tmp_path / "data").plan_after(0)
    assert plan
    path = tmp_path / "data" / "configs" / f"{plan.config}.json"
    path.write_bytes(path.read_bytes().replace(b"root:shop", b"root:then"))
    with history(tmp_path / "data") as h:
        assert set(h.batches.state["open_summaries"]["workspace"]) == {"root:then"}


def retired(h: History) -> Place:
    """Retire as after a delivery of everything."""
    h.batches.delivered(dict.fromkeys(staged_paths(h.directory), h.batches.last.batch))
    place = h.batches.retire()
    h.log.retire(place)
    return place


def test_retirement_keeps_what_the_older_snapshot_and_its_changes_need(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=3) as h:
        commits = play(h, 1, 8)
        assert retired(h) == Place(*commits[2].end)
        state, last = h.batches.state, h.batches.last
        assert min(path.name for path in (tmp_path / "data" / "batches").iterdir()) == "000000000003"
    newest = tmp_path / "data" / "snapshots" / "000000000006"
    newest.write_bytes(newest.read_bytes()[:-1])
    with history(tmp_path / "data", snapshot_every=3) as h:
        assert h.batches.last == last
        assert_same_state(h.batches.state, state)
        assert play(h, 9, 9)[0].batch == 9


def test_a_spool_of_many_segments_is_retired_however_rare_snapshots_are(tmp_path: Path) -> None:
    with history(tmp_path / "data", segment_bytes=300, snapshot_every=1000) as h:
        commits = play(h, 1, 8)
        assert commits[-1].end[0] - commits[0].end[0] > 3
        place = retired(h)
        left = [int(path.stem) for path in h.directory.spool.iterdir()]
        assert min(left) == place.segment > commits[0].end[0]
        assert len(left) <= 3
    with history(tmp_path / "data") as h:
        assert h.batches.last == commits[-1]
        assert play(h, 9, 9)[0].batch == 9


def test_nothing_is_retired_that_is_not_delivered_or_not_covered_by_two_snapshots(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=2) as h:
        commits = play(h, 1, 3)
        assert retired(h) == START
        play(h, 4, 6)
        assert h.batches.retire() == Place(*commits[2].end)
        assert h.directory.commits()[0].batch == 3
        h.batches.retire()
        assert h.directory.commits()[0].batch == 3


def test_what_is_delivered_stays_until_the_older_snapshot_covers_it(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=2) as h:
        commits = play(h, 1, 5)
        h.batches.delivered(dict.fromkeys(staged_paths(h.directory), 4))
        assert h.batches.retire() == Place(*commits[1].end)
        assert h.directory.commits()[0].batch == 2


def test_with_no_whole_snapshot_left_nothing_starts_again_from_1(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=2) as h:
        play(h, 1, 6)
        retired(h)
    for path in (tmp_path / "data" / "snapshots").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(DataDirError, match="no snapshot is whole, and batch 1 is gone"), history(tmp_path / "data"):
        pass


def test_changed_changes_are_refused_at_the_start(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 2)
    path = tmp_path / "data" / "batches" / "000000000002" / "changes"
    path.write_bytes((tmp_path / "data" / "batches" / "000000000001" / "changes").read_bytes())
    with pytest.raises(DataDirError, match="differ from the digest"), history(tmp_path / "data"):
        pass


def test_quarantined_lines_stay_though_their_batch_is_retired(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=2) as h:
        h.batch(lines(b"no JSON"), minute=0)
        play(h, 1, 6)
        retired(h)
        assert h.directory.commits()[0].batch > 1
        quarantine = h.directory.staged / "quarantine" / "date=2026-11-23"
        (quarantine / "0123456789abcdef-000000000008.parquet").write_bytes(b"staged, and not committed")
        assert [path.name for path in kept_paths(h.directory, "quarantine", h.batches.last.batch)] == [
            "0123456789abcdef-000000000001.parquet"
        ]


def test_delivered_files_are_forgotten_up_to_the_batch_that_each_table_has(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h, 1, 3)
        h.batches.delivered({"occurrences": 2, "batches": 1})
        left = [(file.table, file.batch) for file in h.batches.undelivered if file.table in {"occurrences", "batches"}]
        assert sorted(left) == [("batches", 2), ("batches", 3), ("occurrences", 3)]
        on_disk = {table: len(paths) for table, paths in staged_paths(h.directory).items()}
        assert (on_disk["occurrences"], on_disk["batches"]) == (1, 2)


def refusal(summary: str, version: int, at: int) -> OutcomeRecord:
    return OutcomeRecord(summary, version, None, written=False, refusal="Forbidden", at=at)


@pytest.mark.parametrize("order", [list, reversed], ids=["in order", "out of order"])
def test_of_several_outcomes_of_a_summary_the_newest_counts(
    tmp_path: Path, order: Callable[[list[OutcomeRecord]], list[OutcomeRecord]]
) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1)), minute=0)
        written = h.written()[0]
        outcomes = [refusal(written.summary, written.version, written.at - 1), written]
        h.batch(minute=1, outcomes=list(order(outcomes)))
        assert h.batches.state["open_summaries"].select("refusal", "writes").rows() == [("", 1)]


def test_a_lost_spool_does_not_put_a_restored_cluster_back_to_its_first_incarnation(tmp_path: Path) -> None:
    restored = Stream("uid-us", "events", "", 2)
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 9, count=50)), watched(event("a", 3, count=51), stream=restored), minute=0)
    for segment in (tmp_path / "data" / "spool").iterdir():
        segment.unlink()
    with history(tmp_path / "data") as h:
        assert h.recovered.cursors == {restored: UNLISTED}
        assert h.batch(watched(event("a", 4, count=52), stream=restored), minute=1).sums["occurrences"] == 1


def test_when_a_gap_was_found_last_is_known_until_there_is_another_restarts_included(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=2) as h:
        assert h.batch(watched(event("a", 1), at=0), minute=0).gap_at == 0
        found = h.batch(watched(event("a", 2)), minute=90)
        assert found.sums["gaps"] == 1
        assert found.gap_at == found.now
        assert h.batch(watched(event("a", 3)), minute=91).gap_at == found.now
    with history(tmp_path / "data", snapshot_every=2) as h:
        assert h.batches.last.gap_at == found.now
        again = h.batch(watched(event("a", 4)), minute=200)
        assert (again.sums["gaps"], again.gap_at) == (1, again.now)
