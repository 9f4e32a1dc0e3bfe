"""How many writes are left of what clusters say: hours of events, each write taken by its workspace at once.

Protects the decision that a summary is written again after a while only, and after longer whiles the longer it goes on;
and that what fails together is one summary. No clock and no server: the batches of hours are run one after the other.
"""

import heapq
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec
import polars as pl

from batcher.decode import decode
from batcher.pipeline import advance, empty_state, run
from batcher.service.offering import offers
from batcher.settings import BatchSettings, Publish
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from benchmarks.fleet import START, frames, lines
from benchmarks.measure import Figure, figure
from benchmarks.stages import NOTHING, RULES

INTERVAL, PUBLISH = BatchSettings().interval, Publish()
"""What a configuration has that says nothing of them."""
EVENTS = 20
"""Events that are updated in place, in a workspace of their own."""
STREAM = Stream("0c0ffee0-0000-4000-8000-000000000000", "events")
_MICROSECOND = timedelta(microseconds=1)

Frame = tuple[Place, list[Section]]


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the revisions a write of a fleet, and of a few Events that go on for hours."""
    minutes, hours = (10, 1) if quick else (60, 1)
    fleet = frames(lines(minutes * 1000, per_minute=1000), size=10)
    yield figure(
        f"1,000 events a minute for {minutes} min", "revisions a write", [_spared(fleet, timedelta(minutes=minutes))]
    )
    name = f"{EVENTS} Events updated every 10 to 20 s for {hours} h"
    yield figure(name, "revisions a write", [_spared(_updates(hours), timedelta(hours=hours))])


def _spared(told: Iterable[Frame], span: timedelta) -> float:
    """Return how many revisions came in for each write that would have gone out."""
    state, outcomes, revisions, writes = empty_state(), NOTHING, 0, 0
    for number, (now, batch) in enumerate(_batches(told, span), 1):
        result = run(decode(batch), outcomes, state, batch=number, now=now, rules=RULES)
        state = advance(state, result.changes)
        revisions += result.sums["revisions"]
        after, most = PUBLISH.rewrite_after, PUBLISH.rewrite_most
        made = offers(state, now=now, look=RULES.look, rewrite_after=after, rewrite_most=most)
        rows = [(write.summary, write.version, str(number), True, "", now) for write in made]
        outcomes = pl.DataFrame(rows, schema=NOTHING.schema, orient="row")
        writes += len(made)
    return revisions / writes


def _batches(told: Iterable[Frame], span: timedelta) -> Iterator[tuple[datetime, list[Frame]]]:
    """Yield the frames of each interval, with its end."""
    begin, width = int(START.timestamp() * 1_000_000), INTERVAL // _MICROSECOND
    by_interval: dict[int, list[Frame]] = {}
    for place, sections in told:
        by_interval.setdefault((sections[0].received_at - begin) // width, []).append((place, sections))
    for number in range(span // INTERVAL):
        yield START + (number + 1) * INTERVAL, by_interval.get(number, [])


def _updates(hours: int) -> Iterator[Frame]:
    """Yield a frame for each update; the times between two of an Event are its own."""
    rng = random.Random(1)
    due = [(rng.uniform(0, 20), number, 1) for number in range(EVENTS)]
    heapq.heapify(due)
    version = 0
    while due[0][0] < hours * 3600:
        seconds, number, count = due[0]
        version += 1
        at = START + timedelta(seconds=seconds)
        yield Place(1, version), [_section(_updated(number, count, version, at), version, at)]
        heapq.heapreplace(due, (seconds + rng.uniform(10, 20), number, count + 1))


def _section(body: bytes, version: int, at: datetime) -> Section:
    micros = int(at.timestamp() * 1_000_000)
    return Section(STREAM, "us-west1", Kind.WATCHED, str(version), 1, body, received_at=micros)


def _updated(number: int, count: int, version: int, at: datetime) -> bytes:
    """Return the watch line of Event ``number`` with its cumulative count."""
    first, last = (told.strftime("%Y-%m-%dT%H:%M:%SZ") for told in (START, at))
    event = {
        "metadata": {"name": f"web-{number}.1", "namespace": "team-1", "uid": f"uid-{number}",
                     "resourceVersion": str(version), "creationTimestamp": first},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "team-1", "name": f"web-{number}"},
        "reason": "BackOff", "message": "Back-off restarting failed container", "source": {"component": "kubelet"},
        "type": "Warning", "firstTimestamp": first, "lastTimestamp": last, "count": count,
    }  # fmt: skip
    return msgspec.json.encode({"type": "MODIFIED", "object": event}) + b"\n"
