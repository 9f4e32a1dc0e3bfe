"""Requests and power cuts: what was asked for is asked for afterwards, and what was answered is not."""

from pathlib import Path

import pytest

from batcher import disk
from batcher.batch import DataDirectory
from batcher.batch.quarantine import ask, asked, requests_of
from batcher.batch.requests import answered
from tests.faults.volume import Kind, Luck, Recorder, Step, after_power_cut, write_out


def found(root: Path, *, answer: bool, without: str = "") -> list[int]:
    """Ask for two lines, and answer one of them if told; return what is asked for after power failed."""
    root.mkdir()
    recorder = Recorder(root)
    directory = DataDirectory(root / "data")
    with disk.using(recorder):
        disk.make_directory(directory.requests)
        ask(directory, [7, 8])
        if answer:
            answered(directory, requests_of([7]))
    done = [step for step in recorder.steps if not _is(step, without)]
    write_out(after_power_cut(done, Luck.NOTHING), root.with_name("after"))
    return asked(DataDirectory(root.with_name("after") / "data"))


def _is(step: Step, without: str) -> bool:
    return bool(without) and step.kind is Kind.SYNC and without in step.by


def test_what_was_asked_for_is_still_asked_for_after_a_power_cut(tmp_path: Path) -> None:
    assert found(tmp_path / "volume", answer=False) == [7, 8]


def test_what_was_answered_does_not_come_back_with_a_power_cut(tmp_path: Path) -> None:
    assert found(tmp_path / "volume", answer=True) == [8]


@pytest.mark.parametrize(
    ("answer", "without", "wrong"), [(False, "make_empty_files", []), (True, "remove_files", [7, 8])]
)
def test_without_its_fsync_a_request_is_lost_or_comes_back(
    *, answer: bool, without: str, wrong: list[int], tmp_path: Path
) -> None:
    assert found(tmp_path / "volume", answer=answer, without=without) == wrong
