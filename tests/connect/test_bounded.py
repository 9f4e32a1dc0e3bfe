"""Answers that are read whole: what fits is the same, and what does not is an error before it fills the memory."""

import gzip

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batcher.connect import Access, Connection
from batcher.connect.bounded import LARGEST
from batcher.errors import Unavailable

TIMEOUT = aiohttp.ClientTimeout(total=30)
BOMB = gzip.compress(bytes(2 * LARGEST))


async def bomb(_: web.Request) -> web.Response:
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})


async def large(_: web.Request) -> web.Response:
    return web.Response(body=bytes(LARGEST))


async def larger(_: web.Request) -> web.Response:
    return web.Response(body=bytes(LARGEST + 1))


async def read(path: str) -> tuple[int, int]:
    """How large an answer is, and how large when it is read again."""
    application = web.Application()
    application.add_routes([web.get("/bomb", bomb), web.get("/large", large), web.get("/larger", larger)])
    async with TestServer(application) as server:
        connection = Connection("us-west1", Access(str(server.make_url("/"))))
        try:
            async with connection.request("GET", path, timeout=TIMEOUT) as response:
                return len(await response.read()), len(await response.read())
        finally:
            await connection.close()


async def test_the_largest_answer_is_read_whole_and_only_once() -> None:
    assert await read("/large") == (LARGEST, LARGEST)


@pytest.mark.parametrize("path", ["/larger", "/bomb"])
async def test_an_answer_that_is_too_large_packed_or_unpacked_is_none(path: str) -> None:
    assert len(BOMB) < LARGEST // 100
    with pytest.raises(Unavailable, match=r"^us-west1: ClientPayloadError: an answer of more than 33554432 bytes$"):
        await read(path)
