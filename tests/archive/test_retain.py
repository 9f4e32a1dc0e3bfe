"""What is old goes, what is important stays longer, and ``verify`` and a take-over know."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from batcher.archive import Deliverer, check_owner, remains, scan
from batcher.archive.compact import compact_all
from batcher.archive.important import Pin, important, marks
from batcher.archive.pins import pin, pins, unpin
from batcher.archive.read import open_to_read
from batcher.archive.removals import removals
from batcher.archive.retain import Policy, Retained, due, horizon, retain, retain_all
from batcher.archive.rewrite import Held, held
from batcher.archive.tables import COLUMNS
from batcher.errors import ArchiveError, UsageError
from batcher.schema import INCIDENTS, OCCURRENCES, SUMMARIES, completed
from batcher.staging import stage
from batcher.verify import verify
from tests.history import RULES, START_AT, History, history
from tests.sections import event, watched

POLICY = Policy(retention=timedelta(days=30), important=timedelta(days=365))
MONTH_LATER, YEAR_LATER = START_AT + timedelta(days=32), START_AT + timedelta(days=367)


def play(h: History) -> None:
    """On one day a warning and a critical row; the next day, another warning."""
    h.batch(watched(event("a", 1), event("b", 2, reason="OOMKilling")), minute=0)
    h.batch(watched(event("c", 3, minute=10)), minute=10)
    h.batch(watched(event("d", 4, minute=10)), minute=24 * 60)


def deliver(h: History) -> None:
    root = h.directory.archive
    check_owner(root, h.directory.id)
    h.batches.delivered(Deliverer(root, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))


def pods(root: Path) -> list[str]:
    return sorted(scan(root, "occurrences").select("regarding_name").collect().to_series())


def failed(h: History) -> list[str]:
    return [f"{c.name}: {c.detail}" for c in verify(h.directory, h.directory.archive) if not c.ok]


def test_after_the_retention_only_what_is_important_is_left_and_after_the_other_nothing(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
        assert retain(root, "occurrences", POLICY, pins=[], now=START_AT + timedelta(days=30)).days == 0
        done = retain(root, "occurrences", POLICY, pins=[], now=START_AT + timedelta(days=31))
        assert done == Retained("occurrences", days=1, files=2, removed=2, kept=1)
        assert pods(root) == ["b", "d"]
        retain(root, "occurrences", POLICY, pins=[], now=MONTH_LATER)
        assert pods(root) == ["b"]
        retain(root, "occurrences", POLICY, pins=[], now=YEAR_LATER)
        assert pods(root) == []


def test_a_day_is_rewritten_once(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
    retain_all(tmp_path / "archive", POLICY, pins=[], now=MONTH_LATER)
    before = open_to_read(tmp_path / "archive", "occurrences")
    assert {each.files for each in retain_all(tmp_path / "archive", POLICY, pins=[], now=MONTH_LATER)} == {0}
    after = open_to_read(tmp_path / "archive", "occurrences")
    assert before is not None
    assert after is not None
    assert after.version() == before.version()


def test_a_dry_run_says_what_would_go_and_leaves_it(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
    done = retain(tmp_path / "archive", "occurrences", POLICY, pins=[], now=MONTH_LATER, dry_run=True)
    assert done == Retained("occurrences", days=2, files=3, removed=3, kept=1)
    assert pods(tmp_path / "archive") == ["a", "b", "c", "d"]


def test_every_sum_holds_after_retention_and_batches_that_lost_rows_are_left_out(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
        retain_all(h.directory.archive, POLICY, pins=[], now=START_AT + timedelta(days=31))
        compact_all(h.directory.archive, now=MONTH_LATER)
        assert failed(h) == []
        assert removals(h.directory.archive)[:2] == (2, 2)
        h.batch(watched(event("e", 9)), minute=24 * 60 + 1)
        assert failed(h) == []
        totals = h.batches.last.totals
    batches = scan(tmp_path / "archive", "batches").collect().sort("batch")
    assert batches["batch"].to_list() == [2, 3]
    assert batches["received"].to_list() == [3, 1]
    assert totals["received"] == 5


def test_a_row_that_is_missing_in_a_batch_that_lost_none_is_found(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
        retain_all(h.directory.archive, POLICY, pins=[], now=START_AT + timedelta(days=31))
        root = Path(str(h.directory.archive / "occurrences"))
        (path,) = root.rglob("0123456789abcdef-000000000003.parquet")
        pl.read_parquet(path).clear().write_parquet(path)
        assert "revisions = rows of occurrences: batch 3: 1 said, 0 found" in failed(h)


def test_batches_are_added_up_a_day_and_their_totals_stay(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
    for now in (MONTH_LATER, YEAR_LATER):
        retain(tmp_path / "archive", "batches", POLICY, pins=[], now=now)
        rows = scan(tmp_path / "archive", "batches").sort("batch").collect()
        assert rows.select("batch", "received", "occurrences").rows() == [(2, 3, 3), (3, 1, 1)]


def test_a_lost_directory_is_gone_on_from_with_the_totals_of_before_the_retention(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
        totals = h.batches.last.totals
    retain_all(tmp_path / "archive", POLICY, pins=[], now=YEAR_LATER)
    found = remains(tmp_path / "archive", rules=RULES, scopes={}, now=YEAR_LATER)
    assert found is not None
    assert (found.batch, found.totals) == (3, totals)


@pytest.mark.parametrize(
    ("table", "date", "name", "goes"),
    [
        ("occurrences", "2026-10-01", "part-1.parquet", True),
        ("occurrences", "2026-10-01", "kept-1.parquet", False),
        ("occurrences", "2025-10-01", "kept-1.parquet", True),
        ("occurrences", "2026-10-24", "part-1.parquet", False),
        ("incidents", "2026-10-01", "part-1.parquet", False),
        ("incidents", "2025-10-01", "part-1.parquet", True),
        ("batches", "2025-10-01", "kept-1.parquet", False),
    ],
)
def test_which_files_are_due(table: str, date: str, name: str, *, goes: bool) -> None:
    until = horizon(POLICY, datetime(2026, 11, 23, 12, tzinfo=UTC))
    assert until == ("2026-10-24", "2025-11-23")
    file = Held(f"date={date}/{name}", date, 1, 1)
    assert due(table, [file], until) == ([file] if goes else [])


def occurrences(*rows: dict[str, object]) -> pl.DataFrame:
    usual = {
        "received_at": START_AT, "type": "Warning", "reason": "BackOff", "cluster": "us-west1", "namespace": "web",
        "target_namespace": "shop", "workspace": "root:shop",
    }  # fmt: skip
    frame = pl.DataFrame([usual | row | {"position": number} for number, row in enumerate(rows)])
    return completed(frame.with_columns(pl.col("received_at").cast(OCCURRENCES["received_at"])), OCCURRENCES)


def kept(rows: pl.DataFrame, *, incident: pl.DataFrame | None = None, pinned: tuple[Pin, ...] = ()) -> list[int]:
    found = marks((pl.DataFrame(schema=INCIDENTS) if incident is None else incident).lazy())
    return important(rows, "occurrences", of_incidents=found, critical=["Doom"], pins=pinned)["position"].to_list()


INCIDENT = completed(
    pl.DataFrame(
        {
            "began_at": [START_AT], "ended_at": [START_AT + timedelta(minutes=10)], "reason": ["BackOff"],
            "clusters": [json.dumps([{"cluster": "us-west1", "occurrences": 1, "first_seen": "x"}, {"cluster": "b"}])],
            "namespaces": ['["shop"]'], "member_list": [json.dumps([{"summary": "s", "reason": "Failed"}])],
        }
    ).with_columns(pl.col("began_at", "ended_at").cast(INCIDENTS["began_at"])),
    INCIDENTS,
)  # fmt: skip


def test_warnings_of_an_incident_are_important_and_what_is_beside_it_is_not() -> None:
    late = START_AT + timedelta(minutes=11)
    rows = occurrences(
        {}, {"reason": "Failed"}, {"cluster": "b"}, {"type": "Normal"}, {"reason": "Other"}, {"cluster": "c"},
        {"target_namespace": "other"}, {"received_at": late},
    )  # fmt: skip
    assert kept(rows, incident=INCIDENT) == [0, 1, 2]
    assert kept(rows, incident=pl.concat([INCIDENT, INCIDENT])) == [0, 1, 2]
    assert kept(rows) == []


def test_critical_reasons_are_important_whatever_their_type() -> None:
    rows = occurrences({"reason": "OOMKilling", "type": "Normal"}, {"reason": "Doom"}, {})
    assert kept(rows) == [0, 1]


def test_what_is_pinned_is_important_in_its_time_and_place_only() -> None:
    rows = occurrences(
        {"type": "Normal"}, {"received_at": START_AT + timedelta(hours=2)}, {"cluster": "b"}, {"namespace": "jobs"}
    )
    hour = Pin("outage", START_AT, START_AT + timedelta(hours=1), cluster="us-west1", namespace="web")
    assert kept(rows, pinned=(hour,)) == [0]
    anywhere = Pin("all", START_AT, START_AT + timedelta(hours=1))
    assert kept(rows, pinned=(anywhere,)) == [0, 2, 3]


@pytest.mark.parametrize("table", COLUMNS)
def test_every_table_can_be_judged(table: str) -> None:
    none = pl.DataFrame(schema=COLUMNS[table])
    everything = Pin("all", START_AT, START_AT, cluster="c", namespace="n", workspace="w")
    assert important(none, table, of_incidents=marks(INCIDENT.lazy()), critical=[], pins=[everything]).equals(none)


def slots(*said: tuple[str, int]) -> pl.DataFrame:
    """Slots of summaries that began on day 0, each closed on the day that is said."""
    rows = [
        {"summary": name, "began_at": START_AT, "last_at": START_AT + timedelta(days=day), "occurrences": 1,
         "closed_at": START_AT + timedelta(days=day), "slot": day, "batch": 1, "type": "Normal", "reason": "Pulled"}
        for name, day in said
    ]  # fmt: skip
    times = pl.col("began_at", "last_at", "closed_at").cast(SUMMARIES["began_at"])
    return completed(pl.DataFrame(rows).with_columns(times), SUMMARIES)


def test_slots_of_a_summary_that_goes_on_are_kept_for_who_takes_over(tmp_path: Path) -> None:
    owner = "0123456789abcdef"
    rows = slots(("goes-on", 0), ("goes-on", 1), ("goes-on", 2), ("is-over", 0))
    staged = [*stage(tmp_path / "staged", "summaries", rows, batch=1, owner=owner)]
    Deliverer(tmp_path / "archive", tmp_path / "staged", owner).deliver(staged)
    retain(tmp_path / "archive", "summaries", POLICY, pins=[], now=START_AT + timedelta(days=31))
    left = scan(tmp_path / "archive", "summaries").select("summary", "slot").sort("slot").collect()
    assert left.rows() == [("goes-on", 0), ("goes-on", 1), ("goes-on", 2)]
    retain(tmp_path / "archive", "summaries", POLICY, pins=[], now=START_AT + timedelta(days=33))
    assert scan(tmp_path / "archive", "summaries").select("slot").collect().to_series().to_list() == [0]


def test_pins_are_remembered_by_name_and_forgotten(tmp_path: Path) -> None:
    one, two = Pin("b", START_AT, START_AT), Pin("a", START_AT, START_AT, cluster="x")
    pin(tmp_path, one)
    pin(tmp_path, two)
    assert pins(tmp_path) == [two, one]
    with pytest.raises(UsageError, match="b: is pinned already; choose another name, or remove it"):
        pin(tmp_path, one)
    unpin(tmp_path, "a")
    with pytest.raises(UsageError, match="a: is not pinned; pinned: b"):
        unpin(tmp_path, "a")
    assert pins(tmp_path) == [one]


def test_pins_that_cannot_be_read_are_an_error_because_rows_would_go(tmp_path: Path) -> None:
    (tmp_path / "batcher-pins").write_text("[{")
    with pytest.raises(ArchiveError, match=r"batcher-pins: .*; restore it from a backup"):
        pins(tmp_path)


def test_files_that_retention_left_are_known_by_their_name(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        play(h)
        deliver(h)
    retain_all(tmp_path / "archive", POLICY, pins=[], now=MONTH_LATER)
    assert {file.name.partition("-")[0] for file in held(open_to_read(tmp_path / "archive", "occurrences"))} == {"kept"}
