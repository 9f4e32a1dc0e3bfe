"""Observe one stream for ever: what is done about each error, and when it is tried again.

The backoff is the only memory. A failed disk is the one error that is not the cluster's and not survived.
"""

import asyncio

from batcher.errors import Absent, CorruptStream, Expired, Forbidden, Restored, Unauthorized, Unavailable
from batcher.watch.backoff import LONGEST_PAUSE, Backoff
from batcher.watch.feed import Cursor, Feed
from batcher.watch.identity import confirm
from batcher.watch.listing import list_all
from batcher.watch.stream import stream_once

REWATCHES = 3
"""Streams that may fail from the same cursor before it is given up for a list."""
ABSENT_PAUSE = 300.0
"""Seconds until a kind that a cluster does not have is looked for again: people install them by hand."""


async def observe(feed: Feed, cursor: Cursor, *, lists: asyncio.Semaphore) -> None:
    """List where ``cursor`` says so, then watch, for ever; resume only from what is on disk.

    Raises :class:`batcher.errors.Replaced` when another cluster answers, and
    :class:`batcher.errors.DataDirError`.
    """
    backoff = Backoff(feed.rng)
    while True:
        await feed.sink.durable()
        backoff.begin()
        asked = 0.0
        try:
            await list_then_watch(feed, cursor, lists=lists)
        except (Expired, CorruptStream, Restored, Unauthorized, Forbidden, Unavailable) as error:
            backoff.failed()
            absent = feed.may_be_absent and isinstance(error, Absent)
            feed.report.failed(error, absent=absent)
            if isinstance(error, (Expired, CorruptStream, Restored)) or backoff.failures % REWATCHES == 0:
                cursor.broken = True
            if isinstance(error, Restored):
                await feed.begin_anew()
                cursor.version = ""
            if isinstance(error, Unauthorized):
                await feed.connection.reload()
            asked = ABSENT_PAUSE if absent else _asked(error)
        else:
            backoff.ended()
        await backoff.wait(asked)


def _asked(error: Exception) -> float:
    """How long the server, or good sense, asks to be left alone."""
    if isinstance(error, Forbidden):
        return LONGEST_PAUSE  # a permission is granted by a person
    return error.retry_after or 0.0 if isinstance(error, Unavailable) else 0.0


async def list_then_watch(feed: Feed, cursor: Cursor, *, lists: asyncio.Semaphore) -> None:
    """One response further: a list if it must be, then one watch."""
    await confirm(feed, cursor)
    if cursor.must_list:
        async with lists:
            feed.report.listing()
            await list_all(feed, cursor)
    feed.report.connected()
    await stream_once(feed, cursor)
