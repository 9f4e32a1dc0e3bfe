"""Who is not read while the quarantine is full: the clusters whose lines fill it, and no others.

Reading them on would fill the disk, and dropping what cannot be counted would be silent. What they have stays with
their API servers; if that is for longer than they keep their Events, a row in ``gaps`` says so.
"""

import structlog

from batcher.batch.full import Fullness
from batcher.errors import Unavailable
from batcher.settings import format_size
from batcher.spool import Section
from batcher.watch import Sink

RETRY_SECONDS = 30.0

log = structlog.get_logger("batcher")


class Holding:
    """A sink that takes no line of those who are held."""

    def __init__(self, sink: Sink) -> None:
        """Pass everything on to ``sink``."""
        self._sink = sink
        self._held: dict[str, str] = {}
        self.bytes = 0
        """Of the quarantine, when it was looked at last."""
        self.trouble = ""
        """Why some are held; empty if nobody is."""

    async def append(self, section: Section) -> None:
        """Accept ``section``, unless it has lines of a cluster that is held: then raise :class:`Unavailable`.

        Where a stream is to go on, and that it was in reach, is no line.
        """
        if section.lines and section.stream.cluster_uid in self._held:
            raise Unavailable(self.trouble, retry_after=RETRY_SECONDS)
        await self._sink.append(section)

    async def durable(self) -> None:
        """Return when everything appended before is on disk."""
        await self._sink.durable()

    def apply(self, found: Fullness, max_bytes: int) -> None:
        """Hold those whom ``found`` names from now on, and say so if that is new."""
        if found.released:
            log.warning("quarantine let bytes go that nobody will ask for", released=found.released, left=found.bytes)
        names = sorted(set(found.held.values()))
        self.trouble = ""
        if found.held:
            said = f"{format_size(found.bytes)} of {format_size(max_bytes)} (quarantine.maxBytes)"
            self.trouble = f"quarantine is full, {said}; not read: {', '.join(names)}; see: batcher failed list"
        if found.held.keys() != self._held.keys():
            log.warning("quarantine: clusters that are not read any more", clusters=names, bytes=found.bytes)
        self._held, self.bytes = found.held, found.bytes
