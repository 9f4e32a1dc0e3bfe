"""What a run has measured, as a file: figures, the machine and the versions they are of. It measures nothing."""

import importlib.metadata
import os
import platform
from pathlib import Path

import msgspec

from benchmarks.measure import Figure

LIBRARIES = ("polars", "pyarrow", "deltalake", "msgspec", "aiohttp", "kubernetes")
_KIB_A_GIB = 2**20


class Measured(msgspec.Struct, frozen=True):
    """A figure, of which benchmark it is, and the reference beside it."""

    benchmark: str
    name: str
    unit: str
    median: float
    least: float
    most: float
    reference: tuple[float, float]
    """µs CPU and wall an event (:class:`benchmarks.measure.Reference`)."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is called in every run."""
        return self.benchmark, self.name, self.unit


class Machine(msgspec.Struct, frozen=True):
    """Where a run was made."""

    cpu: str
    cores: int
    memory_gib: int


class Results(msgspec.Struct, frozen=True):
    """All figures of a run, or of several on one machine with the same versions."""

    machine: Machine
    versions: dict[str, str]
    figures: list[Measured] = []

    def by_key(self) -> dict[tuple[str, str, str], Measured]:
        """Return the figures by what they are called. ValueError if two are called the same."""
        found = {each.key: each for each in self.figures}
        if len(found) != len(self.figures):
            raise ValueError(sorted(each.key for each in self.figures if found[each.key] is not each))
        return found

    def replaced(self, figures: list[Measured]) -> "Results":
        """Return these with ``figures`` in place of all that their benchmarks had."""
        of = {each.benchmark for each in figures}
        kept = [each for each in self.figures if each.benchmark not in of]
        return msgspec.structs.replace(self, figures=kept + figures)


def measured(benchmark: str, figure: Figure) -> Measured:
    """Return ``figure`` with its benchmark's name. ValueError without a reference."""
    if figure.reference is None:
        raise ValueError(figure.name)
    cpu, wall = figure.reference
    return Measured(benchmark, figure.name, figure.unit, figure.median, figure.least, figure.most, (cpu, wall))


def here() -> Results:
    """Return no figures, of this machine and the installed versions."""
    versions = {"python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in LIBRARIES}
    return Results(Machine(_cpu(), os.cpu_count() or 1, _memory()), versions)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> int:
    total = Path("/proc/meminfo").read_text(encoding="ascii").partition("MemTotal:")[2]
    return round(int(total.split()[0]) / _KIB_A_GIB)


def read(path: Path) -> Results:
    """Return the results in ``path``. ValueError if that is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except msgspec.DecodeError as error:
        message = f"{path}: {error}"
        raise ValueError(message) from error


def write(path: Path, results: Results) -> None:
    """Write ``results``, a figure a line, so that what changes is seen in a diff."""
    head = msgspec.json.encode(msgspec.structs.replace(results, figures=[]))
    lines = b",\n".join(msgspec.json.encode(_rounded(each)) for each in results.figures)
    path.write_bytes(head.removesuffix(b"]}") + b"\n" + lines + b"\n]}\n")


def _rounded(figure: Measured) -> Measured:
    """Six digits say more than any machine repeats."""
    cpu, wall = figure.reference
    return msgspec.structs.replace(
        figure,
        median=_digits(figure.median), least=_digits(figure.least), most=_digits(figure.most),
        reference=(_digits(cpu), _digits(wall)),
    )  # fmt: skip


def _digits(value: float) -> float:
    return float(f"{value:.6g}")
