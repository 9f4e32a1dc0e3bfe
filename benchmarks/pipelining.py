"""What a row costs in the whole pipeline, from ten thousand in a batch to a million, and how many writes are left.

Protects the decision that a batch is frames and never rows: whatever runs along the rows of a key is one pass over all
keys, so that the cost of a row is the same at every size; and that a summary is written again after a while only.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import polars as pl

from batcher.decode import Decoded, decode
from batcher.pipeline import Rules, advance, empty_state, run
from batcher.service.offering import offers
from batcher.spool import Section
from batcher.spool.position import Place
from batcher.stages.settle import OUTCOMES
from benchmarks.fleet import RULES as MAPPING
from benchmarks.fleet import START, frames, lines
from benchmarks.measure import Figure, figure

RULES = Rules(
    mapping=MAPPING, event_ttl=timedelta(hours=1), window=timedelta(minutes=5), longest=timedelta(hours=1), prefix=True,
    owner=True, limit=600, max_keys=500, max_live=2000, correlation_window=timedelta(minutes=10),
)  # fmt: skip
"""As the configuration has it by default."""
INTERVAL, REWRITE_AFTER, REWRITE_MOST = timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=10)
NOTHING = pl.DataFrame(schema=OUTCOMES)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield wall and CPU time at each size in one batch, and the revisions a write in an hour."""
    runs, sizes = (3, (10_000, 100_000)) if quick else (5, (10_000, 100_000, 1_000_000))
    for size in sizes:
        decoded = decode(list(frames(lines(size))))
        now = START + timedelta(hours=1)
        turns = [_turn(decoded, now) for _ in range(runs + 1)][1:]
        yield figure(f"whole pipeline, {size:,} rows in one batch", "s", [wall for wall, _ in turns])
        yield figure(
            f"whole pipeline, {size:,} rows in one batch", "µs CPU a row", [cpu / size * 1e6 for _, cpu in turns]
        )
    minutes = 10 if quick else 60
    revisions, writes = hour(minutes)
    yield figure(f"1,000 events a minute for {minutes} min: revisions a write", "revisions", [revisions / writes])


def _turn(decoded: Decoded, now: datetime) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = run(decoded, NOTHING, empty_state(), batch=1, now=now, rules=RULES)
    assert result.sums["revisions"] == len(decoded.lines)
    return time.perf_counter() - wall, time.process_time() - cpu


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
        outcomes = pl.DataFrame(rows, schema=OUTCOMES, orient="row")
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
