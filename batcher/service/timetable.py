"""When the service's work is due: each kind every so often, and what comes seldom soon after a start as well.

Without the latter, a service that starts again more often than every hour would never do what is due hourly. Nothing
is done here: who does the work waits for its event.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from batcher import clock

SOON = timedelta(minutes=5)
"""After a start: catching up comes first."""


class Timetable:
    """Sets events when they are due."""

    def __init__(self) -> None:
        """Nothing is due yet."""
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._every: dict[asyncio.Event, timedelta] = {}

    def start(self, every: Mapping[asyncio.Event, timedelta], first: Mapping[asyncio.Event, timedelta]) -> None:
        """Set each event of ``every`` so often from now on; one of ``first`` for the first time after so long."""
        always = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        for event, wait in every.items():
            at = clock.now() + first.get(event, wait)
            seconds = wait.total_seconds()
            self._scheduler.add_job(
                _set, "interval", args=[event], seconds=seconds, id=_name(event), next_run_time=at, **always
            )
        self._every = dict(every)
        self._scheduler.start()

    def follow(self, every: Mapping[asyncio.Event, timedelta]) -> None:
        """Go on with the times of ``every``; what has not changed is due when it was."""
        for event, wait in every.items():
            if wait != self._every[event]:
                self._scheduler.reschedule_job(_name(event), trigger="interval", seconds=wait.total_seconds())
        self._every = dict(every)

    def due_at(self, event: asyncio.Event) -> datetime:
        """Return when ``event`` is set next."""
        at: datetime = self._scheduler.get_job(_name(event)).next_run_time
        return at

    async def end(self) -> None:
        """Set no event any more."""
        self._scheduler.pause()
        await asyncio.sleep(0)  # what is just due is done: one that is cancelled would be logged as an error
        self._scheduler.shutdown(wait=False)


def _name(event: asyncio.Event) -> str:
    return str(id(event))


async def _set(due: asyncio.Event) -> None:
    """A coroutine, so that it runs in the loop and not in a thread, from where no event may be set."""
    due.set()
