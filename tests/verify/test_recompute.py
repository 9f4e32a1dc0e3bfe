"""``verify --deep``: what was damaged after the commit is found, and named with its batch, row and column."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl
import pytest

from batcher import disk
from batcher.archive import Deliverer
from batcher.batch import Commit
from batcher.batch.records import Snapshot, decode_changes, encode_changes
from batcher.verify import verify
from tests.history import History, history
from tests.verify.test_sums import change, edit, play, set_to, staged, without_rows


def deep(h: History) -> dict[str, str]:
    checks = verify(h.directory, h.directory.archive, deep=True)
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check.detail for check in checks if not check.ok}


def account(h: History) -> str:
    """Which batches were run again."""
    return next(c.name for c in verify(h.directory, h.directory.archive, deep=True) if "recomputed" in c.name)


def deliver(h: History) -> None:
    h.batches.delivered(
        Deliverer(h.directory.archive, h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
    )


def commit_path(h: History, batch: int) -> Path:
    return h.directory.root / f"batches/{batch:012d}/commit.json"


def rewrite(h: History, table: str, batch: int, by: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change a staged file, and its digest in the commit: as a program does that counts wrongly."""
    change(h, table, batch, by)
    digest = disk.digest(staged(h, table, batch).read_bytes())
    edit(h, batch, lambda commit: msgspec.structs.replace(
        commit, files=[msgspec.structs.replace(f, digest=digest) if f.table == table else f for f in commit.files]
    ))  # fmt: skip


def rewrite_changes(h: History, batch: int) -> None:
    path = h.directory.root / f"batches/{batch:012d}/changes"
    changes = decode_changes(path.read_bytes())
    counted = changes["seen"].put.with_columns(count=pl.col("count") + 1)
    data = encode_changes(changes | {"seen": changes["seen"]._replace(put=counted)})
    path.write_bytes(data)
    edit(h, batch, lambda commit: msgspec.structs.replace(commit, changes=disk.digest(data)))


def rewrite_snapshot(h: History) -> None:
    snapshot = h.directory.newest_snapshot()
    assert snapshot
    seen = snapshot.state["seen"].with_columns(count=pl.col("count") + 1)
    h.directory.write_snapshot(Snapshot(snapshot.commit, snapshot.state | {"seen": seen}))


def recount(commit: Commit) -> Commit:
    return msgspec.structs.replace(commit, sums=commit.sums | {"gaps": 3})


Tamper = Callable[[History], object]
OF_ROWS = "recomputed rows of occurrences = those kept"

TAMPERED: dict[str, tuple[str, str, Tamper]] = {
    "value": (OF_ROWS, "batch 2: position ", lambda h: rewrite(h, "occurrences", 2, set_to("reason", "Other"))),
    "column": (OF_ROWS, ": reason is Other, recomputed OOMKilling", lambda h: rewrite(
        h, "occurrences", 2, set_to("reason", "Other"))),
    "row lost": (OF_ROWS, ": is missing", lambda h: rewrite(h, "occurrences", 1, without_rows)),
    "row added": (OF_ROWS, ": should not be there", lambda h: rewrite(
        h, "occurrences", 2, lambda frame: pl.concat([frame, frame.with_columns(position=pl.lit(1, pl.Int64))]))),
    "row twice": (OF_ROWS, ": is there twice", lambda h: rewrite(
        h, "occurrences", 2, lambda frame: pl.concat([frame, frame]))),
    "slot": ("recomputed rows of summaries = those kept", "batch 3: summary ", lambda h: rewrite(
        h, "summaries", 3, set_to("message", "x"))),
    "dead letter": ("recomputed rows of dead_letters = those kept", "refusal is x, recomputed Forbidden",
        lambda h: rewrite(h, "dead_letters", 3, set_to("refusal", "x"))),
    "batch": ("recomputed rows of batches = those kept", "batch 2: batch 2: writes is 7, recomputed 0",
        lambda h: rewrite(h, "batches", 2, set_to("writes", 7))),
    "quarantine": ("recomputed rows of quarantine = those kept", "batch 2: position ",
        lambda h: rewrite(h, "quarantine", 2, set_to("cause", "x"))),
    "retries": ("recomputed rows of retries = those kept", "fate is repeat, recomputed ",
        lambda h: rewrite(h, "retries", 4, set_to("fate", "repeat"))),
    "sum": ("recomputed sums = those committed", "batch 2: gaps: 3 committed, 0 recomputed",
        lambda h: edit(h, 2, recount)),
    "changes": ("recomputed changes = those committed", "batch 2: seen.put: identity_high ",
        lambda h: rewrite_changes(h, 2)),
    "changes digest": ("changes of each commit = its digest", "its bytes differ from the digest in commit.json",
        lambda h: (h.directory.root / "batches/000000000002/changes").write_bytes(b"x")),
    "bytes": ("files of each commit = their digests", ("batch 2: occurrences/date=2026-11-23/0123456789abcdef-"
        "000000000002.parquet: its bytes differ from the digest in commit.json"),
        lambda h: staged(h, "occurrences", 2).write_bytes(b"x")),
    "file gone": ("files of each commit = their digests", ".parquet: is gone",
        lambda h: remove(staged(h, "occurrences", 2))),
    "rules gone": ("all that a batch depends on can be read", "batch 1: ",
        lambda h: remove(*(h.directory.root / "configs").iterdir())),
    "spool": ("all that a batch depends on can be read", "batch 1: ", lambda h: flip(
        h.directory.spool / "0000000001.seg", 20)),
}  # fmt: skip


