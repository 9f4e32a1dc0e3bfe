"""A command called in this process, with what its caller is told: no interpreter and no library is loaded again.

For commands that read or change files and end. What runs until it is told to (``run``, ``demo``, ``--watch``), and what
is about terminals, pipes and signals, is started as a process (:mod:`tests.service.world`). ``test_called.py`` holds
the two ways against each other.
"""

import asyncio
import io
import sys
from contextlib import redirect_stderr, redirect_stdout

from batcher.__main__ import main

Told = tuple[int, str, str]
"""Exit code, stdout and stderr."""


async def called(*arguments: str) -> Told:
    """Call ``batcher`` with ``arguments``, in a thread: commands have loops of their own."""
    return await asyncio.to_thread(call, *arguments)


def call(*arguments: str) -> Told:
    """Call ``batcher`` with ``arguments``, where no loop runs; one at a time, as streams and arguments are global."""
    out, err = _stream(), _stream()
    before, sys.argv = sys.argv, ["batcher", *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = _exit_code()
    finally:
        sys.argv = before
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
