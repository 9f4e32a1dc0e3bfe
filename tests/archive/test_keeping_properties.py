"""Whatever is done to an archive, in whatever order: a reader sees every row once, and every sum holds."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.archive import Deliverer, check_owner, scan
from batcher.archive.compact import compact_all
from batcher.archive.purge import Purge, purge_all
from batcher.archive.retain import Policy, retain_all
from batcher.archive.vacuum import vacuum_all
from batcher.batch.process import staged_paths
from batcher.store import Root
from batcher.verify import verify
from tests.history import START_AT, History, history
from tests.sections import event, watched

STEPS = ("batch", "deliver", "deliver and forget", "restart", "compact", "retain", "vacuum", "purge")
SOON = START_AT + timedelta(days=2)


def seen(h: History) -> list[tuple[int, int]]:
    """Batch and version of each row that a reader sees."""
    rows = scan(h.directory.archive, "occurrences", staged_paths(h.directory)["occurrences"])
    return sorted((batch, version) for batch, version in rows.select("batch", "resource_version").collect().rows())


def do(h: History, step: str, happened: list[tuple[int, int]]) -> None:
    root = h.directory.archive
    if step == "batch":
        happened += batch(h)
    elif step.startswith("deliver"):
        through = Deliverer(root, h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        if step.endswith("forget"):
            h.batches.delivered(through)
    else:
        UPKEEP[step](root)


def batch(h: History) -> list[tuple[int, int]]:
    """Two rows in the next batch; return its number and their versions."""
    number = h.batches.last.batch + 1
    versions = (2 * number, 2 * number + 1)
    h.batch(watched(*(event(f"p{v % 2}", v, count=number) for v in versions)), minute=number)
    return [(number, version) for version in versions]


def vacuum(root: Root) -> None:
    for path in Path(str(root)).rglob("*.parquet"):
        os.utime(path, (START_AT.timestamp(), START_AT.timestamp()))
    vacuum_all(root, now=SOON, after=timedelta(0))


UPKEEP = {
    "compact": lambda root: compact_all(root, now=SOON),
    "retain": lambda root: retain_all(root, Policy(), pins=[], now=SOON),
    "vacuum": vacuum,
    "purge": lambda root: purge_all(root, Purge("root:other", SOON), now=SOON),
}


@pytest.mark.slow
@given(steps=st.lists(st.sampled_from(STEPS), min_size=2, max_size=8))
@settings(deadline=None)
def test_every_row_is_seen_once_whatever_is_done_in_whatever_order(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data, happened = Path(folder) / "data", list[tuple[int, int]]()
        left = ["batch", *steps]
        while left:
            with history(data) as h:
                check_owner(h.directory.archive, h.directory.id)
                while left and (step := left.pop(0)) != "restart":
                    do(h, step, happened)
                    assert seen(h) == happened
                assert [check for check in verify(h.directory, h.directory.archive) if not check.ok] == []