def remove(*paths: Path) -> None:
    for path in paths:
        path.unlink()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(("check", "detail", "tamper"), TAMPERED.values(), ids=TAMPERED)
def test_damage_is_named_with_its_first_batch(played: Path, check: str, detail: str, tamper: Tamper) -> None:
    with history(played) as h:
        tamper(h)
        assert detail in deep(h)[check]


def test_nothing_differs_where_nothing_was_damaged(played: Path) -> None:
    with history(played) as h:
        assert (deep(h), account(h)) == ({}, "batches 1 to 4 recomputed")
        deliver(h)
        assert (deep(h), account(h)) == ({}, "batches 1 to 4 recomputed")


def test_a_delivered_row_is_compared_as_well(played: Path) -> None:
    with history(played) as h:
        deliver(h)
        (path,) = Path(str(h.directory.archive / "occurrences")).glob("*/*-000000000002.parquet")
        set_to("message", "\x1b[2J")(pl.read_parquet(path, hive_partitioning=False)).write_parquet(path)
        assert "message is \x1b[2J, recomputed Back-off restarting" in deep(h)[OF_ROWS]


def test_the_state_before_the_oldest_snapshot_is_retired_and_that_is_said(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=1) as h:
        play(h)
        deliver(h)
        h.log.retire(h.batches.retire())
        assert deep(h) == {}
        assert account(h) == (
            "batches 4 to 4 recomputed, without batch 3 (its input is retired, as is that of all before it)"
        )


def test_a_snapshot_that_is_not_what_the_changes_say_is_named(tmp_path: Path) -> None:
    with history(tmp_path / "data", snapshot_every=3) as h:
        play(h)
        rewrite_snapshot(h)
        found = deep(h)["state of each snapshot = the one before and the changes since"]
    assert found.startswith("batch 3: seen: identity_high ")


def test_a_batch_of_another_version_is_left_out_and_its_changes_carry_on(played: Path) -> None:
    with history(played) as h:
        path = h.directory.root / "batches/000000000002/plan.json"
        plan = h.directory.plan(2)
        assert plan
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(plan, code="0.0.1")))
        rewrite(h, "occurrences", 2, set_to("reason", "Other"))
        assert deep(h) == {}
        assert account(h) == "batches 1 to 4 recomputed, without batch 2 (run by version 0.0.1)"


def test_a_batch_whose_segment_is_gone_is_left_out(tmp_path: Path) -> None:
    with history(tmp_path / "data", segment_bytes=300) as h:
        play(h)
        (h.directory.spool / "0000000002.seg").unlink()
        assert deep(h) == {}
        assert "(segment 2 of the spool is gone)" in account(h)


def test_an_empty_directory_has_nothing_to_run_again(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        assert (deep(h), account(h)) == ({}, "none recomputed")
