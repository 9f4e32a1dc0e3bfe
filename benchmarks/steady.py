"""Days as they are: events come one by one, and each is told to its workspace within a batch.

Protects the decision for a batch every five seconds in place of a stream: what a batch costs however few rows it has is
paid that often, and an event waits for the next one. The service has run for some seconds when it is looked at. CPU is
that of all its threads and processes; delays are those of events that nobody has said before, from the moment at
which the server sends one until its summary is written. ``STEADY_SECONDS`` in the environment is how long it is
looked at in each case (at most 200, for a watch may ask to be ended after 240).
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

RATES = (60_000, 1_000)
"""Events a minute."""
PROBES = 3
"""Events a second whose delay is looked at."""
WARM_UP_SECONDS = 10.0
"""Two batches, and the first of all is one of them."""


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
    seconds = float(os.environ.get("STEADY_SECONDS", "10" if quick else "60"))
    with answering() as servers:
        idle = _look(servers, 0, seconds / 2)
        yield figure("no events", "% of a core", [idle.share])
        yield figure("no events: resident", "MiB", [idle.resident / MIB])
        for rate in RATES[:1] if quick else RATES:
            name = f"{rate:,} events a minute"
            told = _look(servers, rate, seconds)
            yield from _told(name, told)
            if rate == RATES[0]:
                quiet = _look(servers, rate, seconds / 2, **QUIET)
                more = (quiet.share - idle.share) / 100 * quiet.seconds / quiet.events
                yield figure(f"{name}, without publishing", "% of a core", [quiet.share])
                yield figure(f"{name}, beyond what idling takes", "µs CPU an event", [more * 1e6])


def _told(name: str, told: Looked) -> Iterator[Figure]:
    yield figure(f"{name}, with publishing", "% of a core", [told.share])
    yield figure(f"{name}: resident", "MiB", [told.resident / MIB])
    yield figure(f"{name}: writes", "writes", [told.writes])
    for percent in (50, 99):
        delay = statistics.quantiles(told.delays, n=100)[percent - 1]
        yield figure(f"{name}: from event to workspace, p{percent}", "s by the timers", [delay])


def _look(servers: Servers, rate: int, seconds: float, **changes: Any) -> Looked:
    """Let ``rate`` events a minute happen, wait until that is usual, and look for so many ``seconds``."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        servers.tell(Told.BEGIN, folder)
        servers.tell(Told.PREPARE, 0)
        with service(configured(folder, **changes)) as running:
            settle(servers, running)
            servers.tell(Told.SEND)
            if rate:
                servers.tell(Told.STEADY, rate, WARM_UP_SECONDS + seconds, 0 if changes else PROBES)
            time.sleep(WARM_UP_SECONDS)
            looked = _looked(servers, running, seconds)
            running.end()
        return looked


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
