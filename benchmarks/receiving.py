"""A watch of the simulated cluster into a spool on disk: what all benchmarks of receiving have in common."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from batcher import clock
from batcher.connect import connect
from batcher.spool import Stream
from batcher.spool.log import Log
from batcher.spool.position import START
from batcher.spool.writer import SpoolWriter
from batcher.watch import ClusterSpec, Fleet
from benchmarks.serving import CLUSTER

FIRST = "1"
"""The resourceVersion of an empty server: everything that it remembers is behind it."""


class Spooled:
    """How much is on disk."""

    def __init__(self, writer: SpoolWriter, log: Log) -> None:
        """Count what ``writer`` has written to ``log``."""
        self._writer = writer
        self._log = log
        self._at = START
        self._lines = 0

    @property
    def lines(self) -> int:
        """Return the lines that are on disk, and delete the segments before, as batches do that have read them."""
        cut = self._writer.cut(self._at, 2**40)
        self._at = cut.end
        self._lines += cut.lines
        self._log.retire(self._at)
        return self._lines

    async def until(self, lines: int) -> None:
        """Wait until so many lines are on disk."""
        while self.lines < lines:  # noqa: ASYNC110  another task's counter
            await asyncio.sleep(0.01)


@asynccontextmanager
async def receiving(kubeconfig: Path) -> AsyncIterator[Spooled]:
    """Watch from the oldest revision into a spool until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder), Path(folder))
        writer = SpoolWriter(log, log.recover(START), now=clock.now, max_bytes=2**40)
        spec = ClusterSpec(CLUSTER, connect(name=CLUSTER, kubeconfig=kubeconfig, context=CLUSTER))
        fleet = Fleet([spec], sink=writer, cursors=_FromTheFirst, now=clock.now, rng=random.Random(1))
        async with asyncio.TaskGroup() as outer:
            writing = outer.create_task(writer.run())
            async with asyncio.TaskGroup() as inner:
                watching = inner.create_task(fleet.run())
                yield Spooled(writer, log)
                watching.cancel()
            writing.cancel()  # after the watch, which would find a spool that takes nothing
        log.close()


class _FromTheFirst(dict[Stream, str]):
    """Every stream resumes from the first version, so that the whole history is watched and nothing listed."""

    def get(self, *_: object) -> str:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Return the first version."""
        return FIRST
