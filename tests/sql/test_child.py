"""The lock alone, without the check of statements: what DuckDB itself lets nobody do."""

from pathlib import Path

import duckdb
import polars as pl
import pytest

from batcher.sql.child import opened
from batcher.sql.request import Table

COLUMNS = {"batch": "BIGINT", "message": "VARCHAR", "later": "DOUBLE"}


@pytest.fixture
def connection(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    files = []
    for number, columns in enumerate(({"batch": [1], "message": ["it's"]}, {"batch": [2], "unknown": [True]})):
        path = tmp_path / f"o'clock-{number}.parquet"
        pl.DataFrame(columns).write_parquet(path)
        files.append(str(path))
    (tmp_path / "secret.csv").write_text("token\nverysecret\n")
    return opened({"occurrences": Table(files, COLUMNS), "gaps": Table([], COLUMNS)}, 64 << 20)


def test_a_table_has_its_columns_whatever_its_files_have(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute("FROM occurrences ORDER BY batch").fetchall()
    assert rows == [(1, "it's", None), (2, None, None)]
    described = connection.execute("DESCRIBE gaps").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == list(COLUMNS.items())
    assert connection.execute("FROM gaps").fetchall() == []


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('{folder}/secret.csv')",
        "FROM '{folder}/secret.csv'",
        "FROM read_text('{folder}/*')",
        "FROM read_text('/proc/self/environ')",
        "FROM glob('{folder}/*')",
        "FROM read_parquet('{folder}/../x.parquet')",
        "FROM read_json('http://127.0.0.1:1/x')",
        "COPY (SELECT 1) TO '{folder}/x.csv'",
        "COPY (SELECT 1) TO '{folder}/x.parquet' (FORMAT parquet)",
        "ATTACH '{folder}/x.db'",
        "EXPORT DATABASE '{folder}/x'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{folder}/x.duckdb_extension'",
        "CREATE PERSISTENT SECRET s (TYPE http)",
        "SET memory_limit = '64GB'",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "SET allowed_directories = ['/']",
        "SET lock_configuration = false",
        "SET temp_directory = '{folder}'",
        "SET python_enable_replacements = true",
        "RESET enable_external_access",
        "PRAGMA enable_profiling = 'json'",
        "CALL enable_logging(storage = 'file', storage_config = {{'path': '{folder}'}})",
    ],
)
def test_the_lock_holds_without_any_check(connection: duckdb.DuckDBPyConnection, tmp_path: Path, sql: str) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(duckdb.Error):
        connection.execute(sql.format(folder=tmp_path)).fetchall()
    assert sorted(tmp_path.iterdir()) == before


def test_variables_of_python_are_no_tables(connection: duckdb.DuckDBPyConnection) -> None:
    secret = pl.DataFrame({"token": ["verysecret"]})
    assert len(secret) == 1
    with pytest.raises(duckdb.Error, match="secret does not exist"):
        connection.execute("FROM secret")
