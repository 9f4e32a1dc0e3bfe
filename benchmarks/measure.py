"""CPU seconds of a piece of work: median of several runs, with the spread, because machines are noisy."""

import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Figure(NamedTuple):
    """One row of the table."""

    name: str
    unit: str
    median: float
    least: float
    most: float

    def row(self) -> str:
        """Return the row in Markdown."""
        return f"| {self.name} | {self.median:,.1f} | {self.least:,.1f} | {self.most:,.1f} | {self.unit} |"


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def cpu_micros(name: str, events: int, work: Callable[[], object], runs: int) -> Figure:
    """Return the CPU microseconds an event of ``work``, all threads together, after one run to warm up."""
    work()
    taken = []
    for _ in range(runs):
        began = time.process_time()
        work()
        taken.append((time.process_time() - began) / events * 1e6)
    return Figure(name, "µs CPU an event", statistics.median(taken), min(taken), max(taken))
