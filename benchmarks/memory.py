"""Memory while a million events pass through the watch into the spool.

Protects the decision to hold nothing of an event once it is on disk: what grows with the events that passed would
grow with the cluster. The receiver is a process of its own that imports nothing else, and its spool is retired as
batches would do it.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Figure, alone, figure, peak_bytes, resident_bytes
from benchmarks.receiving import receiving
from benchmarks.serving import Served, serving

RATE = 20_000
"""Events a second that the server makes: about what one process of it can make and send."""
SAMPLES = 200
MIB = 2**20


class Passed(NamedTuple):
    """What was seen while events passed."""

    samples: list[tuple[int, int]]
    """(lines on disk, resident bytes), evenly over the lines."""
    peak: int
    """The most resident bytes that ever were."""

    @property
    def settled(self) -> list[tuple[int, int]]:
        """Return the samples after the first fifth, in which buffers grow to their size."""
        return self.samples[len(self.samples) // 5 :]

    @property
    def growth(self) -> float:
        """Return the bytes that are kept of an event: the slope of the settled samples."""
        passed, resident = zip(*self.settled, strict=True)
        return statistics.linear_regression(passed, resident).slope


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the resident memory after the warm-up, its peak, and its growth."""
    count = 100_000 if quick else 1_000_000
    passed = alone(measure, count)
    yield figure(f"resident while {count:,} events are spooled", "MiB", [b / MIB for _, b in passed.settled])
    yield figure("its peak", "MiB", [passed.peak / MIB])
    yield figure("its growth after the first fifth", "bytes an event", [passed.growth])


def measure(count: int) -> Passed:
    """Let ``count`` events pass through this process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), Served(rate=RATE)) as kubeconfig,
    ):
        samples = asyncio.run(_sampled(kubeconfig, count))
    return Passed(samples, peak_bytes())


async def _sampled(kubeconfig: Path, count: int) -> list[tuple[int, int]]:
    samples = []
    async with receiving(kubeconfig) as spooled:
        for number in range(1, SAMPLES + 1):
            await spooled.until(number * count // SAMPLES)
            samples.append((spooled.lines, resident_bytes()))
    return samples
