import os
import subprocess
import sys
from pathlib import Path

import pytest

from batcher import disk
from batcher.errors import DataDirError


def test_a_written_file_is_private_and_nothing_temporary_stays(tmp_path: Path) -> None:
    disk.write_file(tmp_path / "plan", b"one")
    disk.write_file(tmp_path / "plan", b"two")
    assert (tmp_path / "plan").read_bytes() == b"two"
    assert (tmp_path / "plan").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "plan.tmp").mkdir()
    (tmp_path / "plan").write_bytes(b"old")
    with pytest.raises(OSError, match="directory"):
        disk.write_file(tmp_path / "plan", b"new")
    assert (tmp_path / "plan").read_bytes() == b"old"


def test_a_half_written_temporary_file_of_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "plan.tmp").write_bytes(b"left by a crash, and longer")
    disk.write_file(tmp_path / "plan", b"new")
    assert (tmp_path / "plan").read_bytes() == b"new"


def test_empty_files_are_made_once_and_removed_once(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"here before")
    disk.make_empty_files(tmp_path, ["a", "b"])
    disk.make_empty_files(tmp_path, ["a"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"", "b": b"here before"}
    disk.remove_files(tmp_path, ["a", "c"])
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_short_write_does_not_pass_for_a_whole_one() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # takes what fits, which is no error, and then nothing
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb"), pytest.raises(BlockingIOError):
        disk.write_all(writing, bytes(10_000_000))


def test_missing_parents_are_made_private(tmp_path: Path) -> None:
    disk.make_directory(tmp_path / "a" / "b" / "c")
    disk.make_directory(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    disk.remove(tmp_path / "x")
    disk.remove(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_digest_is_sha256() -> None:
    assert disk.digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_second_holder_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    with disk.lock(tmp_path / "lock"):
        message = f"in use by another batcher .process {os.getpid()}."
        with pytest.raises(DataDirError, match=message), disk.lock(tmp_path / "lock"):
            pass
    with disk.lock(tmp_path / "lock"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from batcher import disk\n"
        "with disk.lock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataDirError, match=f"process {holder.pid}"), disk.lock(tmp_path / "lock"):
            pass
        holder.kill()
        holder.wait()
    (tmp_path / "lock").write_text("a longer text than a process id\n")
    with disk.lock(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / "data" / "batches").mkdir(parents=True)
    for name in ("data/plan.json", "data/plan.json.tmp", "data/batches/changes.tmp"):
        (tmp_path / name).write_bytes(b"")
    disk.settle(tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == ["plan.json"]
