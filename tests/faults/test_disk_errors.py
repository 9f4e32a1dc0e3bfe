"""A disk that refuses: no space, an error, half a write, read-only for a while.

What can pass is tried again and nobody notices; a failed sync ends the process with one line, because the kernel
may have dropped what it could not write. The cut and the flipped byte are in ``tests/spool/test_log.py``.
"""

import errno
import os
import random
from pathlib import Path

import pytest

from batcher.errors import ArchiveError, BatcherError, DataDirError, Unavailable
from tests.faults.lives import GROUPS, Promised, Unsynced, finish, life
from tests.faults.volume import FOREIGN, Kind, Recorder, Step

SEED = int(os.environ.get("SEED", "1"))


CHANGES = (Kind.WRITE, Kind.LINK, Kind.RENAME, Kind.UNLINK)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """A whole life on a good disk."""
    root = tmp_path_factory.mktemp("good") / "volume"
    root.mkdir()
    recorder = Recorder(root)
    with life(root, recorder) as h:
        h.live(1, GROUPS)
    return recorder.steps


def of(steps: list[Step], *kinds: Kind) -> list[int]:
    return [number for number, step in enumerate(steps) if step.kind in kinds and step.by != FOREIGN]


def some(numbers: list[int], count: int) -> list[int]:
    return random.Random(SEED).sample(numbers, count)  # noqa: S311  a sample, not a secret


def lived_with(root: Path, number: int, refusal: int) -> str:
    """Live with a disk that refuses a step; what a process does not survive is the next one's. Say what is wrong."""
    root.mkdir()
    recorder = Recorder(root, refused={number: refusal})
    try:
        with life(root, recorder) as h:
            h.live(1, GROUPS)
    except BatcherError:
        with life(root, recorder) as h:
            h.live(h.read + 1, GROUPS)
    assert recorder.refused == {}
    return finish(root, Promised.by(recorder.steps))


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EIO])
def test_a_change_that_the_disk_refuses_is_as_if_it_had_come_later(
    steps: list[Step], tmp_path: Path, refusal: int
) -> None:
    for number in some(of(steps, *CHANGES), 2):
        assert lived_with(tmp_path / str(number), number, refusal) == "", steps[number]


@pytest.mark.slow
@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EIO])
def test_any_change_may_be_refused(steps: list[Step], tmp_path: Path, refusal: int) -> None:
    for number in of(steps, *CHANGES, Kind.SYNC):
        assert lived_with(tmp_path / str(number), number, refusal) == "", steps[number]


def test_no_space_while_running_ends_no_process(steps: list[Step], tmp_path: Path) -> None:
    running = steps.index(next(step for step in steps if step.kind is Kind.MARK))
    for number in some([number for number in of(steps, *CHANGES) if number > running], 2):
        root = tmp_path / str(number)
        root.mkdir()
        with life(root, Recorder(root, refused={number: errno.ENOSPC})) as h:
            h.live(1, GROUPS)
        assert finish(root, Promised(received=GROUPS, committed=4)) == "", steps[number]


def test_a_snapshot_that_the_disk_refuses_is_made_after_the_next_batch(steps: list[Step], tmp_path: Path) -> None:
    first = next(n for n, step in enumerate(steps) if step.kind is Kind.LINK and step.path.name == "snapshots")
    root = tmp_path / "volume"
    root.mkdir()
    with life(root, Recorder(root, refused={first: errno.ENOSPC})) as h:
        for n in range(1, 7):
            h.group(n)
            if n % 2 == 0:
                h.run_batch(n)
                h.deliver()
        assert h.batches.last.batch == 3
        assert [path.name for path in (root / "data" / "snapshots").iterdir()] == ["000000000003"]


def test_a_failed_sync_of_the_data_directory_ends_the_process(steps: list[Step], tmp_path: Path) -> None:
    for number in some([n for n in of(steps, Kind.SYNC) if steps[n].path.parts[:1] == ("data",)], 2):
        root = tmp_path / str(number)
        root.mkdir()
        recorder = Recorder(root, refused={number: errno.EIO})
        with pytest.raises(DataDirError), life(root, recorder) as h:
            h.live(1, GROUPS)
        assert finish(root, Promised.by(recorder.steps)) == "", steps[number]


def test_a_disk_that_is_read_only_for_a_while_stops_what_writes_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "volume"
    root.mkdir()
    recorder = Recorder(root)
    with life(root, recorder) as h:
        h.live(1, 3)
        recorder.read_only = True
        for refused in (lambda: h.group(4), lambda: h.run_batch(4)):
            with pytest.raises(Unavailable, match="Read-only file system while writing"):
                refused()
        with pytest.raises(ArchiveError):
            h.deliver()
        assert (h.read, h.batches.last.batch) == (3, 2)
        recorder.read_only = False
        h.live(4, GROUPS)
    assert finish(root, Promised(received=GROUPS, committed=5)) == ""


def test_a_start_on_a_read_only_disk_is_one_line(tmp_path: Path) -> None:
    root = tmp_path / "volume"
    root.mkdir()
    recorder = Recorder(root)
    with life(root, recorder) as h:
        h.live(1, 2)
    recorder.read_only = True
    with pytest.raises(BatcherError, match="Read-only file system") as caught, life(root, recorder):
        pass
    assert "\n" not in str(caught.value)
    assert finish(root, Promised(received=2, committed=2)) == ""


class Short(Unsynced):
    """Takes little at a time."""

    def write(self, descriptor: int, data: memoryview) -> int:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Take 100 bytes."""
        return super().write(descriptor, data[:100])


def test_a_disk_that_takes_little_at_a_time_gets_everything(tmp_path: Path) -> None:
    with life(tmp_path, Short()) as h:
        h.live(1, GROUPS)
    assert finish(tmp_path, Promised(received=GROUPS, committed=4)) == ""
