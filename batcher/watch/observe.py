"""Observe one stream for ever: the only place that waits before it tries again.

The backoff grows with failures and starts over after two healthy minutes; nothing else here remembers
anything. A failed disk is the one error that is not the cluster's and not survived.
"""

import asyncio

from batcher.errors import CorruptStream, Expired, Forbidden, Unauthorized, Unavailable
from batcher.watch.status import Statuses
from batcher.watch.stream import Cursor, Feed, list_all, stream_once

FIRST_PAUSE, LONGEST_PAUSE = 0.8, 30.0
"""Client-go's reflector waits the same: 800 ms doubling to 30 s, with jitter."""
HEALTHY_SECONDS = 120.0
REWATCHES = 3
"""Streams that may fail from the same cursor before it is given up for a list."""


async def observe(feed: Feed, cursor: Cursor, *, statuses: Statuses, lists: asyncio.Semaphore) -> None:
    """List where ``cursor`` is empty, then watch, for ever; resume only from what is on disk."""
    failures = 0
    while True:
        await feed.sink.durable()
        began = asyncio.get_running_loop().time()
        try:
            await list_then_watch(feed, cursor, statuses=statuses, lists=lists)
        except (Expired, CorruptStream, Unauthorized, Forbidden, Unavailable) as error:
            healthy = asyncio.get_running_loop().time() - began > HEALTHY_SECONDS
            failures = 1 if healthy else failures + 1
            if isinstance(error, (Expired, CorruptStream)) or failures % REWATCHES == 0:
                cursor.version = ""
            restarts = statuses[feed.cluster].restarts + 1
            statuses.update(feed.cluster, phase="waiting", last_error=str(error), restarts=restarts)
            if isinstance(error, Unauthorized):
                await feed.connection.reload()
            await asyncio.sleep(_pause(feed, error, failures))
        else:
            failures = 0


def _pause(feed: Feed, error: Exception, failures: int) -> float:
    asked = error.retry_after if isinstance(error, Unavailable) and error.retry_after is not None else 0.0
    if isinstance(error, Forbidden):
        asked = LONGEST_PAUSE  # a permission is granted by a person
    most: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (failures - 1))
    return max(asked, feed.rng.uniform(most / 2, most))


async def list_then_watch(feed: Feed, cursor: Cursor, *, statuses: Statuses, lists: asyncio.Semaphore) -> None:
    """One response further: a list if there is no cursor, then one watch."""
    if not cursor.version:
        async with lists:
            statuses.update(feed.cluster, phase="listing", lists=statuses[feed.cluster].lists + 1)
            await list_all(feed, cursor)
    statuses.update(feed.cluster, phase="connected", last_error="")
    await stream_once(feed, cursor)
