"""What is measured, and how: CPU seconds, memory; medians with their spread, because machines are noisy."""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import msgspec

P = ParamSpec("P")
R = TypeVar("R")


class Figure(NamedTuple):
    """One row of the table."""

    name: str
    unit: str
    median: float
    least: float
    most: float

    def row(self) -> str:
        """Return the row in Markdown."""
        numbers = " | ".join(_shown(value) for value in (self.median, self.least, self.most))
        return f"| {self.name} | {numbers} | {self.unit} |"


def _shown(value: float) -> str:
    """Three digits that count, or a whole number."""
    size = abs(value)
    return f"{value:,.2f}" if size < 10 else f"{value:,.1f}" if size < 100 else f"{value:,.0f}"


def figure(name: str, unit: str, values: Sequence[float]) -> Figure:
    """Return the median of ``values`` and their spread."""
    return Figure(name, unit, statistics.median(values), min(values), max(values))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of ``work``, all threads of this process together."""
    began = time.process_time()
    work()
    return time.process_time() - began


def wall_seconds(work: Callable[[], object]) -> float:
    """Return the seconds that pass while ``work`` is done."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu_micros(name: str, events: int, work: Callable[[], object], runs: int) -> Figure:
    """Return the CPU microseconds an event of ``work``, after one run to warm up."""
    work()
    return figure(name, "µs CPU an event", [cpu_seconds(work) / events * 1e6 for _ in range(runs)])


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def peak_bytes() -> int:
    """Return the most memory of this process that ever was in RAM."""
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage tells of the parent's before exec, too
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def alone(work: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """Return what ``work`` returns in a fresh process, so that nobody else's memory is measured."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args, **options).result()


def reference(raw: list[bytes]) -> None:
    """Decode ``raw`` as simply as one can: what the machine is worth at the moment."""
    decoder = msgspec.json.Decoder()
    for line in raw:
        decoder.decode(line)
