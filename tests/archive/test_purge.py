"""A workspace's rows go, those of others stay, and what comes late goes later."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from batcher.archive import Deliverer, check_owner, scan
from batcher.archive.compact import compact_all
from batcher.archive.keep import keep
from batcher.archive.purge import Purge, ask, of_workspace, purge_all, purges
from batcher.archive.removals import note_purged, purged, removals
from batcher.archive.retain import Policy
from batcher.batch.requests import Kind, asked
from batcher.purging import purge, told
from batcher.schema import LINKS, SUMMARIES, completed
from batcher.verify import verify
from tests.history import START_AT, History, history
from tests.sections import event, watched

HOUR = timedelta(hours=1)
NOW = START_AT + HOUR
SHOP = Purge("root:shop", NOW)


def play(h: History) -> None:
    """Rows of two namespaces, of which one has the workspace; its summaries close."""
    h.batch(watched(event("a", 1), event("x", 2, namespace="jobs")), minute=0)
    h.batch(watched(event("b", 3, minute=1)), minute=1)
    h.batch(minute=30, outcomes=h.written())


def deliver(h: History) -> None:
    root = h.directory.archive
    check_owner(root, h.directory.id)
    h.batches.delivered(Deliverer(root, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))


def workspaces(root: Path, table: str) -> list[str]:
    return scan(root, table).select("workspace").sort("workspace").collect().to_series().to_list()


def failed(h: History, *, deep: bool = False) -> list[str]:
    return [f"{c.name}: {c.detail}" for c in verify(h.directory, h.directory.archive, deep=deep) if not c.ok]


@pytest.mark.parametrize("compacted", [False, True])
def test_rows_of_the_workspace_go_from_every_table_and_others_stay(tmp_path: Path, *, compacted: bool) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
        if compacted:
            compact_all(root, now=NOW + timedelta(days=1))
        assert workspaces(root, "occurrences") == ["", "root:shop", "root:shop"]
        done = {each.table: each.rows for each in purge_all(root, SHOP, now=NOW)}
        assert (done["occurrences"], done["summaries"]) == (2, 2)
        assert (workspaces(root, "occurrences"), set(workspaces(root, "summaries"))) == ([""], {""})
        assert failed(h, deep=True) == []
        assert {each.rows for each in purge_all(root, SHOP, now=NOW)} == {0}


def test_batches_of_which_nothing_was_purged_are_still_counted(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
        purge_all(h.directory.archive, SHOP, now=NOW)
        assert removals(h.directory.archive).purged == {1, 2, 3}
        h.batch(watched(event("y", 9, namespace="jobs")), minute=40)
        deliver(h)
        assert failed(h) == []
        (path,) = Path(str(h.directory.archive / "occurrences")).rglob("0123456789abcdef-000000000004.parquet")
        pl.read_parquet(path).clear().write_parquet(path)
        assert "revisions = rows of occurrences: batch 4: 1 said, 0 found" in failed(h)


def test_what_began_after_it_stays(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
        assert {each.rows for each in purge_all(root, Purge("root:shop", START_AT - HOUR), now=NOW)} == {0}
    assert workspaces(root, "occurrences") == ["", "root:shop", "root:shop"]


def test_a_dry_run_counts_and_removes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
        done = purge(h.directory, "root:shop", now=NOW, dry_run=True)
        assert {each.table: each.rows for each in done.tables}["occurrences"] == 2
        assert (purges(root), asked(h.directory, Kind.RETIRE), removals(root).purged) == ([], [], frozenset())
    assert workspaces(root, "occurrences") == ["", "root:shop", "root:shop"]


def test_rows_that_were_staged_go_with_the_upkeep_after_their_delivery(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        check_owner(root, h.directory.id)
        play(h)
        done = purge(h.directory, "root:shop", now=NOW, dry_run=False)
        assert (done.staged_rows, {each.rows for each in done.tables}) == (4, set())
        deliver(h)
        keep(root, Policy(), owner=h.directory.id, now=NOW + HOUR)
        assert workspaces(root, "occurrences") == [""]
        assert purges(root) == [SHOP]
        keep(root, Policy(), owner=h.directory.id, now=NOW + timedelta(days=1))
        assert purges(root) == []
        assert failed(h) == []


def test_what_remains_is_told_with_its_time(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        check_owner(tmp_path / "archive", h.directory.id)
        h.batch(watched(event("a", 1)), minute=0)
        done = purge(h.directory, "root:shop", now=NOW, dry_run=False)
        assert asked(h.directory, Kind.RETIRE) == ["1795453200000000"]
    said = "\n".join(told(done))
    assert "remains: 1 staged rows, until they are delivered" in said
    assert "bytes of the spool, until a running service has written two snapshots" in said
    assert "rows of the state" in said
    assert said.endswith(
        "gone by 2026-11-25T01:00:00Z, if a service runs: archive, its history, staged files and spool"
    )


def test_summaries_that_counted_them_for_a_route_go_too_and_no_namesake() -> None:
    rows = completed(
        pl.DataFrame({
            "workspace": ["root:sre", "root:sre", "root:shop", "root:shopping"],
            "origin": ["root:shop/web", "root:shopping/web", "", ""],
            "began_at": [START_AT] * 4,
        }).with_columns(pl.col("began_at").cast(SUMMARIES["began_at"])),
        SUMMARIES,
    )  # fmt: skip
    goes = of_workspace("summaries", SHOP, pl.Series(dtype=pl.String))
    assert rows.select(goes).to_series().to_list() == [True, False, True, False]


def test_links_that_tell_of_its_summaries_as_a_cause_go_too() -> None:
    rows = completed(
        pl.DataFrame({
            "workspace": ["root:a", "root:a", "root:a", "root:shop"],
            "cause_summary": ["s", "t", "t", "t"], "root_summary": ["t", "s", "t", "t"], "effect_at": [START_AT] * 4,
        }).with_columns(pl.col("effect_at").cast(LINKS["effect_at"])),
        LINKS,
    )  # fmt: skip
    goes = of_workspace("links", SHOP, pl.Series(["s"]))
    assert rows.select(goes).to_series().to_list() == [True, True, False, True]


def test_batches_that_lose_rows_are_noted_as_ranges_and_added_to(tmp_path: Path) -> None:
    note_purged(tmp_path, [5, 1, 2, 3])
    note_purged(tmp_path, [4, 9])
    assert (tmp_path / "batcher-purged").read_text() == "[[1,5],[9,9]]"
    assert purged(tmp_path) == {1, 2, 3, 4, 5, 9}


def test_a_purge_is_remembered_until_its_time_is_over(tmp_path: Path) -> None:
    ask(tmp_path, SHOP)
    ask(tmp_path, Purge("root:b", NOW))
    assert [each.workspace for each in purges(tmp_path)] == ["root:shop", "root:b"]
