from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest

from batcher.sandbox import Sandbox
from batcher.sandbox.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 23, 16, 40, 44, tzinfo=UTC))


@pytest.fixture
async def sandbox(clock: ManualClock) -> AsyncIterator[Sandbox]:
    workspaces = {"root:team-a": (), "root:shop": ("web",)}
    async with Sandbox(["us-west1", "eu-central1"], workspaces, now=clock) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {sandbox.token}", "User-Agent": "Python/3"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session
