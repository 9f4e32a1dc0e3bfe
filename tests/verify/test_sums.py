from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from batcher.archive import Deliverer
from batcher.batch import Commit
from batcher.errors import ArchiveError
from batcher.spool import Stream
from batcher.verify import Check, verify
from tests.history import RULES, History, history
from tests.sections import event, lines, misplaced, watched


def play(h: History) -> None:
    """Four batches with one of everything: batch 2 repeats, ignores, quarantines;
    batch 3 ends a refused summary and links it to its cause, and batch 4 retries what was quarantined.
    """
    h.batch(watched(event("a", 1, count=3), event("x", 2, namespace="jobs")), minute=0)
    deleted = b'{"type":"DELETED","object":' + event("a", 9) + b"}"
    wrong = misplaced(event("d", 4, count=4))
    of_a = {"apiVersion": "v1", "kind": "Pod", "namespace": "web", "name": "a"}
    cause = event("b", 3, count=2, reason="OOMKilling", involvedObject=of_a)
    h.batch(watched(event("a", 1, count=3), cause), lines(deleted, b"no JSON"), wrong, minute=1)
    first, second = h.written()
    refused = [msgspec.structs.replace(first, written=False, refusal="Forbidden"), second]
    h.batch(minute=20, outcomes=refused)
    h.batch(watched(event("c", 30)), minute=21, retry=h.waiting())


def failed(h: History, archive: Path) -> dict[str, str]:
    return {check.name: check.detail for check in verify(h.directory, archive) if not check.ok}


def staged(h: History, table: str, batch: int) -> Path:
    (path,) = (h.directory.staged / table).glob(f"*/*-{batch:012d}.parquet")
    return path


