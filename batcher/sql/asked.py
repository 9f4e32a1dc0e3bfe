"""A question in SQL, asked of the archive and of what is staged for it; the answer comes in pieces.

Starts the child, gives it time as long as it is waited for, and ends it in any case. What it could not answer becomes
an error of one line with what to do.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa

from batcher.archive.deliver import COLUMNS
from batcher.archive.read import files, settled
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.clock import monotonic
from batcher.errors import ArchiveError, BatcherError, UsageError
from batcher.settings import format_size
from batcher.sql.request import REFUSED, Failure, Request, Table
from batcher.store import Root, Store
from batcher.text import cut, safe

TABLES = tuple(COLUMNS)
"""What can be asked for."""

_TYPES: Mapping[Any, str] = {
    pl.Int64: "BIGINT", pl.UInt64: "UBIGINT", pl.Float64: "DOUBLE", pl.Boolean: "BOOLEAN", pl.String: "VARCHAR",
    pl.Binary: "BLOB",
}  # fmt: skip
_GLOBS = set("*?[")
_PASSED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Without these some interpreters do not start."""
_LONGEST = 400
_TIMES = {"InterruptException"}
_MEMORY = {"OutOfMemoryException", "MemoryError"}


class Bounds(NamedTuple):
    """What a question may take."""

    seconds: float = 30.0
    memory: int = 1 << 30
    """Bytes."""


class _Stopped(BatcherError):  # noqa: N818  named by what became of it
    """It took too much."""


@dataclass
class Answer:
    """Columns, and rows that come while one reads. Ends what is left of the child when it is closed."""

    schema: pa.Schema
    _batches: Iterator[pa.RecordBatch]
    _first: list[pa.RecordBatch] = field(default_factory=list)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, once."""
        yield from self._first
        yield from self._batches


class Head:
    """The first rows of an answer, and whether there were others behind them."""

    def __init__(self, answer: Answer, limit: int) -> None:
        """Take at most ``limit`` rows, 0: all."""
        self._answer = answer
        self._limit = limit
        self.has_more = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, once."""
        left = self._limit
        for batch in self._answer.batches():
            self.has_more = bool(self._limit) and len(batch) > left
            yield batch.slice(0, left) if self._limit else batch
            left -= len(batch)


@contextlib.contextmanager
def asked(directory: DataDirectory, sql: str, *, bounds: Bounds, limit: int | None = None) -> Iterator[Answer]:
    """Ask ``sql`` and have the answer, of at most ``limit`` rows, until the block ends.

    Raises :class:`UsageError` for SQL that is wrong or refused, :class:`BatcherError` for what took too much, and
    :class:`ArchiveError`; while one reads too.
    """
    if any("\ud800" <= char <= "\udfff" for char in sql):
        message = "sql: the statement is not UTF-8"
        raise UsageError(message)
    with contextlib.ExitStack() as stack:

        def begin() -> Answer:
            request = Request(sql, _tables(directory), bounds.memory, int(bounds.seconds) + 1, limit)
            child = stack.enter_context(_running(request))
            return _opened(child, bounds)

        yield settled(begin)


def _tables(directory: DataDirectory) -> dict[str, Table]:
    if isinstance(directory.archive, Store):
        message = (
            f"sql: the archive is in a store ({directory.archive}), and DuckDB is kept from the network; "
            "ask a copy: batcher archive export, or batcher events"
        )
        raise UsageError(message)
    staged = staged_paths(directory)
    return {name: _table(directory, name, files(directory.archive, name, staged[name])) for name in TABLES}


def _table(directory: DataDirectory, name: str, paths: Sequence[Root]) -> Table:
    there = [str(path) for path in paths]
    if _GLOBS & set("".join({os.path.dirname(path) for path in there})):  # noqa: PTH120  many texts
        message = (
            f"{directory.archive}: its path has one of {' '.join(sorted(_GLOBS))}, which DuckDB takes for a pattern"
        )
        raise ArchiveError(message)
    return Table(there, {column: _TYPES.get(kind, "TIMESTAMPTZ") for column, kind in COLUMNS[name].items()})


