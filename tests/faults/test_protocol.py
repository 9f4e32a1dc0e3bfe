"""What changes between two steps of a batch: the process, the configuration, the code, the clock, the archive's word.

Killed before each write of a batch: ``tests/batch/test_process.py``.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from batcher.archive import Deliverer, scan
from batcher.batch import DataDirectory
from batcher.errors import ArchiveError
from batcher.stages.rule import Rule
from tests.faults.lives import Life, Promised, finish, life
from tests.faults.volume import Killed, Kind, Recorder
from tests.history import RULES

OTHER_RULES = replace(RULES, mapping=(Rule(cluster="*", namespace="web", workspace="root:other"),))


def killed(root: Path, step: Callable[[Recorder], int], live: Callable[[Life], None]) -> None:
    """Live, and be killed before the step whose number is ``step`` of what a whole life records."""
    whole = Recorder(root.parent / "whole")
    whole.root.mkdir()
    with life(whole.root, whole) as h:
        live(h)
    root.mkdir()
    with suppress(Killed), life(root, Recorder(root, dies_at=step(whole))) as h:
        live(h)


def one_batch(h: Life) -> None:
    h.group(1)
    h.run_batch(1)


def before_the_commit(recorder: Recorder) -> int:
    return next(n for n, step in enumerate(recorder.steps) if step.kind is Kind.LINK and step.name == "commit.json.tmp")


def workspaces(h: Life) -> set[str]:
    return set(h.batches.state["open_summaries"]["workspace"])


def test_a_plan_is_run_again_with_its_own_configuration_and_the_next_with_the_new_one(tmp_path: Path) -> None:
    root = tmp_path / "volume"
    killed(root, before_the_commit, one_batch)
    with life(root, rules=OTHER_RULES) as h:
        assert (h.finished is not None, workspaces(h)) == (True, {"root:shop"})
        h.group(2)
        h.run_batch(2)
        assert workspaces(h) == {"root:shop", "root:other"}


def test_a_plan_of_another_version_of_the_code_is_run_again_by_this_one(tmp_path: Path) -> None:
    root = tmp_path / "volume"
    killed(root, before_the_commit, one_batch)
    plan = DataDirectory(root / "data").plan_after(0)
    assert plan
    DataDirectory(root / "data").write_plan(msgspec.structs.replace(plan, code="0.0.0-older"))
    with life(root) as h:
        assert h.finished
    assert finish(root, Promised(received=1, committed=1)) == ""


def test_what_was_committed_and_not_published_is_offered_by_the_next_process(tmp_path: Path) -> None:
    with life(tmp_path) as h:
        h.group(1)
        h.batch(minute=1)
        offered = h.written()
        assert len(offered) == 2
    with life(tmp_path) as h:
        assert h.written() == offered
        h.batch(minute=2, outcomes=offered)
    with life(tmp_path) as h:
        assert set(h.batches.state["open_summaries"]["writes"]) == {1}


@dataclass
class Unanswered:
    """A table that does what it is told, and says that it failed."""

    table: DeltaTable

    def __getattr__(self, name: str) -> Any:
        """Everything else is the table's."""
        return getattr(self.table, name)

    def create_write_transaction(self, *arguments: Any, **options: Any) -> None:
        """Commit, and fail."""
        self.table.create_write_transaction(*arguments, **options)
        message = "connection reset after the commit was sent"
        raise DeltaError(message)


class Forlorn(Deliverer):
    """Hears of no success, until it is told better."""

    def _table(self, name: str) -> DeltaTable:  # type: ignore[explicit-override]  # typing.override came with 3.12
        return Unanswered(super()._table(name))  # type: ignore[return-value]  # as good as one


def test_an_archive_that_fails_after_it_succeeded_gets_nothing_twice(tmp_path: Path) -> None:
    with life(tmp_path) as h:
        one_batch(h)
        forlorn = Forlorn(tmp_path / "archive", h.directory.staged, h.directory.id)
        for _ in ("occurrences", "batches"):  # a table further each time: it is asked what it has
            with pytest.raises(ArchiveError, match="connection reset"):
                forlorn.deliver(h.batches.undelivered)
        assert forlorn.deliver(h.batches.undelivered)["occurrences"] == 1
        assert len(scan(tmp_path / "archive", "occurrences").collect()) == 2
    assert finish(tmp_path, Promised(received=1, committed=1)) == ""
