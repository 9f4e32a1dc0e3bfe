"""``batcher archive``: what is printed, what is refused, and the exit codes."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from batcher import clock
from batcher.archive import Deliverer, check_owner
from batcher.archive.purge import purges
from batcher.batch import DataDirectory
from tests.called import Told, called
from tests.history import History, history
from tests.sections import event, watched

USAGE = 2
HOSTILE = "=cmd|' /C calc'!A0"


async def archive(data: Path, *arguments: str) -> Told:
    return await called("archive", *arguments, "--data-dir", str(data))


def deliver(h: History) -> None:
    root = h.directory.archive
    check_owner(root, h.directory.id)
    h.batches.delivered(Deliverer(root, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three batches of 2026-11-23, of which the last is not delivered."""
    folder = tmp_path_factory.mktemp("filled")
    with history(folder / "data") as h:
        h.batch(watched(event("a", 1, message=HOSTILE)), minute=0)
        h.batch(watched(event("b", 2, minute=1)), minute=1)
        deliver(h)
        h.batch(watched(event("x", 3, minute=2, namespace="jobs")), minute=2)
    return folder


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A copy, as a test changes it."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    DataDirectory(tmp_path / "data").write_archive(tmp_path / "archive")
    return tmp_path / "data"


async def test_the_status_tells_of_each_table_and_of_what_is_not_delivered(data: Path) -> None:
    code, out, err = await archive(data, "status")
    assert (code, err) == (0, "")
    header, first, *_, last = out.splitlines()
    assert header.split() == ["TABLE", "ROWS", "FILES", "SIZE", "A", "ROW", "OLDEST", "NEWEST", "STAGED"]
    assert first.split()[:3] == ["occurrences", "2", "2"]
    assert first.split()[-3:] == ["2026-11-23", "2026-11-23", "1"]
    assert last.split()[0] == "batches"
    _, document, _ = await archive(data, "status", "-o", "json")
    _, same, _ = await archive(data, "status", "-o", "yaml")
    assert json.loads(document) == yaml.safe_load(same)
    tables = {each["table"]: each for each in json.loads(document)["tables"]}
    assert {name: tables["occurrences"][name] for name in ("rows", "files", "staged_rows", "small_files")} == {
        "rows": 2, "files": 2, "staged_rows": 1, "small_files": 2,
    }  # fmt: skip
    assert tables["links"]["version"] == 0
    _, wide, _ = await archive(data, "status", "-o", "wide", "--no-headers")
    assert len(wide.splitlines()) == 7


async def test_compacting_by_hand_says_what_it_did_and_then_finds_nothing(data: Path) -> None:
    _, out, _ = await archive(data, "compact", "--dry-run")
    assert out.startswith("would be: occurrences: 2 files, 0 into, 2 rows, ")
    code, out, err = await archive(data, "compact")
    assert (code, err) == (0, "")
    assert out.startswith("occurrences: 2 files, 1 into, 2 rows, ")
    assert await archive(data, "compact") == (0, "Nothing to compact.\n", "")


async def test_nothing_is_removed_by_a_default_that_nobody_gave(data: Path) -> None:
    for command in ("retain", "keep"):
        code, out, err = await archive(data, command)
        assert (code, out) == (USAGE, "")
        assert err == (
            "archive: how long are rows kept? Give --config, or both --retention and --retention-important\n"
        )
    code, _, err = await archive(data, "retain", "--retention", "30d", "--retention-important", "7d")
    assert (code, err) == (USAGE, "archive: retentionImportant: shorter than retention\n")
    code, _, err = await archive(data, "retain", "--retention", "soon", "--retention-important", "7d")
    assert code == USAGE
    assert len(err.splitlines()) == 1


async def test_retention_by_hand(data: Path) -> None:
    age = clock.now() - clock.EPOCH
    long, short = f"{age.days}d", "1d"
    assert await archive(data, "retain", "--retention", long, "--retention-important", long) == (
        0,
        "No day is old enough.\n",
        "",
    )
    with history(data) as h:
        deliver(h)
    arguments = ("--retention", short, "--retention-important", short, "-o", "json")
    _, out, _ = await archive(data, "retain", *arguments, "--dry-run")
    would = {each["table"]: each["removed"] for each in json.loads(out)["tables"]}
    code, out, err = await archive(data, "keep", *arguments)
    assert (code, err) == (0, "")
    did = {each["table"]: each["removed"] for each in json.loads(out)["retained"] if each["days"]}
    assert would == did
    assert did["occurrences"] == 3


