"""From nothing to the first watch, and to the help.

Protects two decisions: a command imports what it needs when it runs, so that help and completion do not wait for
polars; and that a service which was ended is back before anybody notices, for what is imported and opened at its start
is what every restart costs.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.answering import NAMES, Servers, Told, answering
from benchmarks.measure import Figure, figure
from benchmarks.process import configured, service

HELP = (sys.executable, "-m", "batcher", "--help")
IMPORT = (sys.executable, "-c", "import batcher.cli")
NOTHING = (sys.executable, "-c", "pass")


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the seconds from exec until the first watch is asked for, with the CPU of it, and those of the help."""
    runs = 2 if quick else 5
    with answering() as servers:
        started = [_start(servers) for _ in range(runs)]
    yield figure("batcher run, until the first watch", "s", [seconds for seconds, _ in started])
    yield figure("batcher run, until all are watched", "CPU seconds", [cpu for _, cpu in started])
    for name, command in (("batcher --help", HELP), ("import of batcher.cli", IMPORT), ("python alone", NOTHING)):
        yield figure(name, "s", [_wall(command) for _ in range(runs)])


def _start(servers: Servers) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        servers.tell(Told.BEGIN, Path(folder))
        servers.tell(Told.PREPARE, 0)
        with service(configured(Path(folder))) as running:
            while servers.seen.watches < len(NAMES):
                running.look()
                time.sleep(0.01)
            return servers.seen.first_watch - running.began, running.spent.cpu


def _wall(command: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  our own
    return time.perf_counter() - began
