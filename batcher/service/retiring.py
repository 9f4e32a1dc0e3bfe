"""Letting go of the spool as soon as possible, when a purge asks for it: its lines are of every workspace.

Only whole segments are retired, and only behind two snapshots. So the segment is closed, and when a batch has ended
in the next one, two batches write a snapshot each; the second answers what was asked. A crash begins again.
"""

from typing import NamedTuple

from batcher.batch import Batches, DataDirectory, requests
from batcher.batch.directory import SNAPSHOTS_KEPT
from batcher.batch.requests import Kind
from batcher.spool.log import Log


class Due(NamedTuple):
    """What the next batch does for it."""

    snapshot: bool = False
    answered: tuple[str, ...] = ()


class Retiring:
    """How far the retirement is that was asked for."""

    def __init__(self, directory: DataDirectory, spool: Log) -> None:
        """Nothing is asked for yet."""
        self._directory = directory
        self._spool = spool
        self._asked: tuple[str, ...] = ()
        self._segment = 0
        self._snapshots = 0

    def due(self, batches: Batches) -> Due:
        """Return what the next of ``batches`` has to do; call it once a batch."""
        if not self._asked:
            self._begin(tuple(requests.asked(self._directory, Kind.RETIRE)))
        if not self._asked or batches.last.end[0] < self._segment:
            return Due()
        self._snapshots += 1
        if self._snapshots < SNAPSHOTS_KEPT:
            return Due(snapshot=True)
        done, self._asked = self._asked, ()
        return Due(snapshot=True, answered=done)

    def _begin(self, asked: tuple[str, ...]) -> None:
        if asked:
            end = self._spool.end
            self._spool.close_segment()
            self._asked, self._segment, self._snapshots = asked, end.segment + bool(end.offset), 0
