"""The process in which SQL is run: takes a request on its standard input, gives Arrow on its standard output.

Before it reads what somebody asks it gives up what it does not need: memory beyond its share, processor time, and the
writing of files (of any size: a pipe is none). Then DuckDB is told which files it may read, that it may do nothing else
outside, and to let nobody change that. Run as ``python -P -m batcher.sql.child``.
"""

import resource
import sys
from collections.abc import Sequence
from typing import NoReturn

import duckdb
import msgspec
import pyarrow as pa

from batcher.sql.request import REFUSED, Failure, Request, Table
from batcher.sql.statement import Refused, check

OVERHEAD = 1 << 30
"""Bytes of addresses for libraries, stacks and answers on their way, beside what DuckDB may hold."""
THREADS = 2
BATCH_ROWS = 8192


def main() -> None:
    """Answer one request, or say why not and exit with :data:`REFUSED`."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    _confine(request)
    try:
        _answer(request)
    except Refused as refusal:
        _fail("Refused", str(refusal))
    except (duckdb.Error, MemoryError, RuntimeError) as error:
        _fail(type(error).__name__, str(error))


def _answer(request: Request) -> None:
    connection = opened(request.tables, request.memory)
    check(connection, request.sql)
    relation = connection.sql(request.sql)
    if request.limit is not None:
        relation = relation.limit(request.limit)
    reader = relation.to_arrow_reader(BATCH_ROWS)
    with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as stream:
        for batch in reader:
            stream.write_batch(batch)


def opened(tables: dict[str, Table], memory: int) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB that has ``tables`` as views, may read their files, and will never do more."""
    connection = duckdb.connect(":memory:", config={"threads": THREADS, "memory_limit": f"{memory}B"})
    connection.execute("SET TimeZone = 'UTC'")
    for name, table in tables.items():
        connection.execute(f"CREATE VIEW {name} AS {_view(connection, table)}")
    allowed = [file for table in tables.values() for file in table.files]
    for name, value in {
        "allowed_paths": _texts(allowed),
        "temp_directory": "''",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
    }.items():
        connection.execute(f"SET {name} = {value}")
    return connection


def _view(connection: duckdb.DuckDBPyConnection, table: Table) -> str:
    """The files as one table of exactly its columns, whatever versions wrote them."""
    if not table.files:
        return f"SELECT {_columns(table.columns, ())} WHERE false"
    source = f"read_parquet({_texts(table.files)}, union_by_name = true, hive_partitioning = false)"
    there = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608  names of ours
    return f"SELECT {_columns(table.columns, [row[0] for row in there])} FROM {source}"  # noqa: S608  names of ours


def _columns(columns: dict[str, str], there: Sequence[str]) -> str:
    known = set(there)
    return ", ".join(f'"{name}"' if name in known else f'NULL::{kind} AS "{name}"' for name, kind in columns.items())


def _texts(values: Sequence[str]) -> str:
    quoted = ("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{', '.join(quoted)}]"


def _confine(request: Request) -> None:
    memory, seconds = request.memory + OVERHEAD, THREADS * request.seconds
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _fail(kind: str, message: str) -> NoReturn:
    sys.stderr.buffer.write(msgspec.json.encode(Failure(kind, message)))
    sys.stderr.flush()
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
