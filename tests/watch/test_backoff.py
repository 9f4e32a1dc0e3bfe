import asyncio
import random

from batcher.watch.backoff import Backoff
from tests.virtual_time import in_virtual_time


class Tried:
    """Something that is tried again and again, and how long it had to wait."""

    def __init__(self) -> None:
        self.backoff = Backoff(random.Random(1))  # noqa: S311

    async def fails_after(self, seconds: float, at_least: float = 0.0) -> float:
        self.backoff.begin()
        await asyncio.sleep(seconds)
        self.backoff.failed()
        return await self._waited(at_least)

    async def ends_after(self, seconds: float) -> float:
        self.backoff.begin()
        await asyncio.sleep(seconds)
        self.backoff.ended()
        return await self._waited(0.0)

    async def _waited(self, at_least: float) -> float:
        before = asyncio.get_running_loop().time()
        await self.backoff.wait(at_least)
        return asyncio.get_running_loop().time() - before


@in_virtual_time
async def test_the_wait_doubles_with_jitter_from_0_8_to_30_seconds() -> None:
    tried = Tried()
    waits = [await tried.fails_after(1) for _ in range(12)]
    most = [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, *[30.0] * 6]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, most, strict=True))
    assert len(set(waits)) == len(waits)


@in_virtual_time
async def test_two_healthy_minutes_start_it_over() -> None:
    tried = Tried()
    for _ in range(8):
        await tried.fails_after(1)
    assert await tried.fails_after(119) > 10
    assert await tried.fails_after(121) <= 0.8


@in_virtual_time
async def test_what_lasts_and_ends_well_is_tried_again_at_once() -> None:
    tried = Tried()
    await tried.fails_after(1)
    assert await tried.ends_after(11) == 0


@in_virtual_time
async def test_what_ends_well_within_seconds_again_and_again_is_slowed_down() -> None:
    tried = Tried()
    assert sum([await tried.ends_after(1.5) for _ in range(10)]) > 60


@in_virtual_time
async def test_what_the_server_asks_for_is_waited_if_it_is_longer() -> None:
    tried = Tried()
    assert await tried.fails_after(1, at_least=90) == 90
    assert await tried.fails_after(1, at_least=0.1) >= 0.8
