"""The watch and the spool together, on disk: what is missing at the end was unreadable, and that is proven."""

import asyncio
import os
from pathlib import Path

import pytest

from benchmarks.soak import Report, soak
from tests.virtual_time import in_virtual_time

VIRTUAL_PAUSES = (0.0, 0.1, 1.0, 10.0, 100.0, 400.0)


@pytest.mark.parametrize("seed", range(2))
def test_29_the_spool_has_every_revision_that_anyone_could_have_read(tmp_path: Path, seed: int) -> None:
    @in_virtual_time
    async def promise() -> None:
        report = await soak(tmp_path, seed=seed, seconds=2 * 3600, pauses=VIRTUAL_PAUSES)
        assert (report.lost, report.invented) == (set(), set())
        assert {"killed", "compacted", "reset", "stalled", "garbled", "refused"} <= report.wrongs.keys()
        assert report.made > 200
        assert 0 < len(report.unreadable) + len(report.passed_over) < report.made / 2

    promise()


@pytest.mark.soak
def test_29_the_same_on_real_time(tmp_path: Path) -> None:
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    report: Report = asyncio.run(soak(tmp_path, seed=1, seconds=seconds))
    assert (report.lost, report.invented) == (set(), set())