def change(h: History, table: str, batch: int, by: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    path = staged(h, table, batch)
    by(pl.read_parquet(path, hive_partitioning=False)).write_parquet(path)


def edit(h: History, batch: int, by: Callable[[Commit], Commit]) -> None:
    path = h.directory.root / f"batches/{batch:012d}/commit.json"
    path.write_bytes(msgspec.json.encode(by(msgspec.json.decode(path.read_bytes(), type=Commit))))


def set_to(column: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda frame: frame.with_columns(pl.lit(value).cast(frame.schema[column]).alias(column))


def set_first_to(column: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what sets ``column`` of the first row alone."""
    return lambda frame: pl.concat([frame.head(1).with_columns(pl.lit(value).alias(column)), frame.slice(1)])


def without_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.clear()


def doubled(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame])


def test_the_play_has_one_of_everything(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        totals = h.batches.last.totals
    expected = {
        "received": 8, "retried": 1, "revisions": 5, "repeats": 1, "ignored": 1, "quarantined": 2, "occurrences": 11,
        "kept": 4, "unmapped": 1, "opened": 5, "published": 1, "dead_lettered": 1, "archived": 1, "slots": 3,
        "links": 1,
    }  # fmt: skip
    assert {name: totals[name] for name in expected} == expected


@pytest.mark.parametrize("deliveries", [(), (1,), (4,), (2, 4)], ids=["staged", "first", "delivered", "twice"])
def test_every_sum_holds_whatever_is_delivered(played: Path, tmp_path: Path, deliveries: tuple[int, ...]) -> None:
    with history(played) as h:
        for through in deliveries:
            files = [file for file in h.batches.undelivered if file.batch <= through]
            h.batches.delivered(Deliverer(tmp_path / "archive", h.directory.staged, h.directory.id).deliver(files))
        checks = verify(h.directory, tmp_path / "archive")
    assert [check for check in checks if not check.ok] == []
    assert len({check.name for check in checks}) == len(checks) >= 13


def test_every_sum_holds_after_retirement(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        play(h)
        h.batches.delivered(
            Deliverer(tmp_path / "archive", h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        )
        h.batches.retire()
        assert h.directory.commits()[0].batch == 3
        assert failed(h, tmp_path / "archive") == {}


def test_an_empty_directory_proves_nothing_wrong(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        assert failed(h, tmp_path / "archive") == {}


Tamper = Callable[[History], object]

TAMPERED: dict[str, tuple[str, str, Tamper]] = {
    "batch gone": (
        "batches 1 to 4 are archived once",
        "batch 3 is missing",
        lambda h: staged(h, "batches", 3).unlink(),
    ),
    "batch twice": ("batches 1 to 4 are archived once", "twice", lambda h: change(h, "batches", 2, doubled)),
    "line lost": (
        "received + retried = revisions + repeats + ignored + quarantined",
        "batch 2: 6 is not 5",
        lambda h: change(h, "batches", 2, set_to("received", 6)),
    ),
    "verdict lost": (
        "revisions = kept + unmapped + limited + archive_only + filtered",
        "batch 1: 2 is not 1",
        lambda h: change(h, "batches", 1, set_to("kept", 0)),
    ),
    "row lost": (
        "revisions = rows of occurrences",
        "batch 2: 1 said, 0 found",
        lambda h: change(h, "occurrences", 2, without_rows),
    ),
    "count changed": (
        "occurrences = sum of grew",
        "batch 2: 2 said, 9 found",
        lambda h: change(h, "occurrences", 2, set_to("grew", 9)),
    ),
    "verdict changed": (
        "kept = rows with verdict kept",
        "batch 2: 1 said, 0 found",
        lambda h: change(h, "occurrences", 2, set_to("verdict", "unmapped")),
    ),
    "other verdict changed": (
        "unmapped = rows with verdict unmapped",
        "batch 1: 1 said, 0 found",
        lambda h: change(h, "occurrences", 1, set_to("verdict", "kept")),
    ),
    "third verdict changed": (
        "archive_only = rows with verdict archive-only",
        "batch 1: 0 said, 1 found",
        lambda h: change(h, "occurrences", 1, set_first_to("verdict", "archive-only")),
    ),
    "fourth verdict changed": (
        "filtered = rows with verdict filtered",
        "batch 1: 0 said, 1 found",
        lambda h: change(h, "occurrences", 1, set_first_to("verdict", "filtered:noise")),
    ),
    "fifth verdict changed": (
        "limited = rows with verdict limited",
        "batch 1: 0 said, 1 found",
        lambda h: change(h, "occurrences", 1, set_first_to("verdict", "limited")),
    ),
    "revision twice": (
        "each revision once",
        "batch 1: 2 revisions are there twice",
        lambda h: change(h, "occurrences", 1, doubled),
    ),
    "quarantine lost": (
        "quarantined = quarantined lines",
        "batch 2: 2 said, 0 found",
        lambda h: change(h, "quarantine", 2, without_rows),
    ),
    "slot lost": (
        "slots = rows of summaries",
        "batch 3: 3 said, 0 found",
        lambda h: change(h, "summaries", 3, without_rows),
    ),
    "link lost": (
        "links = rows of links",
        "batch 3: 1 said, 0 found",
        lambda h: change(h, "links", 3, without_rows),
    ),
    "dead letter lost": (
        "dead_lettered = dead letters",
        "batch 3: 1 said, 0 found",
        lambda h: staged(h, "dead_letters", 3).unlink(),
    ),
    "revival invented": (
        "revived = dead letters that were retried",
        "batch 2: 1 said, 0 found",
        lambda h: change(h, "batches", 2, set_to("revived", 1)),
    ),
    "totals changed": (
        "totals of the last commit = sums of all batches",
        "writes: 1 said, 5 found",
        lambda h: change(h, "batches", 3, set_to("writes", 5)),
    ),
    "commit changed": (
        "sums of each commit = its row of batches = what its totals grew by",
        "batch 2: repeats: 4 committed, 1 found",
        lambda h: edit(h, 2, lambda commit: msgspec.structs.replace(commit, sums=commit.sums | {"repeats": 4})),
    ),
    "total changed": (
        "sums of each commit = its row of batches = what its totals grew by",
        "batch 2: repeats: 1 committed, 3 added to its total",
        lambda h: edit(h, 2, lambda commit: msgspec.structs.replace(commit, totals=commit.totals | {"repeats": 3})),
    ),
    "changes changed": (
        "changes of each commit = its digest",
        "its bytes differ from the digest in commit.json",
        lambda h: (h.directory.root / "batches/000000000002/changes").write_bytes(b""),
    ),
    "retry lost": (
        "retried = lines that left quarantine",
        "batch 4: 1 said, 0 found",
        lambda h: change(h, "retries", 4, without_rows),
    ),
    "retried twice": (
        "each line leaves quarantine once, after it came",
        "batch 4: line ",
        lambda h: change(h, "retries", 4, doubled),
    ),
    "end lost": (
        "summaries opened + revived = published + dead-lettered + archived + open",
        "5 opened or revived, 2 ended, 2 open",
        lambda h: change(h, "batches", 3, set_to("published", 0)),
    ),
}


@pytest.mark.parametrize(("check", "detail", "tamper"), TAMPERED.values(), ids=TAMPERED)
def test_a_sum_that_fails_is_named_with_its_first_batch(
    played: Path, tmp_path: Path, check: str, detail: str, tamper: Tamper
) -> None:
    with history(played) as h:
        tamper(h)
        found = failed(h, tmp_path / "archive")
    assert detail in found[check]


def test_each_check_is_seen_to_fail(played: Path, tmp_path: Path) -> None:
    with history(played) as h:
        names = {check.name for check in verify(h.directory, tmp_path / "archive")}
    assert names - {"gaps = rows of gaps", INCIDENTS} == {check for check, _, _ in TAMPERED.values()}


INCIDENTS = "incidents = rows of incidents"


def test_an_incident_that_is_gone_is_missed_and_made_again(tmp_path: Path) -> None:
    with history(tmp_path / "data", rules=replace(RULES, correlation_window=timedelta(minutes=10))) as h:
        two = [watched(event("a", 1)), watched(event("a", 1), stream=Stream("uid-eu", "events"))]
        h.batch(*two, minute=0)
        h.batch(minute=11)
        assert [check for check in verify(h.directory, tmp_path / "archive", deep=True) if not check.ok] == []
        change(h, "incidents", 2, without_rows)
        assert failed(h, tmp_path / "archive")[INCIDENTS] == "batch 2: 1 said, 0 found"
        deep = {check.name: check for check in verify(h.directory, tmp_path / "archive", deep=True)}
        assert deep["recomputed rows of incidents = those kept"].batch == 2


def test_delivered_rows_are_checked_like_staged_ones(played: Path, tmp_path: Path) -> None:
    with history(played) as h:
        h.batches.delivered(
            Deliverer(tmp_path / "archive", h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        )
        (path,) = (tmp_path / "archive" / "occurrences").glob("*/*-000000000002.parquet")
        pl.read_parquet(path, hive_partitioning=False).clear().write_parquet(path)
        found = failed(h, tmp_path / "archive")
    assert found["revisions = rows of occurrences"] == "batch 2: 1 said, 0 found"


def test_a_delivered_file_that_is_gone_is_named_with_its_batch(played: Path, tmp_path: Path) -> None:
    with history(played) as h:
        h.batches.delivered(
            Deliverer(tmp_path / "archive", h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        )
        (path,) = (tmp_path / "archive" / "occurrences").glob("*/*-000000000002.parquet")
        path.unlink()
        name = "occurrences/date=2026-11-23/0123456789abcdef-000000000002.parquet"
        assert failed(h, tmp_path / "archive") == {"files of each commit = their digests": f"batch 2: {name}: is gone"}


def test_a_delivered_file_that_is_gone_with_its_commit_is_an_error(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        play(h)
        h.batches.delivered(
            Deliverer(tmp_path / "archive", h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        )
        h.batches.retire()
        (path,) = (tmp_path / "archive" / "occurrences").glob("*/*-000000000002.parquet")
        path.unlink()
        with pytest.raises(ArchiveError, match="000000000002"):
            verify(h.directory, tmp_path / "archive")


def test_a_batch_that_is_planned_and_staged_but_not_committed_is_no_part_of_the_proof(
    played: Path, tmp_path: Path
) -> None:
    with history(played) as h:
        (played / "batches" / "000000000004" / "commit.json").unlink()
        assert failed(h, tmp_path / "archive") == {}


def test_what_was_delivered_since_the_last_commit_was_read_is_no_part_of_the_proof(
    played: Path, tmp_path: Path
) -> None:
    with history(played) as h:
        Deliverer(tmp_path / "archive", h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        (played / "batches" / "000000000004" / "commit.json").unlink()
        assert failed(h, tmp_path / "archive") == {}


def test_a_check_is_plain_data() -> None:
    assert msgspec.json.encode(Check("sum", ok=True, detail="")) == b'["sum",true,"",0]'
