"""Work in a thread that the end of the process need not wait for.

A store that takes connections and does not answer holds a delivery for minutes, and asyncio's own threads are waited
for. Who ends waits with :func:`over` for as long as it has; what is still under way then is cut off as by a kill, so
only what a kill may cut off belongs here.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.01


class _Detached(threading.Thread):
    """Not waited for by the interpreter."""

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__(target=run, daemon=True)


async def detached(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, or raise what it raises; who is cancelled meanwhile leaves it to itself."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]  # None only where T has it

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001  raised where it is waited for
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, result, error)

    _Detached(run).start()
    return await outcome


def is_under_way() -> bool:
    """Whether any such work still runs, waited for or not."""
    return any(isinstance(thread, _Detached) for thread in threading.enumerate())


async def over() -> None:
    """Return when no such work runs any more."""
    while is_under_way():  # noqa: ASYNC110  a thread tells its end to nobody
        await asyncio.sleep(_LOOK_SECONDS)


def leave() -> None:
    """End the process now, as done, if such work still runs: a library must not wake in half an interpreter."""
    if is_under_way():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
