"""Which SQL may be run: one statement that only reads, of tables and of functions that make rows of their arguments.

The second of two walls. The first is DuckDB's own lock, which lets no statement reach a file but those of the tables;
this one leaves out what the lock does not know: writing over such a file, functions that take addresses in memory, and
functions that run SQL of their own. What is not known is refused. Nothing here runs what it reads.
"""

from collections.abc import Iterator
from typing import Any

import duckdb
import msgspec

_READS = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_SOURCES = {
    "BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EMPTY", "EMPTY_FROM", "EXPRESSION_LIST", "SHOW_REF", "CTE",
}  # fmt: skip
_FUNCTIONS = {"range", "generate_series", "unnest", "json_each", "json_tree"}
_ONLY = "only one statement that reads: SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES"


class Refused(Exception):  # noqa: N818  named by what became of it
    """The statement is not run; the message says what may be."""


def check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise :class:`Refused` unless ``sql`` may be run, or DuckDB's error if it is no SQL."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        message = f"{len(statements)} statements; {_ONLY}"
        raise Refused(message)
    kind = _kind(statements[0])
    if kind != duckdb.StatementType.SELECT.name:
        message = f"{kind} is refused; {_ONLY}; results go to a file with --to FILE.parquet"
        raise Refused(message)
    tree = _tree(connection, statements[0].query)
    for node in _nodes(tree):
        _check_node(node)


def _kind(statement: duckdb.Statement) -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # of a kind that the Python module has no name for
        return "this"


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    (serialized,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0]
    tree = msgspec.json.decode(serialized)
    if tree["error"]:
        message = f"it cannot be checked ({tree['error_message']}); {_ONLY}"
        raise Refused(message)
    return [statement["node"] for statement in tree["statements"]]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the tree, without recursion: nesting is the user's."""
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _check_node(node: dict[str, Any]) -> None:
    kind = node.get("type")
    if not isinstance(kind, str):
        return
    if kind.endswith("_NODE") and kind not in _READS:
        message = f"{kind.removesuffix('_NODE').removesuffix('_QUERY')} is refused; {_ONLY}"
        raise Refused(message)
    if "sample" in node and kind not in _SOURCES and "select_list" not in node:
        message = f"{kind} is refused as a source of rows"
        raise Refused(message)
    if kind == "TABLE_FUNCTION":
        _check_function(node["function"])


def _check_function(function: dict[str, Any]) -> None:
    name = str(function.get("function_name", "")).lower()
    if name not in _FUNCTIONS:
        message = f"{name}() is refused as a source of rows; there are the tables, and {', '.join(sorted(_FUNCTIONS))}"
        raise Refused(message)
