"""Questions to an archive of delivered and staged files, by the way that the command asks them."""

import collections
import hashlib
from pathlib import Path
from typing import Any

import pytest

from batcher.archive import Deliverer, check_owner
from batcher.batch import DataDirectory
from batcher.errors import BatcherError, UsageError
from batcher.sql.asked import TABLES, Bounds, Head, asked
from tests.history import history
from tests.sections import event, watched

LITTLE = Bounds(seconds=3.0, memory=64 << 20)
SHORT = Bounds(seconds=1.0, memory=64 << 20)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    """A batch that is delivered, one that is staged, and a table that has both."""
    folder = tmp_path_factory.mktemp("asked")
    with history(folder / "data") as h:
        h.batch(watched(event("web", 10, count=3)), minute=0)
        check_owner(folder / "archive", h.directory.id)
        h.batches.delivered(
            Deliverer(folder / "archive", h.directory.staged, h.directory.id).deliver(h.batches.undelivered)
        )
        h.batch(watched(event("web", 20, count=5), event("job", 1, namespace="jobs")), minute=1)
        h.batch(minute=9)
        return h.directory


def answered(directory: DataDirectory, sql: str, bounds: Bounds = LITTLE) -> list[tuple[Any, ...]]:
    with asked(directory, sql, bounds=bounds) as answer:
        return [tuple(row.values()) for batch in answer.batches() for row in batch.to_pylist()]


def test_what_is_delivered_and_what_is_staged_are_one_table(directory: DataDirectory) -> None:
    sql = "SELECT namespace, count(*), sum(grew)::BIGINT FROM occurrences GROUP BY 1 ORDER BY 1"
    assert answered(directory, sql) == [("jobs", 1, 1), ("web", 2, 5)]
    assert answered(directory, "SELECT count(*), sum(revisions)::BIGINT FROM batches") == [(3, 3)]
    assert answered(directory, "SELECT reason, occurrences FROM summaries ORDER BY ALL") == [
        ("BackOff", 1), ("BackOff", 5),
    ]  # fmt: skip
    assert sorted(name for (name,) in answered(directory, "SHOW TABLES")) == sorted(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_can_be_asked_and_has_the_columns_of_the_schema(directory: DataDirectory, table: str) -> None:
    from batcher.archive.deliver import COLUMNS  # noqa: PLC0415

    assert [row[0] for row in answered(directory, f"DESCRIBE {table}")] == list(COLUMNS[table])
    assert len(answered(directory, f"FROM {table}")) >= 0


def test_times_are_utc_and_can_be_compared(directory: DataDirectory) -> None:
    sql = "SELECT count(*) FROM occurrences WHERE received_at >= '2026-11-23 16:01:00'"
    assert answered(directory, sql) == [(2,)]


def test_an_answer_has_at_most_so_many_rows_and_says_that_there_are_more(directory: DataDirectory) -> None:
    for limit, rows, has_more in ((2, 2, True), (3, 3, False), (0, 3, False)):
        with asked(directory, "FROM occurrences", bounds=LITTLE, limit=limit + 1 if limit else None) as answer:
            head = Head(answer, limit)
            assert sum(len(batch) for batch in head.batches()) == rows
            assert head.has_more == has_more


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}".encode())
    return total.hexdigest()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("COPY (SELECT 1) TO '{file}'", "sql: COPY is refused; only one statement that reads: SELECT, "),
        ("SELECT * FROM read_text('/etc/passwd')", "sql: read_text() is refused as a source of rows; there are the "),
        ("SELECT * FROM '/etc/passwd'", "sql: Catalog Error: Table with name /etc/passwd does not exist!"),
        ("FROM occurences", 'sql: Catalog Error: Table with name occurences does not exist! Did you mean "occurrences'),
        ("SELECT foo FROM occurrences", 'sql: Binder Error: Referenced column "foo" not found in FROM clause! Candid'),
        ("SELEC 1", 'sql: Parser Error: syntax error at or near "SELEC"; see: batcher sql "SHOW TABLES"'),
        ("SELECT 'a\x1b[31m", "sql: Parser Error: unterminated string literal"),
        ("SELECT '\udcff'", "sql: the statement is not UTF-8"),
        ("SELECT 1/'x\x1b[31m'", "sql: Conversion Error: "),
        ("SELECT error('a\nb\x1b[31m')", "sql: Invalid Input Error: a b [31m"),
        ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "sql: "),
    ],
)
def test_what_is_wrong_or_refused_is_one_line_and_nothing_is_changed(
    directory: DataDirectory, sql: str, said: str
) -> None:
    archive = Path(str(directory.archive))
    file = next((archive / "occurrences").rglob("*.parquet"))
    before = digest(directory.root), digest(archive)
    with pytest.raises(BatcherError) as caught:
        answered(directory, sql.replace("{file}", str(file)))
    assert str(caught.value).startswith(said)
    assert not any(ord(char) < 32 for char in str(caught.value))
    assert (digest(directory.root), digest(archive)) == before


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT count(*) FROM range(1000000000000) a, range(100000) b", "sql: stopped after 1 s; ask for less"),
        ("WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r", "sql: stopped after"),
        ("SELECT * FROM range(100000000000)", "sql: stopped after 1 s"),
        ("SELECT list(i) FROM range(10000000000) t(i)", "sql: stopped"),
        ("SELECT * FROM range(10000000000) ORDER BY random()", "sql: stopped"),
        ("SELECT max(length(repeat('abcdefghij', 100000000 + i::INT))) FROM range(100) t(i)", "sql: stopped"),
        ("SELECT length(repeat('abcdefghij', 300000000))", "sql: stopped"),
        (
            "SELECT max(regexp_matches(repeat('a', 100000 + i::INT), '(a|a)*b(a+)+c')) FROM range(10000000) t(i)",
            "sql: stopped",
        ),
    ],
)
def test_what_runs_away_is_stopped_and_says_what_to_do(directory: DataDirectory, sql: str, said: str) -> None:
    with pytest.raises(BatcherError) as caught, asked(directory, sql, bounds=SHORT) as answer:
        collections.deque(answer.batches(), maxlen=0)
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith(("or give --timeout", "or give --memory"))
    assert caught.value.exit_code == 1


def test_text_that_functions_make_is_memory_too(directory: DataDirectory) -> None:
    sql = "SELECT max(length(repeat('abcdefghij', 100000000 + i::INT))) FROM range(100) t(i)"
    with pytest.raises(BatcherError, match=r"^sql: stopped: it needs more than 64MiB of memory; ask for less, or give"):
        answered(directory, sql, Bounds(seconds=300.0, memory=64 << 20))


def test_the_child_sees_nothing_of_our_environment(directory: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHER_TOKEN", "verysecret")
    for sql in ("SELECT getenv('BATCHER_TOKEN')", "SELECT current_setting('home_directory')"):
        try:
            told = str(answered(directory, sql))
        except UsageError as error:
            told = str(error)
        assert "verysecret" not in told
