"""Power fails anywhere; and no sync and no rename can be spared: without it, some power cut breaks a promise.

Which steps are tried follows from ``SEED`` (default 1); ``make test-thorough`` tries all of them.
"""

import itertools
import os
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from batcher import disk
from batcher.spool.log import Log
from batcher.spool.position import START
from tests.faults.lives import GROUPS, Promised, finish, life
from tests.faults.volume import Killed, Kind, Luck, Recorder, Step, after_power_cut, write_out

SEED = int(os.environ.get("SEED", "1"))
TRIED = 8
"""Power cuts in ``make test``; there are about 300 different ones."""


class Cut(NamedTuple):
    """A power cut: what is found on disk after it, and what was promised before."""

    found: tuple[tuple[Path, bytes | None], ...]
    promised: Promised
    story: str

    def answer(self, folder: Path) -> str:
        """Say what is wrong after the next life; nothing if all is well."""
        root = folder / f"found-{abs(hash(self))}"
        write_out(dict(self.found), root)
        said = finish(root, self.promised)
        return f"{self.story}: {said}" if said else ""


def recorded(root: Path, *, dies_at: int = -1) -> list[Step]:
    """Record a whole life; or one that is killed before a step, and another that goes on where it was."""
    root.mkdir()
    recorder = Recorder(root, dies_at=dies_at)
    try:
        with life(root, recorder) as first:
            first.live(1, GROUPS)
    except Killed:
        recorder.dies_at = -1
        with life(root, recorder) as second:
            second.live(second.read + 1, GROUPS)
    recorder.notice_others()
    return recorder.steps


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    return recorded(tmp_path_factory.mktemp("recorded") / "volume")


Mutant = Callable[[Step], Step | None]
"""What the code would do instead of a step; None: nothing."""


Moment = tuple[Luck, int]
"""After how many steps power fails, and what survives."""


def worst_first(steps: list[Step]) -> list[Moment]:
    """Every moment: those first from which least survives, and of those the late ones, when most was promised."""
    lucks = (Luck.REMOVALS, Luck.NOTHING, Luck.NAMES, Luck.RANDOM, Luck.EVERYTHING)
    return list(itertools.product(lucks, reversed(range(len(steps) + 1))))


def cuts(steps: list[Step], moments: Iterable[Moment], mutant: Mutant | None = None) -> Iterator[Cut]:
    """Yield the different power cuts of ``moments``; with a mutant, those which that makes a difference to."""
    changed = [mutant(step) if mutant else step for step in steps]
    seen = set()
    for luck, after in moments:
        found = after_power_cut([step for step in changed[:after] if step], luck, seed=SEED + after)
        if mutant and found == after_power_cut(steps[:after], luck, seed=SEED + after):
            continue
        last = steps[after - 1] if after else None
        story = f"{luck} survives step {after} ({last.kind} {last.path} {last.name})" if last else "at once"
        cut = Cut(tuple(sorted(found.items())), Promised.by(steps[:after]), story)
        if cut[:2] not in seen:
            seen.add(cut[:2])
            yield cut


def test_whenever_power_fails_nothing_durable_is_lost_and_nothing_doubled(steps: list[Step], tmp_path: Path) -> None:
    moments = random.Random(SEED).sample(worst_first(steps), 5 * TRIED)  # noqa: S311  a sample, not a secret
    chosen = itertools.islice(cuts(steps, moments), TRIED)
    assert [said for cut in chosen if (said := cut.answer(tmp_path))] == []


@pytest.mark.slow
def test_no_power_cut_at_all_loses_or_doubles_anything(steps: list[Step], tmp_path: Path) -> None:
    assert [said for cut in cuts(steps, worst_first(steps)) if (said := cut.answer(tmp_path))] == []


def promises(steps: list[Step]) -> list[Moment]:
    """Where something was promised, and the end, of which nothing unsynced survives: what is lost is lost for good."""
    marks = [number for number, step in enumerate(steps, 1) if step.kind is Kind.MARK]
    return [(Luck.NOTHING, after) for after in [*marks, len(steps)]]


def syncs(steps: list[Step], by: str = "") -> list[int]:
    return [number for number, step in enumerate(steps) if step.kind is Kind.SYNC and step.by.startswith(by)]


def test_power_may_fail_after_a_kill_too(steps: list[Step], tmp_path: Path) -> None:
    for number in random.Random(SEED).sample(syncs(steps), 1):  # noqa: S311  as above
        lived = recorded(tmp_path / str(number), dies_at=number)
        assert [said for cut in cuts(lived, promises(lived)) if (said := cut.answer(tmp_path))] == [], steps[number]


