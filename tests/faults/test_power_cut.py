"""Power fails anywhere; and no sync and no rename can be spared: without it, some power cut breaks a promise.

Which steps are tried follows from ``SEED`` (default 1); ``make soak`` tries all of them.
"""

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.lives import GROUPS, Promised, finish, life
from tests.faults.volume import Killed, Kind, Luck, Recorder, Step, after_power_cut, write_out

SEED = int(os.environ.get("SEED", "1"))
TRIED = 15
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


def cuts(steps: list[Step], mutant: Mutant | None = None) -> Iterator[Cut]:
    """Yield every power cut with each luck; with a mutant, those which that makes a difference to."""
    changed = [mutant(step) if mutant else step for step in steps]
    for after, luck in itertools.product(range(len(steps) + 1), Luck):
        found = after_power_cut([step for step in changed[:after] if step], luck, seed=SEED + after)
        if mutant is None or found != after_power_cut(steps[:after], luck, seed=SEED + after):
            last = steps[after - 1] if after else None
            story = f"{luck} survives step {after} ({last.kind} {last.path} {last.name})" if last else "at once"
            yield Cut(tuple(sorted(found.items())), Promised.by(steps[:after]), story)


def different(found: Iterator[Cut]) -> list[Cut]:
    """Return ``found`` without repetitions."""
    return list({(cut.found, cut.promised): cut for cut in found}.values())


def test_whenever_power_fails_nothing_durable_is_lost_and_nothing_doubled(steps: list[Step], tmp_path: Path) -> None:
    chosen = random.Random(SEED).sample(different(cuts(steps)), TRIED)  # noqa: S311  a sample, not a secret
    assert [said for cut in chosen if (said := cut.answer(tmp_path))] == []


@pytest.mark.slow
def test_no_power_cut_at_all_loses_or_doubles_anything(steps: list[Step], tmp_path: Path) -> None:
    assert [said for cut in different(cuts(steps)) if (said := cut.answer(tmp_path))] == []


def marks(steps: list[Step]) -> Iterator[int]:
    """Yield where something was promised: what is lost there is lost for good."""
    return (number for number, step in enumerate(steps, 1) if step.kind is Kind.MARK)


def cuts_of_a_second_life(steps: list[Step], mutant: Mutant | None = None) -> Iterator[Cut]:
    """Yield the power cuts at each promise, of which nothing unsynced survives."""
    for after in [*marks(steps), len(steps)]:
        done = [(mutant(step) if mutant else step) for step in steps[:after]]
        found = after_power_cut([step for step in done if step], Luck.NOTHING)
        yield Cut(tuple(sorted(found.items())), Promised.by(steps[:after]), f"a second life, step {after}")


def syncs(steps: list[Step], by: str = "") -> list[int]:
    return [number for number, step in enumerate(steps) if step.kind is Kind.SYNC and step.by.startswith(by)]


def test_power_may_fail_after_a_kill_too(steps: list[Step], tmp_path: Path) -> None:
    for number in random.Random(SEED).sample(syncs(steps), 1):  # noqa: S311  as above
        found = different(cuts_of_a_second_life(recorded(tmp_path / str(number), dies_at=number)))
        assert [said for cut in found if (said := cut.answer(tmp_path))] == [], steps[number]


@pytest.mark.slow
def test_power_may_fail_after_a_kill_anywhere(steps: list[Step], tmp_path: Path) -> None:
    for number in syncs(steps):
        found = different(cuts_of_a_second_life(recorded(tmp_path / str(number), dies_at=number)))
        assert [said for cut in found if (said := cut.answer(tmp_path))] == [], steps[number]


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
    found = different(cuts(steps, mutant))
    random.Random(SEED).shuffle(found)  # noqa: S311  the first that shows it will do
    assert any(cut.answer(tmp_path) for cut in found)


AFTER_A_KILL = {
    "the fsync of all names at the start": ("write_file < DataDirectory.write_commit", without("sync_names <")),
    "the fsync of the last segment at the start": ("sync_data <", without("sync_file < Log.recover")),
    "the fsync of a table that is opened": (
        "sync_file < sync < Deliverer._deliver",
        without("sync_file < sync < Deliverer._table"),
    ),
    "the fsync of a table's directory": ("make_directory < Deliverer._copy", without("sync_directory < sync", depth=2)),
}
"""By which sync the process is killed, and which is missing afterwards."""


@pytest.mark.parametrize(("killed_before", "mutant"), AFTER_A_KILL.values(), ids=AFTER_A_KILL)
def test_without_it_a_power_cut_after_a_kill_breaks_a_promise(
    killed_before: str, mutant: Mutant, steps: list[Step], tmp_path: Path
) -> None:
    lives = (recorded(tmp_path / str(number), dies_at=number) for number in syncs(steps, killed_before))
    found = (cut for steps in lives for cut in different(cuts_of_a_second_life(steps, mutant)))
    assert any(cut.answer(tmp_path) for cut in found)


def test_every_sync_is_one_that_is_missed(steps: list[Step]) -> None:
    mutants = [*ONE_FAULT.values(), *(mutant for _, mutant in AFTER_A_KILL.values())]
    assert [step for step in steps if all(mutant(step) for mutant in mutants) and step.kind is Kind.SYNC] == []