async def test_a_period_is_pinned_shown_and_unpinned(data: Path) -> None:
    arguments = ("pin", "outage", "--since", "2026-11-23", "--until", "2026-11-24T06:00:00+01:00", "-n", "web")
    code, out, err = await archive(data, *arguments)
    assert (code, err) == (0, "")
    assert out == "outage: pinned from 2026-11-23 00:00:00 to 2026-11-24 05:00:00 namespace web\n"
    _, out, _ = await archive(data, "status")
    assert out.splitlines()[-1] == "pinned outage: 2026-11-23 00:00:00 to 2026-11-24 05:00:00 namespace web"
    code, _, err = await archive(data, *arguments)
    assert code == USAGE
    assert await archive(data, "unpin", "outage") == (0, "outage: no longer pinned\n", "")


async def test_an_export_has_delivered_and_staged_rows_and_writes_nothing_over(data: Path, tmp_path: Path) -> None:
    since = ("--since", "2026-11-01", "--until", "2026-12-01", "--table", "occurrences")
    for form, ending in (("parquet", "parquet"), ("csv", "csv"), ("json", "jsonl")):
        into = tmp_path / form
        code, out, err = await archive(data, "export", *since, "-o", str(into), "--format", form)
        assert (code, err) == (0, "")
        file = into / "occurrences" / f"2026-11-23.{ending}"
        assert out == f"{file}: 3 rows\n"
        code, out, err = await archive(data, "export", *since, "-o", str(into), "--format", form)
        assert (code, err) == (USAGE, f"-o {into}: is there and not empty; give a folder that is new\n")
    assert pl.read_parquet(tmp_path / "parquet/occurrences/2026-11-23.parquet")["message"][0] == HOSTILE
    assert pl.read_csv(tmp_path / "csv/occurrences/2026-11-23.csv")["message"][0] == f"'{HOSTILE}"
    first = json.loads((tmp_path / "json/occurrences/2026-11-23.jsonl").read_text().splitlines()[0])
    assert (first["message"], first["regarding_name"]) == (HOSTILE, "a")


async def test_wrong_times_and_tables_are_one_line_with_a_hint(data: Path, tmp_path: Path) -> None:
    for since, until, table, said in (
        ("soon", "", "gaps", "--since: 'soon' is neither how long ago (24h, 7d) nor a time (2026-11-23, "),
        ("2026-11-23", "2026-11-22", "gaps", "--since: 2026-11-23 00:00:00Z is not before --until, 2026-11-22 "),
        ("2026-11-23", "", "../x", "--table ../x: no such table; there are: occurrences, summaries, incidents, "),
    ):
        code, _, err = await archive(
            data, "export", "--since", since, "--until", until, "--table", table, "-o", str(tmp_path / "o")
        )
        assert (code, len(err.splitlines())) == (USAGE, 1)
        assert err.startswith(said)
    _, _, err = await archive(data, "export", "--since", "1s", "-o", str(tmp_path / "o"))
    assert err == "No rows of that time.\n"


async def test_a_purge_needs_a_word_and_says_what_remains(data: Path, tmp_path: Path) -> None:
    code, _, err = await archive(data, "purge", "--workspace", "root:shop")
    assert (code, err) == (
        USAGE, "archive purge: give --yes to remove rows for good, or --dry-run to see how many there are\n",
    )  # fmt: skip
    code, out, _ = await archive(data, "purge", "--workspace", "root:shop", "--dry-run")
    assert (code, out.splitlines()[0]) == (0, "occurrences: 2 rows in 2 files would be removed")
    assert purges(tmp_path / "archive") == []
    code, out, err = await archive(data, "purge", "--workspace", "root:shop", "--yes", "-o", "json")
    assert (code, err) == (0, "")
    done = json.loads(out)
    assert {each["table"]: each["rows"] for each in done["tables"]}["occurrences"] == 2
    (asked,) = purges(tmp_path / "archive")
    assert asked.gone_by - asked.at == timedelta(hours=32)
    code, out, _ = await called("verify", "--data-dir", str(data))
    assert code == 0
    assert "rows of batches that were removed are not counted: 2 by a purge" in out


async def test_an_archive_that_has_another_owner_is_left_alone(data: Path, tmp_path: Path) -> None:
    check_owner(tmp_path / "archive", "fedcba9876543210", take_over=True)
    for command in (("compact",), ("vacuum",), ("purge", "--workspace", "w", "--yes"), ("unpin", "p")):
        code, _, err = await archive(data, *command)
        assert code == USAGE
        assert "has taken it over from this one" in err
