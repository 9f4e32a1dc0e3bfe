"""Days as they are: events come one by one, and each is told to its workspace within a batch.

Protects the decision for a batch every five seconds in place of a stream: what a batch costs however few rows it has is
paid that often, and an event waits for the next one. CPU is that of all threads and processes of ``batcher run``, once
it has run for a batch or two; delays are those of events that nobody has said before, from the moment at which the
server sends one until its summary is written. ``STEADY_SECONDS`` in the environment is how long it is looked at (at
most 150, for a watch may ask to be ended after 240 s, and the servers here do not).
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.answering import Servers, Told, answering
from benchmarks.catching import MIB, QUIET, settle
from benchmarks.measure import Figure, figure
from benchmarks.process import Service, configured, service

MANY, FEW = 60_000, 1_000
"""Events a minute."""
PROBES = 3
"""Events a second whose delay is looked at."""
WARM_UP_SECONDS = 8.0
"""A batch or two, and the first of all is one of them."""


class Looked(NamedTuple):
    """What was seen of a service for some time."""

    seconds: float
    cpu: float
    events: int
    resident: float
    delays: list[float]
    writes: int

    @property
    def share(self) -> float:
        """Return the percentage of a core."""
        return self.cpu / self.seconds * 100


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the share of a core without events and at each rate, memory, and the delays."""
    seconds = float(os.environ.get("STEADY_SECONDS", "10" if quick else "45"))
    with answering() as servers:
        idle, told = _look(servers, MANY, seconds)
        yield figure("no events", "% of a core", [idle.share])
        yield figure("no events: resident", "MiB", [idle.resident / MIB])
        yield from _told(MANY, told)
        if quick:
            return
        idle, quiet = _look(servers, MANY, seconds / 2, **QUIET)
        yield figure(f"{MANY:,} events a minute, without publishing", "% of a core", [quiet.share])
        more = (quiet.share - idle.share) / 100 * quiet.seconds / quiet.events
        yield figure(f"{MANY:,} events a minute, beyond what idling takes", "µs CPU an event", [more * 1e6])
        yield from _told(FEW, _look(servers, FEW, seconds / 2)[1])


def _told(rate: int, told: Looked) -> Iterator[Figure]:
    name = f"{rate:,} events a minute"
    yield figure(f"{name}, with publishing", "% of a core", [told.share])
    yield figure(f"{name}: resident", "MiB", [told.resident / MIB])
    yield figure(f"{name}: writes", "writes", [told.writes])
    for percent in (50, 99):
        delay = statistics.quantiles(told.delays, n=100)[percent - 1]
        yield figure(f"{name}: from event to workspace, p{percent}", "s by the timers", [delay])


def _look(servers: Servers, rate: int, seconds: float, **changes: Any) -> tuple[Looked, Looked]:
    """Look at a service before anything happens, for half of ``seconds``, and while ``rate`` events a minute do."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        servers.tell(Told.BEGIN, folder)
        servers.tell(Told.PREPARE, 0)
        with service(configured(folder, **changes)) as running:
            settle(servers, running)
            idle = _looked(servers, running, seconds / 2)
            servers.tell(Told.SEND)
            servers.tell(Told.STEADY, rate, WARM_UP_SECONDS + seconds, 0 if changes else PROBES)
            time.sleep(WARM_UP_SECONDS)
            told = _looked(servers, running, seconds)
            running.end()
        return idle, told


def _looked(servers: Servers, running: Service, seconds: float) -> Looked:
    before, cpu, began = servers.seen, running.spent.cpu, time.monotonic()
    time.sleep(seconds)
    after, spent, ended = servers.seen, running.spent.cpu, time.monotonic()
    running.look()
    return Looked(
        seconds=ended - began,
        cpu=spent - cpu,
        events=after.sent - before.sent,
        resident=statistics.median(resident for at, resident in running.resident if at >= began),
        delays=after.delays[len(before.delays) :],
        writes=after.writes - before.writes,
    )
