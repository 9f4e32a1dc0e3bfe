"""Commands called one after the other in one process that waits for them: no interpreter, no library is loaded again.

For commands that read or change files and end. What runs until it is told to (``run``, ``demo``, ``--watch``), and what
is about terminals, pipes and signals, has a process of its own (:mod:`tests.service.world`). ``test_called.py`` holds
the two ways against each other.
"""

import asyncio
import atexit
import functools
import io
import os
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from batcher.__main__ import main

ROOT = Path(__file__).parent.parent

Told = tuple[int, str, str]
"""Exit code, stdout and stderr."""


class Call(NamedTuple):
    """What is called, and where."""

    arguments: tuple[str, ...]
    folder: str
    environment: dict[str, str]


async def called(*arguments: str) -> Told:
    """Call ``batcher`` with ``arguments``, in the folder and the environment of the test."""
    return await asyncio.to_thread(_caller().told, Call(arguments, str(Path.cwd()), dict(os.environ)))


class _Caller:
    """The process, from the first call to the end of the tests."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.called"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._one_at_a_time = threading.Lock()

    def told(self, call: Call) -> Told:
        assert self._process.stdin
        assert self._process.stdout
        with self._one_at_a_time:
            self._process.stdin.write(msgspec.json.encode(call) + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, f"the process that is called died: {self._process.wait()}"
        told: Told = msgspec.json.decode(answer, type=Told)
        return told

    def end(self) -> None:
        """Let it go, which it does when nobody can call any more."""
        self._process.communicate()


@functools.cache
def _caller() -> _Caller:
    caller = _Caller()
    atexit.register(caller.end)
    return caller


def serve(calls: IO[bytes], answers: IO[bytes]) -> None:
    """Answer each of ``calls``, until there are no more."""
    for line in calls:
        call = msgspec.json.decode(line, type=Call)
        os.environ.clear()
        os.environ.update(call.environment)
        os.chdir(call.folder)
        sys.argv = ["batcher", *call.arguments]
        answers.write(msgspec.json.encode(_told()) + b"\n")
        answers.flush()


def _told() -> Told:
    out, err = _stream(), _stream()
    with redirect_stdout(out), redirect_stderr(err):
        code = _exit_code()
    return code, _written(out), _written(err)


def _exit_code() -> int:
    """Return what the shell would have of the end of ``main``: 0 is said by no code too."""
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _stream() -> io.TextIOWrapper:
    """What a pipe is to a command: bytes behind text, and no terminal."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n")


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode()


if __name__ == "__main__":
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whoever prints past sys.stdout disturbs no answer
    serve(sys.stdin.buffer, told)
