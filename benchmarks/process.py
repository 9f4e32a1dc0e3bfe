"""``batcher run`` as a process of its own, and what the kernel says of it: CPU, memory, bytes written.

Nothing is measured inside: whatever the process and the processes that it starts do is counted, its start apart.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.answering import KUBECONFIG, NAMES, WORKSPACES

ENVIRONMENT = {
    "POLARS_MAX_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:200,muzzy_decay_ms:0,narenas:1",
}
"""As the image has it."""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS = 0.05
PATIENCE = 900.0
POLL_SECONDS = 0.02


class Spent(NamedTuple):
    """What a process and those it started have used since they began."""

    cpu: float
    """Seconds of all threads, user and system."""
    written: int
    """Bytes that went to the disk, or will."""


class Service:
    """A running ``batcher run``, seen from outside."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path, began: float) -> None:
        """Watch ``process``, whose log goes to ``said``."""
        self._process = process
        self._said = said
        self._read = 0
        self._highest = 0
        self._over = threading.Event()
        self.began = began
        self.pid = process.pid
        self.totals: dict[str, int] = {}
        """The sums of all batches, by name."""
        self.resident: list[tuple[float, int]] = []
        """(when, bytes in RAM) every 50 ms, of all its processes."""
        self._sampler = threading.Thread(target=self._sample)
        self._sampler.start()

    @property
    def spent(self) -> Spent:
        """Return what it has used so far; also after its end, until :meth:`end` has returned."""
        return Spent(sum(_cpu(pid) for pid in family(self.pid)), _written(self.pid))

    @property
    def peak(self) -> int:
        """Return the most bytes that were in RAM at once: as the kernel has it of the process, or of all as sampled."""
        return max(self._highest, *(resident for _, resident in self.resident))

    def look(self) -> dict[str, int]:
        """Read what it has logged since the last look, and return :attr:`totals`. RuntimeError once it has ended."""
        with self._said.open("rb") as file:
            file.seek(self._read)
            for line in file.read().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._add(json.loads(line))
        if self._process.poll() is not None:
            raise RuntimeError(self._said.read_text(encoding="utf-8"))
        return self.totals

    def _add(self, said: dict[str, Any]) -> None:
        if said.get("event") == "batch":
            for name, number in said.items():
                if isinstance(number, int):
                    self.totals[name] = self.totals.get(name, 0) + number

    def until(self, revisions: int) -> None:
        """Wait until so many revisions are committed."""
        end = time.monotonic() + PATIENCE
        while self.look().get("revisions", 0) < revisions:
            if time.monotonic() > end:
                message = f"{self.totals} after {PATIENCE:.0f} s"
                raise TimeoutError(message)
            self._over.wait(POLL_SECONDS)

    def end(self) -> Spent:
        """Tell it to end, which commits and delivers; return what it has used in all. RuntimeError if it failed."""
        self._process.send_signal(signal.SIGTERM)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # still to be asked, since nobody has waited for it
        spent = self.spent
        if self._process.wait():
            raise RuntimeError(self._said.read_text(encoding="utf-8"))
        return spent

    def close(self) -> None:
        """End what still runs, and stop looking."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._over.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            resident = sum(_resident(pid) for pid in family(self.pid))
            if resident:
                self.resident.append((time.monotonic(), resident))
                self._highest = _highest(self.pid) or self._highest


def configured(folder: Path, **changes: Any) -> Path:
    """Write a configuration of all clusters and workspaces, with top-level ``changes``; return its path."""
    kubeconfig = str(folder / KUBECONFIG)
    rules = [{"namespace": path.partition(":")[2], "workspace": path} for path in WORKSPACES]
    document = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "dataDir": str(folder / "data"),
        "clusters": [{"name": name, "kubeconfig": kubeconfig, "context": name} for name in NAMES],
        "kcp": {"kubeconfig": kubeconfig, "context": WORKSPACES[0], "workspaces": [{"path": "root:*"}]},
        "mapping": {"rules": rules},
        "archive": {"path": str(folder / "archive")},
        "log": {"format": "json"},
    }
    config = folder / "batcher.yaml"
    config.write_text(yaml.safe_dump(document | changes), encoding="utf-8")
    return config


@contextmanager
def service(config: Path) -> Iterator[Service]:
    """Run ``batcher run`` as long as the block runs, or until :meth:`Service.end`."""
    said = config.with_name("log")
    with said.open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603  our own
            [sys.executable, "-m", "batcher", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=log,
            env=os.environ | ENVIRONMENT,
        )
    running = Service(process, said, began)
    try:
        yield running
    finally:
        running.close()


def family(pid: int) -> list[int]:
    """Return ``pid`` and those that it started and still run, with theirs."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, task.read_text(encoding="ascii").split())
            except OSError:  # has ended since
                continue
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:  # has ended since
        return []


def _cpu(pid: int) -> float:
    """Seconds of a process, and of those it started and waited for."""
    return sum(map(int, _stat(pid)[11:15])) / TICKS


def _resident(pid: int) -> int:
    stat = _stat(pid)
    return int(stat[21]) * PAGE if stat else 0


def _highest(pid: int) -> int:
    """The most bytes that a process had in RAM; 0 of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    said = status.partition("VmHWM:")[2].split()
    return int(said[0]) * 1024 if said else 0


def _written(pid: int) -> int:
    said = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    return int(said.partition("\nwrite_bytes: ")[2].split()[0])
