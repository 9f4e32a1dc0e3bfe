"""Compaction and retention die at every step that they take on a disk: no row is lost, and none is there twice."""

import os
import shutil
import signal
import sys
from datetime import timedelta
from pathlib import Path
from subprocess import run

import pytest

from batcher import disk
from batcher.archive import Deliverer, check_owner, scan
from batcher.archive.keep import keep
from batcher.archive.retain import Policy
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.store import Root
from batcher.verify import verify
from tests.history import START_AT, history
from tests.sections import event, watched

NOW = START_AT + timedelta(days=31)
POLICY = Policy()
STEPS = 39
"""At so many it is tried to die: all of two tables that are retained and compacted, and some of the others."""
OWNER = "0123456789abcdef"


class Killed(BaseException):
    """As if the process had been killed: nobody catches it."""


class Dying(disk.System):
    """Dies at the ``at``-th call that changes what others see of a disk."""

    def __init__(self, at: int, *, really: bool = False) -> None:
        self.left = at
        self.really = really

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            if self.really:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Killed

    def rename(self, source: Path, target: Path) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Die, or rename."""
        self._step()
        super().rename(source, target)

    def sync(self, descriptor: int) -> None:  # type: ignore[explicit-override]
        """Die, or sync."""
        self._step()
        super().sync(descriptor)

    def unlink(self, path: Path) -> None:  # type: ignore[explicit-override]
        """Die, or unlink."""
        self._step()
        super().unlink(path)


def kept(root: Root, at: int, *, really: bool = False) -> int:
    """Keep the archive, and die at step ``at``; return how many steps were left when it did not."""
    system = Dying(at, really=really)
    with disk.using(system):
        keep(root, POLICY, owner=OWNER, now=NOW)
    return system.left


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two days of batches, of which a part is delivered and still staged."""
    folder = tmp_path_factory.mktemp("before")
    with history(folder / "data") as h:
        check_owner(h.directory.archive, h.directory.id)
        for n in range(1, 4):
            h.batch(watched(event("a", n, count=n), event("c", 500 + n, minute=n, reason="OOMKilling")), minute=n)
        for n in range(4, 7):
            h.batch(watched(event("a", n, count=n), event(f"b{n}", 500 + n, minute=n)), minute=24 * 60 + n)
        Deliverer(h.directory.archive, h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
    return folder


def copied(before: Path, after: Path) -> DataDirectory:
    shutil.copytree(before, after)
    directory = DataDirectory(after / "data")
    directory.write_archive(after / "archive")
    return directory


def rows(directory: DataDirectory) -> list[tuple[int, str, int]]:
    """Batch, Pod and version of each row that a reader sees and no retention takes, sorted."""
    found = scan(directory.archive, "occurrences", staged_paths(directory)["occurrences"]).collect()
    critical = found.filter((found["batch"] > 3) | (found["reason"] == "OOMKilling"))
    return sorted(critical.select("batch", "regarding_name", "resource_version").rows())


EXPECTED = [
    (1, "c", 501), (2, "c", 502), (3, "c", 503),
    (4, "a", 4), (4, "b4", 504), (5, "a", 5), (5, "b5", 505), (6, "a", 6), (6, "b6", 506),
]  # fmt: skip


def assert_nothing_is_lost_or_doubled(directory: DataDirectory) -> None:
    """Neither now, nor after what was interrupted is done, nor by who delivers what is still staged."""
    root = directory.archive
    assert rows(directory) == EXPECTED
    assert [check for check in verify(directory, root) if not check.ok] == []
    with history(directory) as h:
        h.batches.delivered(Deliverer(root, directory.staged, OWNER).deliver(h.batches.undelivered))
    assert keep(root, POLICY, owner=OWNER, now=NOW).troubles == []
    assert rows(directory) == EXPECTED
    assert scan(root, "occurrences").collect().height == len(EXPECTED)
    assert [check for check in verify(directory, root, deep=True) if not check.ok] == []


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_whatever_step_upkeep_dies_at_nothing_is_lost_or_doubled(before: Path, tmp_path: Path, at: int) -> None:
    directory = copied(before, tmp_path / "w")
    with pytest.raises(Killed):
        kept(directory.archive, at)
    assert_nothing_is_lost_or_doubled(directory)


@pytest.mark.parametrize("at", [3, 6, 9, 12])
def test_upkeep_that_is_killed_loses_and_doubles_nothing(before: Path, tmp_path: Path, at: int) -> None:
    directory = copied(before, tmp_path / "w")
    code = (
        "import pathlib, tests.archive.test_kill as t; "
        f"t.kept(pathlib.Path({str(directory.archive)!r}), {at}, really=True)"
    )
    done = run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert_nothing_is_lost_or_doubled(directory)


def test_upkeep_that_nobody_disturbs_takes_more_steps_than_are_tried(before: Path, tmp_path: Path) -> None:
    directory = copied(before, tmp_path / "w")
    assert kept(directory.archive, 10**6) < 10**6 - STEPS
    assert_nothing_is_lost_or_doubled(directory)
