"""A command of our own in a process beside the service: for what has an hour, and must not take the service's memory.

One thread is enough for it, and leaves the others to batches. Whoever is cancelled meanwhile ends it.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence


async def ran(arguments: Sequence[str], secrets: Mapping[str, str] | None = None) -> tuple[int, bytes, str]:
    """Run ``batcher`` with ``arguments``, and ``secrets`` in its environment; return exit code, output and errors.

    Raises ``OSError`` if there can be no process.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "batcher", *arguments,
        stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=os.environ | (secrets or {}) | {"POLARS_MAX_THREADS": "1"},
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()  # to the end of its pipes: what is open when the loop closes complains
    assert process.returncode is not None  # noqa: S101  its pipes are at their end because it is at its own
    return process.returncode, out, err.decode("utf-8", "replace")
