"""What is measured, and how: CPU seconds, memory; medians with their spread, because machines are noisy.

The units are a closed list, because each says which way is better and what it depends on of the machine.
"""

import functools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, ParamSpec, TypeVar

import msgspec

from benchmarks.fleet import lines

P = ParamSpec("P")
R = TypeVar("R")


class Unit(NamedTuple):
    """What a figure is counted in, as those who compare two runs need to know it."""

    better: Literal["less", "more", "neither"]
    depends: Literal["cpu", "wall", "nothing"] = "nothing"
    """Which time of the machine it is made of: one that is slower, or has other things to do, is no other program."""
    grain: float = 0.0
    """Differences below it are the machine's, however large a part of a small figure they are."""


UNITS: Mapping[str, Unit] = {
    "µs CPU an event": Unit("less", "cpu", 0.1),
    "µs CPU a row": Unit("less", "cpu", 0.1),
    "µs CPU a write": Unit("less", "cpu"),
    "ms CPU a batch": Unit("less", "cpu"),
    "CPU seconds": Unit("less", "cpu", 0.05),
    "% of a core": Unit("less", "cpu", 0.2),
    "events a CPU second": Unit("more", "cpu"),
    "s": Unit("less", "wall", 0.05),
    "ms": Unit("less", "wall", 0.5),
    "µs wall a row": Unit("less", "wall"),
    "events a second": Unit("more", "wall"),
    "writes a second": Unit("more", "wall"),
    "times better": Unit("more"),
    "times as much": Unit("less"),
    "revisions a write": Unit("more"),
    "MiB": Unit("less"),
    "KiB": Unit("less"),
    "bytes an event": Unit("less"),
    "bytes a row": Unit("less"),
    "s by the timers": Unit("less"),
    "lost": Unit("less"),
    "revisions": Unit("neither"),
    "writes": Unit("neither"),
    "rows": Unit("neither"),
    "files": Unit("neither"),
    "watches": Unit("neither"),
}


class Reference(NamedTuple):
    """What decoding a line to dict costs, as simply as one can: what the machine is worth at the moment."""

    cpu: float
    """µs an event."""
    wall: float
    """µs an event."""


class Figure(NamedTuple):
    """One row of the table."""

    name: str
    unit: str
    """One of :data:`UNITS`."""
    median: float
    least: float
    most: float
    reference: Reference | None = None
    """As it was during the figure; without, whoever runs the benchmark measures it before and after."""


def shown(value: float) -> str:
    """Return three digits that count, or a whole number."""
    size = abs(value)
    return f"{value:,.2f}" if size < 10 else f"{value:,.1f}" if size < 100 else f"{value:,.0f}"


def figure(name: str, unit: str, values: Sequence[float], reference: Reference | None = None) -> Figure:
    """Return the median of ``values`` and their spread. KeyError for a unit of which nobody knows what is better."""
    if unit not in UNITS:
        raise KeyError(unit)
    return Figure(name, unit, statistics.median(values), min(values), max(values), reference)


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
    """Decode ``raw`` as simply as one can."""
    decoder = msgspec.json.Decoder()
    for line in raw:
        decoder.decode(line)


@functools.cache
def _usual() -> list[bytes]:
    return [line.raw for line in lines(10_000)]


def referred(runs: int = 3) -> Reference:
    """Return what the machine is worth now: the medians of ``runs`` over 10,000 lines."""
    raw = _usual()
    timed = [_timed(raw) for _ in range(runs)]
    return Reference(*(statistics.median(each) for each in zip(*timed, strict=True)))


def _timed(raw: list[bytes]) -> Reference:
    wall, cpu = time.perf_counter(), time.process_time()
    reference(raw)
    micros = 1e6 / len(raw)
    return Reference((time.process_time() - cpu) * micros, (time.perf_counter() - wall) * micros)


def between(*references: Reference) -> Reference:
    """Return the mean of ``references``."""
    return Reference(*(statistics.fmean(each) for each in zip(*references, strict=True)))