@contextlib.contextmanager
def _running(request: Request) -> Iterator["subprocess.Popen[bytes]"]:
    # What the child may import is what we may; it has nothing else of the environment: tokens are in there.
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-P", "-m", "batcher.sql.child"]
    with subprocess.Popen(  # noqa: S603  ours
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as child:
        try:
            with contextlib.suppress(BrokenPipeError):
                _end(child.stdin).write(msgspec.json.encode(request))
                _end(child.stdin).close()
            yield child
        finally:
            child.kill()


def _end(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        message = "a pipe that was asked for"
        raise AssertionError(message)
    return pipe


def _opened(child: "subprocess.Popen[bytes]", bounds: Bounds) -> Answer:
    """The answer with its first rows read: by then every file was found."""
    watch = _Watch(child, bounds.seconds)
    with _told(child, watch, bounds), watch:
        reader = pa.ipc.open_stream(_end(child.stdout))
    batches = _read(reader, child, watch, bounds)
    return Answer(reader.schema, batches, [first for first in (next(batches, None),) if first is not None])


def _read(
    reader: pa.RecordBatchReader, child: "subprocess.Popen[bytes]", watch: "_Watch", bounds: Bounds
) -> Iterator[pa.RecordBatch]:
    while True:
        with _told(child, watch, bounds), watch:
            batch = next(reader, None)
        if batch is None:
            break
        yield batch
    with _told(child, watch, bounds), watch:
        if child.wait():
            raise pa.ArrowInvalid


class _Watch:
    """Kills the child when it was waited for too long; how long the rows are looked at does not count."""

    def __init__(self, child: "subprocess.Popen[bytes]", seconds: float) -> None:
        self._child = child
        self._left = seconds
        self._began = 0.0
        self._timer = threading.Timer(0, child.kill)
        self.is_over = False

    def __enter__(self) -> None:
        self._began = monotonic()
        self._timer = threading.Timer(self._left, self._stop)
        self._timer.start()

    def _stop(self) -> None:
        self.is_over = True
        self._child.kill()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._left = max(0.0, self._left - (monotonic() - self._began))


@contextlib.contextmanager
def _told(child: "subprocess.Popen[bytes]", watch: _Watch, bounds: Bounds) -> Iterator[None]:
    """Let an answer that breaks off be the error that the child tells, or died of."""
    try:
        yield
    except (pa.ArrowInvalid, OSError, EOFError):
        code = child.wait()
        said = _end(child.stderr).read()
        raise _error(code, said, is_over=watch.is_over, bounds=bounds) from None


def _error(code: int, said: bytes, *, is_over: bool, bounds: Bounds) -> Exception:
    failure = msgspec.json.decode(said, type=Failure) if code == REFUSED else Failure("", "")
    if is_over or failure.kind in _TIMES:
        return _Stopped(f"sql: stopped after {bounds.seconds:g} s; ask for less (received_at > ...), or give --timeout")
    if code < 0 or failure.kind in _MEMORY or "bad_alloc" in failure.message:
        most = format_size(bounds.memory)
        return _Stopped(f"sql: stopped: it needs more than {most} of memory; ask for less, or give --memory")
    if failure.kind == "IOException":
        return FileNotFoundError(failure.message)
    if code == REFUSED:
        return UsageError(f"sql: {_line(failure)}")
    return ArchiveError(f"sql: the process ended with {code}: {safe(said.decode('utf-8', 'replace'))[-_LONGEST:]}")


def _line(failure: Failure) -> str:
    """One line of what DuckDB says, which shows the statement below it, and what to do."""
    said = failure.message.split("\n\nLINE ")[0]
    return f"{cut(safe(said).rstrip('.!; '), _LONGEST)}{_hint(failure)}"


def _hint(failure: Failure) -> str:
    if failure.kind == "CatalogException" and failure.message.startswith("Catalog Error: Table "):
        return f"; there are: {', '.join(TABLES)}"
    if failure.kind == "PermissionException":
        return f"; only the tables can be read: {', '.join(TABLES)}"
    if failure.kind == "BinderException":
        return '; see: batcher sql "DESCRIBE occurrences"'
    return '; see: batcher sql "SHOW TABLES"' if failure.kind == "ParserException" else ""
