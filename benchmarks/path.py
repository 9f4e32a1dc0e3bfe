"""What an event costs from the spool to the staged files.

Protects two decisions: lines are decoded from the spool by msgspec into columns, a frame a batch; and the
pipeline collects a few times a batch, in memory.
"""

import itertools
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl

from batcher import pipeline
from batcher.decode import decode
from batcher.spool.log import Log
from batcher.spool.position import START as BEGIN
from batcher.stages.locate import Rule
from batcher.stages.settle import OUTCOMES
from batcher.staging import stage
from benchmarks.load import START, frames, lines
from benchmarks.measure import Figure, cpu_micros, reference

RULES = pipeline.Rules(
    mapping=(Rule("*", "team-*", "root:team", "{namespace}"),),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(hours=1),
    prefix=True,
    owner=True,
)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the reference loop, then each step at each batch size."""
    runs, sizes = (3, (5_000, 20_000)) if quick else (5, (5_000, 20_000, 50_000))
    raw = lines(max(sizes))
    yield cpu_micros("reference: msgspec to dict, same lines", len(raw), lambda: reference(raw), runs)
    yield cpu_micros("spool: frames of 256, fdatasync", len(raw), lambda: _spool(raw), runs)
    for size in sizes:
        yield from _at(size, raw[:size], runs)


def _at(size: int, raw: list[bytes], runs: int) -> Iterator[Figure]:
    cut = frames(raw)
    decoded = decode(cut)
    state, nothing = pipeline.empty_state(), pl.DataFrame(schema=OUTCOMES)
    now = START + timedelta(hours=1)
    numbers = itertools.count(1)
    result = pipeline.run(decoded, nothing, state, batch=1, now=now, rules=RULES)
    assert result.sums["occurrences"] == size
    yield cpu_micros(f"decode, {size:,} rows a batch", size, lambda: decode(cut), runs)
    yield cpu_micros(
        f"pipeline, {size:,} rows a batch",
        size,
        lambda: pipeline.run(decoded, nothing, state, batch=1, now=now, rules=RULES),
        runs,
    )
    with tempfile.TemporaryDirectory() as folder:
        yield cpu_micros(
            f"stage, {size:,} rows a batch", size, lambda: _stage(Path(folder), result, next(numbers)), runs
        )


def _spool(raw: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder), Path(folder))
        log.recover(BEGIN)
        for _, sections in frames(raw):
            log.append(sections)
        log.close()


def _stage(folder: Path, result: pipeline.Result, number: int) -> None:
    for table, frame in result.tables.items():
        for _ in stage(folder, table, frame, batch=number, owner="benchmark"):
            pass
