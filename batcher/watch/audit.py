"""A second look: list now and then what the watch should have delivered, and spool what it did not.

API servers have lost watch events, and nothing in the stream shows it. Only what no batch has counted is
spooled; what is merely late is waited for first, so that what an audit recovers is worth an alert.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from batcher.errors import BatcherError, DataDirError
from batcher.spool import Stream
from batcher.watch.feed import Feed
from batcher.watch.listing import pages, spool_items

LATE_SECONDS = 10.0
"""How long an event that a list shows may be on its way through the watch."""
SUSPECTS_MOST = 10_000
"""Looked at in one audit, about 12 MB; what is missing beyond them is found by the next."""
TRIES = 10
"""An audit that fails is tried again after this part of the time between two."""


class Seen(Protocol):
    """What was counted so far."""

    async def missing(self, stream: Stream, items: Sequence[bytes]) -> list[bytes]:
        """Return those bare objects of ``items`` whose revision no batch has counted, and that can be."""
        ...

    async def settled(self) -> None:
        """Return when a batch has run over everything that is on disk now."""
        ...


async def audit(feed: Feed, seen: Seen, *, every: float, lists: asyncio.Semaphore) -> None:
    """Audit ``feed`` for ever, about each ``every`` seconds, the first time at a moment of its own."""
    wait = feed.rng.uniform(0.5, 1.0) * every
    while True:
        await asyncio.sleep(wait)
        wait = feed.rng.uniform(0.9, 1.0) * every
        try:
            feed.report.recovered(await audit_once(feed, seen, lists=lists))
        except DataDirError:
            raise
        except BatcherError:  # the watch has the same trouble, and tells of it
            wait /= TRIES


async def audit_once(feed: Feed, seen: Seen, *, lists: asyncio.Semaphore) -> int:
    """Spool what the cluster has and no batch has counted; return how many objects that were."""
    suspects: list[bytes] = []
    async with lists:
        async for page in pages(feed):
            suspects += await seen.missing(feed.stream, page.items)
            if len(suspects) >= SUSPECTS_MOST:
                break
    if not suspects:
        return 0
    await asyncio.sleep(LATE_SECONDS)
    await feed.sink.durable()
    await seen.settled()
    found = await seen.missing(feed.stream, suspects)
    await spool_items(feed, found)
    return len(found)
