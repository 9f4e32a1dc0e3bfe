"""What is sent to the child, and what it says when it fails. Both ends read this, and neither needs more."""

import msgspec

REFUSED = 3
"""The exit code of a child that says why on its standard error, as JSON of a :class:`Failure`."""


class Table(msgspec.Struct, frozen=True):
    """A table: its files, and its columns with DuckDB's types; what a file lacks is null."""

    files: list[str]
    columns: dict[str, str]


class Request(msgspec.Struct, frozen=True):
    """A question, and what it may take."""

    sql: str
    tables: dict[str, Table]
    memory: int
    """Bytes that DuckDB may hold; the process may have :data:`batcher.sql.child.OVERHEAD` more."""
    seconds: int
    """Of wall time; twice as many of a core are never used up."""
    limit: int | None = None
    """Rows of the answer, at most."""


class Failure(msgspec.Struct, frozen=True):
    """Why there is no answer: the name of DuckDB's exception, or ``Refused``, and its text."""

    kind: str
    message: str
