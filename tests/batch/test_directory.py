from pathlib import Path

import pytest

from batcher.batch import Commit, DataDirectory, Plan
from batcher.batch.records import Snapshot
from batcher.errors import DataDirError
from batcher.pipeline import empty_state


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "data")
    with made.owned():
        return made


def plan(batch: int) -> Plan:
    return Plan(batch, 1, (1, 0), (1, 50), [], [], "digest", "0.1")


def commit(batch: int, changes: str = "") -> Commit:
    return Commit(batch, 1, (1, 50), {}, {}, {}, [], changes)


def refused(directory: DataDirectory) -> str:
    with pytest.raises(DataDirError) as caught, directory.owned():
        pass
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_new_directory_is_private_and_named_for_life(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "a" / "data")
    with directory.owned():
        name = directory.id
        directory.check()
    assert len(name) == 16
    assert directory.root.stat().st_mode & 0o777 == 0o700
    with directory.owned():
        assert directory.id == name


def test_two_directories_have_two_names(tmp_path: Path) -> None:
    names = set()
    for name in ("a", "b"):
        with DataDirectory(tmp_path / name).owned():
            names.add(DataDirectory(tmp_path / name).id)
    assert len(names) == 2


def test_a_second_holder_is_refused(directory: DataDirectory) -> None:
    with directory.owned():
        assert "in use by another batcher" in refused(DataDirectory(directory.root))


def test_a_newer_format_is_refused_in_one_line(directory: DataDirectory) -> None:
    (directory.root / "format").write_text("3\n")
    assert (
        refused(directory) == f"{directory.root}: format 3 is newer than 2, which this version reads; upgrade batcher"
    )


@pytest.mark.parametrize("content", [None, b"", b"one", b"\xff"], ids=["missing", "empty", "word", "binary"])
def test_what_is_no_data_directory_is_refused_by_readers(directory: DataDirectory, content: bytes | None) -> None:
    (directory.root / "format").unlink()
    if content is not None:
        (directory.root / "format").write_bytes(content)
    with pytest.raises(DataDirError, match="no batcher data here; give the --data-dir of a run"):
        directory.check()


def test_a_place_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "choose a writable --data-dir" in refused(DataDirectory(tmp_path / "file"))


def test_the_archive_s_place_is_remembered(directory: DataDirectory) -> None:
    with pytest.raises(DataDirError, match="no run has been here yet"):
        _ = directory.archive
    directory.write_archive(Path("/somewhere/ärchive"))
    assert directory.archive == Path("/somewhere/ärchive")


def test_rules_are_kept_under_their_digest_and_never_overwritten(directory: DataDirectory) -> None:
    directory.write_rules("abc", b"{}")
    directory.write_rules("abc", b"other")
    assert directory.read_rules("abc") == b"{}"


def test_a_plan_is_found_after_the_batch_before_it(directory: DataDirectory) -> None:
    directory.write_plan(plan(3))
    assert directory.plan_after(2) == plan(3)
    assert directory.plan_after(3) is None


def test_commits_are_read_in_order_up_to_the_first_that_is_missing(directory: DataDirectory) -> None:
    for batch in (2, 3, 4, 6):
        directory.write_plan(plan(batch))
        directory.write_commit(commit(batch))
    directory.write_plan(plan(5))
    assert [c.batch for c in directory.commits_after(1)] == [2, 3, 4]
    assert [c.batch for c in directory.commits_after(3)] == [4]
    assert [c.batch for c in directory.commits_after(0)] == []
    directory.retire(3)
    assert [c.batch for c in directory.commits_after(3)] == [4]


def test_what_a_crash_in_the_middle_of_retiring_left_hides_no_newer_commit(directory: DataDirectory) -> None:
    for batch in (2, 3, 4, 5):
        directory.write_plan(plan(batch))
        directory.write_commit(commit(batch))
    (directory.root / "batches" / "000000000003" / "commit.json").unlink()
    assert [c.batch for c in directory.commits()] == [4, 5]
    directory.retire(3)
    assert [path.name for path in sorted((directory.root / "batches").iterdir())] == ["000000000004", "000000000005"]


def test_changes_that_differ_from_the_commit_are_refused(directory: DataDirectory) -> None:
    directory.write_plan(plan(1))
    done = commit(1, directory.write_changes(1, b"changes"))
    assert directory.read_changes(done) == b"changes"
    path = directory.root / "batches" / "000000000001" / "changes"
    path.write_bytes(b"changed")
    with pytest.raises(DataDirError, match=r"its bytes differ from the digest in commit\.json"):
        directory.read_changes(done)
    path.unlink()
    with pytest.raises(DataDirError, match="No such file or directory"):
        directory.read_changes(done)


@pytest.mark.parametrize("name", ["plan.json", "commit.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff"], ids=["empty", "cut", "no-keys", "binary"])
def test_a_damaged_plan_or_commit_is_refused_in_one_line(directory: DataDirectory, name: str, content: bytes) -> None:
    directory.write_plan(plan(1))
    path = directory.root / "batches" / "000000000001" / name
    path.write_bytes(content)
    with pytest.raises(DataDirError, match=name) as caught:
        directory.plan_after(0) if name == "plan.json" else list(directory.commits_after(0))
    assert "\n" not in str(caught.value)


def test_rules_that_are_gone_are_told(directory: DataDirectory) -> None:
    with pytest.raises(DataDirError, match=r"abc\.json: No such file or directory"):
        directory.read_rules("abc")


def test_the_newest_two_snapshots_are_kept(directory: DataDirectory) -> None:
    for batch in (1, 2, 3):
        directory.write_snapshot(Snapshot(commit(batch), empty_state()))
    newest = directory.newest_snapshot()
    assert newest
    assert newest.commit.batch == 3
    assert directory.oldest_snapshot_batch() == 2


def test_one_snapshot_covers_nothing_yet(directory: DataDirectory) -> None:
    assert (directory.newest_snapshot(), directory.oldest_snapshot_batch()) == (None, 0)
    directory.write_snapshot(Snapshot(commit(1), empty_state()))
    (directory.root / "snapshots" / "000000000002.tmp").write_bytes(b"left by a crash")
    assert directory.oldest_snapshot_batch() == 0


def test_a_damaged_newest_snapshot_falls_back_to_the_older_one(directory: DataDirectory) -> None:
    for batch in (1, 2):
        directory.write_snapshot(Snapshot(commit(batch), empty_state()))
    path = directory.root / "snapshots" / "000000000002"
    path.write_bytes(path.read_bytes()[:-1])
    newest = directory.newest_snapshot()
    assert newest
    assert newest.commit.batch == 1
