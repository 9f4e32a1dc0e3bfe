import re
from pathlib import Path

import duckdb
import pytest

import batcher
from batcher.sql.statement import Refused, check


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT count(*) FROM occurrences WHERE received_at > now() - INTERVAL 1 HOUR;",
        "FROM occurrences",
        "TABLE occurrences",
        "VALUES (1), (2)",
        "WITH a AS (SELECT 1 AS x) SELECT * FROM a JOIN batches ON batch = x",
        "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 3) SELECT * FROM r",
        "SELECT 1 UNION ALL SELECT 2",
        "SELECT * FROM range(3), unnest([1, 2]), generate_series(1, 2)",
        "SELECT message->>'$.a', list_transform([1], x -> x + 1), row_number() OVER () FROM occurrences",
        "SELECT (SELECT max(batch) FROM batches), * FROM occurrences USING SAMPLE 1%",
        "DESCRIBE occurrences",
        "SHOW TABLES",
        "SUMMARIZE occurrences",
        "SELECT * FROM json_each('[1]')",
    ],
)
def test_what_only_reads_tables_passes(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    check(connection, sql)


ATTACKS = [
    "COPY (SELECT 1) TO '/tmp/x'",
    "COPY occurrences FROM '/etc/passwd'",
    "COPY FROM DATABASE memory TO other",
    "ATTACH '/tmp/x.db'",
    "DETACH memory",
    "INSTALL httpfs",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1'",
    "LOAD httpfs",
    "LOAD '/tmp/x.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "PRAGMA database_list",
    "PRAGMA enable_profiling='json'",
    "SET memory_limit = '64GB'",
    "SET GLOBAL threads = 64",
    "RESET memory_limit",
    "SET VARIABLE x = 1",
    "USE memory",
    "CALL enable_logging()",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "EXPORT DATABASE '/tmp/x'",
    "IMPORT DATABASE '/tmp/x'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW occurrences AS SELECT 1",
    "CREATE MACRO f() AS TABLE SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "DROP VIEW occurrences",
    "ALTER VIEW occurrences RENAME TO x",
    "COMMENT ON VIEW occurrences IS 'x'",
    "INSERT INTO occurrences SELECT * FROM occurrences",
    "DELETE FROM occurrences",
    "UPDATE occurrences SET cluster = ''",
    "TRUNCATE occurrences",
    "MERGE INTO occurrences USING batches ON true WHEN MATCHED THEN DELETE",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x'",
    "PIVOT occurrences ON type",
    "SELECT 1; COPY (SELECT 1) TO '/tmp/x'",
    "",
    "-- nothing",
    "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_json('http://127.0.0.1/x')",
    "SELECT * FROM read_parquet('s3://bucket/x')",
    "SELECT * FROM parquet_metadata('x')",
    "SELECT * FROM read_duckdb('/tmp/x.db')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('occurrences')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM enable_logging(storage='file', storage_config={'path': '/tmp/x'})",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM python_map_function(1)",
    "SELECT * FROM seq_scan()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT 1 WHERE EXISTS (SELECT * FROM (SELECT * FROM read_text('/etc/passwd')))",
    "SELECT (SELECT content FROM read_text('/etc/passwd')) FROM range(1)",
    "WITH a AS (FROM glob('/*')) SELECT 1 UNION SELECT 2 FROM a",
    "SELECT 1 ORDER BY (SELECT max(file) FROM glob('/*')) LIMIT (SELECT count(*) FROM glob('/*'))",
    "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
    "SUMMARIZE FROM read_csv('/etc/passwd')",
]


@pytest.mark.parametrize("sql", ATTACKS)
def test_what_does_anything_else_is_refused_in_one_line(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(Refused) as caught:
        check(connection, sql)
    assert "\n" not in str(caught.value)
    assert "refused" in str(caught.value) or "only one statement that reads" in str(caught.value)


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT 'a", "SELECT (", "\x00"])
def test_what_is_no_sql_is_an_error_of_its_own(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises((duckdb.Error, Refused)):
        check(connection, sql)


def test_the_sql_of_polars_is_offered_to_nobody() -> None:
    """It reads any file that is named in it."""
    code = {path: path.read_text(encoding="utf-8") for path in Path(batcher.__file__).parent.rglob("*.py")}
    assert [str(path) for path, text in code.items() if re.search(r"SQLContext|pl\.sql|sql_expr", text)] == []
    assert [path.parent.name for path, text in code.items() if ".sql(" in text] == ["sql"]
