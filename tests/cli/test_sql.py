"""``batcher sql``: text, JSON, CSV and Parquet of hostile rows, and how it ends."""

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest

from tests.called import Told, called
from tests.history import history
from tests.sections import event, watched

HOSTILE = "=cmd|' /C calc'!A0\x1b[31m\u202egpj\nnext"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10, count=3, message=HOSTILE), event("idle", 11, type="Normal")), minute=0)
    return tmp_path / "data"


async def run(*arguments: str) -> Told:
    return await called("sql", *arguments)


ASKED = "SELECT message, count, -count AS less, received_at, NULL AS nothing FROM occurrences"


async def test_text_and_csv_can_be_looked_at_and_json_is_exact(data: Path) -> None:
    place = ("--data-dir", str(data))
    code, text, err = await run(ASKED, *place)
    assert (code, err) == (0, "")
    header, web, _ = text.splitlines()
    assert header.split() == ["message", "count", "less", "received_at", "nothing"]
    assert web == "=cmd|' /C calc'!A0 [31m gpj next           3     -3   2026-11-23T16:00:00.000000Z   NULL"
    _, out, _ = await run(ASKED, "-o", "csv", *place)
    names, first, _ = csv.reader(io.StringIO(out))
    assert names == ["message", "count", "less", "received_at", "nothing"]
    assert first == ["'=cmd|' /C calc'!A0 [31m gpj next", "3", "-3", "2026-11-23T16:00:00.000000Z", ""]
    _, out, _ = await run(ASKED, "-o", "json", *place)
    assert json.loads(out)[0] == {
        "message": HOSTILE, "count": 3, "less": -3, "received_at": "2026-11-23T16:00:00.000000Z",
        "nothing": None,
    }  # fmt: skip
    assert not any(ord(char) < 32 and char != "\n" for char in text + out)
    assert await run("FROM gaps", "-o", "json", *place) == (0, "[]\n", "")
    assert await run("SELECT 1 AS a", "-o", "csv", "--no-headers", *place) == (0, "1\n", "")


async def test_parquet_is_a_new_file_with_the_exact_rows(data: Path, tmp_path: Path) -> None:
    place = ("--data-dir", str(data))
    path = tmp_path / "out.parquet"
    code, out, err = await run("SELECT message, received_at FROM occurrences", "--to", str(path), *place)
    assert (code, out, err) == (0, "", f"2 rows in {path}\n")
    assert HOSTILE in pl.read_parquet(path)["message"].to_list()
    written = path.read_bytes()
    for name, said in (
        ("out.parquet", "is there already; give another name"),
        ("out.csv", "results are written as Parquet; give a name that ends with .parquet"),
        ("no/out.parquet", "its folder is not there"),
    ):
        assert await run("SELECT 1", "--to", str(tmp_path / name), *place) == (
            2,
            "",
            f"--to: {tmp_path / name}: {said}\n",
        )
    code, _, _ = await run("SELECT error('x')", "--to", str(tmp_path / "b.parquet"), *place)
    assert (code, path.read_bytes()) == (2, written)
    assert {each.name for each in tmp_path.iterdir()} == {"data", "out.parquet"}


async def test_a_long_answer_is_cut_and_says_so(data: Path) -> None:
    code, out, err = await run("FROM range(30000)", "--no-headers", "--limit", "5", "--data-dir", str(data))
    assert (code, out.split()) == (0, ["0", "1", "2", "3", "4"])
    assert err == "Only the first 5 rows; there are more: --limit 0, or --to FILE.parquet.\n"
    code, out, err = await run("FROM range(30000)", "--limit", "0", "-o", "csv", "--data-dir", str(data))
    assert (code, len(out.splitlines()), err) == (0, 30001, "")


async def test_what_is_wrong_is_one_line_and_an_exit_code(data: Path) -> None:
    for arguments, code, told in (
        (("SELECT foo FROM occurrences",), 2, 'sql: Binder Error: Referenced column "foo" not found in FROM clause!'),
        (("DROP VIEW occurrences",), 2, "sql: DROP is refused; only one statement that reads: SELECT, WITH, FROM, "),
        (("SELECT 1", "--memory", "lots"), 2, "--memory: 'lots' is not a size such as 500MiB, 10GiB or 1000000\n"),
        (("SELECT 1", "--timeout", "soon"), 2, "--timeout: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d\n"),
        (("FROM range(10000000000000)", "--limit", "0", "--timeout", "1s", "--to", "/dev/null/x.parquet"), 2, "--to: "),
        (
            ("SELECT max(range) FROM range(10000000000000)", "--timeout", "1s"),
            1,
            "sql: stopped after 1 s; ask for less",
        ),
    ):
        found = await run(*arguments, "--data-dir", str(data))
        assert (found[0], found[1], found[2].count("\n")) == (code, "", 1)
        assert found[2].startswith(told)
