"""How many writes are left of what clusters say: an hour of the fleet's events, each taken by its workspace at once.

Protects the decision that a summary is written again after a while only, and after longer whiles the longer it goes on;
and that what fails together is one summary. No clock and no server: batch after batch of an hour is run at once.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import polars as pl

from batcher.decode import decode
from batcher.pipeline import advance, empty_state, run
from batcher.service.offering import offers
from batcher.spool import Section
from batcher.spool.position import Place
from benchmarks.fleet import START, frames, lines
from benchmarks.measure import Figure, figure
from benchmarks.stages import NOTHING, RULES

INTERVAL, REWRITE_AFTER, REWRITE_MOST = timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=10)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the revisions a write in an hour."""
    minutes = 10 if quick else 60
    revisions, writes = hour(minutes)
    yield figure(f"1,000 events a minute for {minutes} min", "revisions a write", [revisions / writes])


def hour(minutes: int) -> tuple[int, int]:
    """Return how many revisions came in, and how many writes would have gone out, at once taken by their workspace."""
    told = frames(lines(minutes * 1000, per_minute=1000), size=10)
    state, outcomes, revisions, writes = empty_state(), NOTHING, 0, 0
    for number, (now, batch) in enumerate(_batches(told, timedelta(minutes=minutes)), 1):
        result = run(decode(batch), outcomes, state, batch=number, now=now, rules=RULES)
        state = advance(state, result.changes)
        revisions += result.sums["revisions"]
        made = offers(state, now=now, look=RULES.look, rewrite_after=REWRITE_AFTER, rewrite_most=REWRITE_MOST)
        rows = [(write.summary, write.version, str(number), True, "", now) for write in made]
        outcomes = pl.DataFrame(rows, schema=NOTHING.schema, orient="row")
        writes += len(made)
    return revisions, writes


def _batches(
    told: Iterable[tuple[Place, list[Section]]], span: timedelta
) -> Iterator[tuple[datetime, list[tuple[Place, list[Section]]]]]:
    """Yield the frames of each interval, with its end."""
    begin, width = int(START.timestamp() * 1_000_000), INTERVAL // timedelta(microseconds=1)
    by_interval: dict[int, list[tuple[Place, list[Section]]]] = {}
    for place, sections in told:
        by_interval.setdefault((sections[0].received_at - begin) // width, []).append((place, sections))
    for number in range(span // INTERVAL):
        yield START + (number + 1) * INTERVAL, by_interval.get(number, [])