@pytest.mark.slow
def test_power_may_fail_after_a_kill_anywhere(steps: list[Step], tmp_path: Path) -> None:
    for number in syncs(steps):
        lived = recorded(tmp_path / str(number), dies_at=number)
        assert [said for cut in cuts(lived, promises(lived)) if (said := cut.answer(tmp_path))] == [], steps[number]


def without(by: str, *, file: bool | None = None, depth: int | None = None) -> Mutant:
    """Leave out the syncs asked for by ``by``: of files, of directories, of what is so deep in the volume."""

    def mutant(step: Step) -> Step | None:
        sync = step.kind is Kind.SYNC and step.by.startswith(by)
        of = file in {None, bool(step.path.suffix)} and depth in {None, len(step.path.parts)}
        return None if sync and of else step

    return mutant


def in_place(step: Step) -> Step | None:
    """Write a file under its name at once, instead of renaming it."""
    if step.kind is Kind.LINK and step.name.endswith(".tmp"):
        return step._replace(name=step.name.removesuffix(".tmp"))
    return None if step.kind is Kind.RENAME else step


ONE_FAULT = {
    "the fsync of a new file": without("write_file <", file=True),
    "the rename of a new file": in_place,
    "the fsync of a new file's directory": without("write_file <", file=False),
    "the fsync of a new directory's parent": without("make_directory <"),
    "the fsync of a new segment's directory": without("open_to_append <"),
    "the fdatasync of a frame": without("sync_data <"),
    "the fsync of a version of a table": without("sync_file < sync < Deliverer._deliver"),
    "the fsync of a table's log": without("sync_directory < sync", depth=3),
    "the fsync of the archive": without("sync_directory < sync", depth=1),
}


@pytest.mark.parametrize("mutant", ONE_FAULT.values(), ids=ONE_FAULT)
def test_without_it_some_power_cut_breaks_a_promise(mutant: Mutant, steps: list[Step], tmp_path: Path) -> None:
    assert any(cut.answer(tmp_path) for cut in cuts(steps, worst_first(steps), mutant))


AFTER_A_KILL = {
    "the fsync of all names at the start": ("write_file < DataDirectory.write_commit", without("settle <")),
    "the fsync of the last segment at the start": ("sync_data <", without("sync_file < Log.recover")),
    "the fsync of a table that is opened": (
        "sync_file < sync < Deliverer._deliver",
        without("sync_file < sync < open_table"),
    ),
    "the fsync of a table's directory": (
        "make_directory < write < Deliverer._copy",
        without("sync_directory < sync", depth=2),
    ),
}
"""By which sync the process is killed, and which is missing afterwards."""


@pytest.mark.parametrize(("killed_before", "mutant"), AFTER_A_KILL.values(), ids=AFTER_A_KILL)
def test_without_it_a_power_cut_after_a_kill_breaks_a_promise(
    killed_before: str, mutant: Mutant, steps: list[Step], tmp_path: Path
) -> None:
    lives = (recorded(tmp_path / str(number), dies_at=number) for number in syncs(steps, killed_before))
    found = (cut for lived in lives for cut in cuts(lived, promises(lived), mutant))
    assert any(cut.answer(tmp_path) for cut in found)


def torn_and_recovered(root: Path, mutant: Mutant | None) -> list[str]:
    """Tear the last segment, let a life cut it, let power fail, and return what the life after that finds."""
    root.mkdir()
    recorder = Recorder(root)
    with life(root, recorder) as h:
        h.group(1)
    with disk.using(recorder):
        descriptor = disk.open_to_append(root / "data" / "spool" / "0000000001.seg")
        disk.write_all(descriptor, b"half a frame")
        disk.sync_data(descriptor)
        disk.close(descriptor)
    with life(root, recorder) as h:
        h.group(2)
    done = [(mutant(step) if mutant else step) for step in recorder.steps]
    found = root.with_name("found")
    write_out(after_power_cut([step for step in done if step], Luck.NOTHING), found)
    return Log(found / "data" / "spool", found / "data" / "quarantine").recover(START).damaged


def test_a_torn_tail_is_cut_for_good(tmp_path: Path) -> None:
    assert torn_and_recovered(tmp_path / "torn", None) == []


def test_without_the_fsync_of_a_cut_segment_the_damage_comes_back(tmp_path: Path) -> None:
    assert "12 bytes moved to" in torn_and_recovered(tmp_path / "torn", without("cut_file <"))[0]


def test_every_sync_is_one_that_is_missed(steps: list[Step]) -> None:
    mutants = [*ONE_FAULT.values(), *(mutant for _, mutant in AFTER_A_KILL.values())]
    assert [step for step in steps if all(mutant(step) for mutant in mutants) and step.kind is Kind.SYNC] == []
