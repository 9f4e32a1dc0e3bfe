"""``kill -9`` at random moments; a few times here, a thousand times in ``make soak KILLS=1000``."""

import os
from pathlib import Path

import pytest

from tests.faults.soak import Report, soak


def assert_promise(report: Report) -> None:
    assert (report.lost, report.doubled, report.invented, report.failed_checks) == ([], [], [], []), report
    assert report.counted == report.occurrences, report
    assert report.told == report.happened, report


async def test_kill_9_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    assert_promise(await soak(tmp_path, kills=2, seed=1))


@pytest.mark.soak
async def test_however_often_it_is_killed_nothing_is_lost_and_nothing_doubled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kills, seed = int(os.environ.get("KILLS", "20")), int(os.environ.get("SEED", "1"))
    report = await soak(tmp_path, kills=kills, seed=seed)
    with capsys.disabled():
        print(f"\nseed {seed}: {report.closing()}")  # noqa: T201  the closing report is what a soak is for
    assert_promise(report)
