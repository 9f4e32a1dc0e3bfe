"""Work that the end of the service does not wait for."""

import asyncio
import subprocess
import sys
import threading

import pytest

from batcher.service.detached import detached, is_under_way, over


async def test_what_the_work_returns_or_raises_is_returned_or_raised() -> None:
    assert await detached(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        await detached(lambda: 1 // 0)


async def test_who_stops_waiting_leaves_the_work_to_itself() -> None:
    go_on, done = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait()
        done.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(detached(work), 0.05)
    assert is_under_way()
    go_on.set()
    await asyncio.wait_for(over(), 60)
    assert done.is_set()
    assert not is_under_way()


def test_a_loop_that_is_closed_and_an_end_of_the_process_do_not_wait_for_it() -> None:
    go_on = threading.Event()
    names = {thread.name for thread in threading.enumerate()}

    async def given_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(detached(go_on.wait), 0.05)

    asyncio.run(given_up())
    left = [thread for thread in threading.enumerate() if thread.name not in names]
    assert [thread.daemon for thread in left] == [True]
    go_on.set()
    for thread in left:
        thread.join(60)
        assert not thread.is_alive()


STUCK = """
import asyncio, threading
from batcher.service.detached import detached, leave, over

async def main():
    try:
        await asyncio.wait_for(detached(threading.Event().wait), 0.05)
    except TimeoutError:
        print("given up")
    else:
        await over()

asyncio.run(main())
leave()
print("went on")
"""


def test_a_process_leaves_with_0_at_once_while_work_is_under_way_and_goes_on_if_none_is() -> None:
    for source, said in ((STUCK, "given up\n"), (STUCK.replace(".wait)", ".clear)"), "went on\n")):
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
