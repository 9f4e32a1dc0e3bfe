"""What a row costs in each stage, from ten thousand in a batch to a million, by how often an Event is told of again.

Protects the decision that a batch is frames and never rows: each stage is a few passes over columns, so that the cost
of a row is the same at every size, and falls where rows repeat. One that grows with the rows is a join or a group that
is not linear. The rows of a stage are what the stages before it made; ``whole pipeline`` is all of them and what is
computed for state and archive beside them. Decoding is of the fleet's lines (:mod:`benchmarks.fleet`), which repeat as
they do.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from batcher import schema
from batcher.decode import Decoded, decode
from batcher.pipeline import Rules, State, advance, empty_state, run
from batcher.pipeline.chains import NOT_MOVED, News, chains, news
from batcher.pipeline.result import Result
from batcher.service.offering import offers
from batcher.spool.log import Log
from batcher.spool.position import START as BEGIN
from batcher.stages.adopt import adopt_rows, judge, name_namespaces, uses
from batcher.stages.aggregate import gather, measured, sessions
from batcher.stages.attribute import attribute, known_as, object_uid
from batcher.stages.contest import contest, date
from batcher.stages.correlate import correlate, keyed
from batcher.stages.deduplicate import deduplicate
from batcher.stages.enrich import regard_owner
from batcher.stages.filter import filter_rows
from batcher.stages.fold import fold
from batcher.stages.limit import limit
from batcher.stages.listen import listen, run_clocks
from batcher.stages.locate import locate
from batcher.stages.measure import measure
from batcher.stages.own import NO_WORD
from batcher.stages.route import route, told_mapped
from batcher.stages.settle import OUTCOMES
from batcher.stages.template import template
from batcher.stages.vanish import begun_lists, vanish
from batcher.staging import stage
from batcher.telemetry import SummaryKind
from benchmarks.fleet import RULES as MAPPING
from benchmarks.fleet import START, frames, lines
from benchmarks.measure import Figure, figure
from benchmarks.rows import rows

RULES = Rules(
    mapping=MAPPING, event_ttl=timedelta(hours=1), window=timedelta(minutes=5), longest=timedelta(hours=1), prefix=True,
    owner=True, limit=600, max_keys=500, max_live=2000, correlation_window=timedelta(minutes=10),
)  # fmt: skip
"""As the configuration has it by default."""
NOW = START + timedelta(hours=1)
NOTHING = pl.DataFrame(schema=OUTCOMES)
UNIT = "µs CPU a row"
DECODED_MOST = 100_000
"""Lines to decode: a million are as many in one batch as twenty that are full."""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the stages at each size and repetition."""
    if quick:
        yield from at(100_000, 10, runs=1)
        return
    for repeats, size in itertools.product((1, 10, 100), (10_000, 100_000)):
        yield from at(size, repeats, runs=3)
    yield from at(1_000_000, 10, runs=1)


def at(size: int, repeats: int, *, runs: int) -> Iterator[Figure]:
    """Yield the cost of a row in each stage, the median of so many ``runs``."""
    of = f"{size:,} rows, {repeats} each"
    if size <= DECODED_MOST:
        yield from _received(size, of, runs)
    told = rows(size, repeats=repeats)
    yield from _Steps(told, of, runs).figures()
    decoded = Decoded(told, schema.empty(schema.QUARANTINE), {})
    walls: list[float] = []
    spent, result = _spent(lambda: _whole(decoded, walls), runs)
    yield figure(f"whole pipeline: {of}", UNIT, _each(spent, size))
    yield figure(f"whole pipeline: {of}", "s", walls[-runs:])
    yield from _staged(result, size, of, runs)


def _each(spent: list[float], size: int) -> list[float]:
    return [seconds / size * 1e6 for seconds in spent]


def _spent(work: Callable[[], Any], runs: int) -> tuple[list[float], Any]:
    """The CPU seconds of each run, and what the last returned; one more before them, unless one is enough."""
    spent, made = [], None
    for _ in range(runs + (runs > 1)):
        began = time.process_time()
        made = work()
        spent.append(time.process_time() - began)
    return spent[-runs:], made


def _whole(decoded: Decoded, walls: list[float]) -> Result:
    began = time.perf_counter()
    result = run(decoded, NOTHING, empty_state(), batch=1, now=NOW, rules=RULES)
    walls.append(time.perf_counter() - began)
    assert result.sums["revisions"] == len(decoded.lines)
    return result


def _received(size: int, of: str, runs: int) -> Iterator[Figure]:
    """Yield what lines cost before they are rows: appended to the spool with fdatasync, read from there, decoded."""
    cut = list(frames(lines(size)))
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder), Path(folder))
        log.recover(BEGIN)
        spent, _ = _spent(lambda: [log.append(sections) for _, sections in cut], runs)
        log.close()
    yield figure(f"spool: {of}", UNIT, _each(spent, size))
    spent, _ = _spent(lambda: decode(cut), runs)
    yield figure(f"decode: {of}", UNIT, _each(spent, size))


def _staged(result: Result, size: int, of: str, runs: int) -> Iterator[Figure]:
    """Yield what is done with the result: Parquet files of all tables, and the summaries as Events."""
    numbers = itertools.count(1)
    with tempfile.TemporaryDirectory() as folder:
        spent, _ = _spent(lambda: _stage(Path(folder), result, next(numbers)), runs)
    yield figure(f"stage as Parquet: {of}", UNIT, _each(spent, size))
    state = advance(empty_state(), result.changes)
    spent, _ = _spent(lambda: _offered(state), runs)
    yield figure(f"render and offer: {of}", UNIT, _each(spent, size))


def _stage(folder: Path, result: Result, number: int) -> None:
    for table, frame in result.tables.items():
        for _ in stage(folder, table, frame, batch=number, owner="benchmark"):
            pass


def _offered(state: State) -> None:
    wait, most = timedelta(seconds=30), timedelta(minutes=10)
    assert len(offers(state, now=NOW, look=RULES.look, rewrite_after=wait, rewrite_most=most))


class _Steps:
    """The stages one after the other, each computed of what the one before it has computed."""

    def __init__(self, told: pl.DataFrame, of: str, runs: int) -> None:
        self._told, self._of, self._runs = told, of, runs
        self._state = empty_state()
        self._nothing = {name: frame.lazy() for name, frame in self._state.items()}
        self._said = self._claims()

    def figures(self) -> Iterator[Figure]:
        """Yield each step's cost of a row that comes to the first."""
        made: pl.DataFrame = self._told
        for name, step in self._until_located().items():
            made, cost = self._step(name, step, made)
            yield cost
        judged, cost = self._step("judge namespaces", self._judged, made)
        yield cost
        located, cost = self._step("limit", lambda rows: self._limited(rows, judged.lazy()), made)
        yield cost
        made, cost = self._step("adopt", lambda rows: self._adopted(rows, judged.lazy()), located)
        yield cost
        for name, step in self._until_told().items():
            made, cost = self._step(name, step, made)
            yield cost
        folded, cost = self._step("fold", self._folded, made)
        yield cost
        parts, cost = self._step("aggregate", self._sessions, folded)
        yield cost
        yield self._step("correlate", lambda rows: self._correlated(parts, rows), made)[1]
        spent, _ = _spent(lambda: self._chained(located, parts), self._runs)
        yield figure(f"chain: {self._of}", UNIT, _each(spent, len(self._told)))

    def _step(
        self, name: str, step: Callable[[pl.LazyFrame], pl.LazyFrame], given: pl.DataFrame
    ) -> tuple[pl.DataFrame, Figure]:
        spent, made = _spent(lambda: step(given.lazy()).collect(engine="in-memory"), self._runs)
        return made, figure(f"{name}: {self._of}", UNIT, _each(spent, len(self._told)))

    def _until_located(self) -> dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]]:
        clocks = run_clocks(schema.empty(schema.CONTACTS).lazy(), self._nothing["clocks"])
        return {
            "measure": measure,
            "deduplicate": lambda rows: deduplicate(
                listen(rows, clocks), self._nothing["seen"], event_ttl=pl.lit(RULES.event_ttl)
            ),
            "locate": self._located,
            "filter and route": lambda rows: route(filter_rows(rows, RULES.filter), RULES.routes),
        }

    @staticmethod
    def _until_told() -> dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]]:
        return {
            "template": lambda rows: template(rows, RULES.redact_archive),
            "enrich": lambda rows: regard_owner(
                attribute(rows, RULES.trust.objects).with_columns(object_uid())
            ).with_columns(known_as()),
        }

    def _claims(self) -> pl.LazyFrame:
        """What Namespaces say that nobody has told of: nothing, with the columns that are joined."""
        known, none = self._nothing["claims"], Decoded(self._told, schema.empty(schema.QUARANTINE), {})
        lists = begun_lists(none.lists.lazy(), self._nothing["listings"])
        return contest(date(known, vanish(known, none.claims.lazy(), lists))).collect(engine="in-memory").lazy()

    def _located(self, told: pl.LazyFrame) -> pl.LazyFrame:
        mapping, new = RULES.namespaces, told.filter("is_new")
        return locate(
            attribute(new, mapping.trust.objects).with_columns(object_uid()), self._said, rules=mapping.rules,
            trust=mapping.trust, remembered=mapping.remembered, objects=None,
        )  # fmt: skip

    def _judged(self, targets: pl.LazyFrame) -> pl.LazyFrame:
        return judge(self._said, uses(targets), self._nothing["served"], RULES.namespaces, lasts=RULES.used_for)

    def _limited(self, told: pl.LazyFrame, judged: pl.LazyFrame) -> pl.LazyFrame:
        limited = limit(told, self._nothing["places"], most=RULES.limit).with_columns(claimed_uid="object_uid")
        return name_namespaces(limited, judged, remembered=RULES.namespaces.remembered)

    @staticmethod
    def _adopted(located: pl.LazyFrame, judged: pl.LazyFrame) -> pl.LazyFrame:
        mapped = told_mapped(located, RULES.routes)
        adopted = adopt_rows(mapped, judged, NO_WORD.lazy(), RULES.namespaces, hold=RULES.hold)
        return adopted.with_columns(
            kind=pl.lit(SummaryKind.PLAIN.value), template=pl.lit(""), objects=pl.lit(0, pl.Int64)
        ).filter(pl.col("grew") > 0)

    def _folded(self, told: pl.LazyFrame) -> pl.LazyFrame:
        return fold(told, self._nothing["places"], most=RULES.most, window=RULES.window)

    def _sessions(self, folded: pl.LazyFrame) -> pl.LazyFrame:
        waiting = self._nothing["open_summaries"].with_columns(adopted_by=pl.lit(0, pl.Int64))
        return sessions(measured(folded), waiting, window=RULES.window, longest=RULES.longest)

    def _correlated(self, parts: pl.DataFrame, told: pl.LazyFrame) -> pl.LazyFrame:
        return correlate(
            parts.lazy(), keyed(told), self._nothing["members"], window=RULES.correlation_window,
            longest=RULES.correlation_longest,
        )  # fmt: skip

    def _chained(self, located: pl.DataFrame, parts: pl.DataFrame) -> None:
        told_of = list(news(located.lazy(), self._state["happenings"], RULES))
        gathered, *heard = (
            frame.lazy() for frame in pl.collect_all([gather(parts.lazy()), *told_of], engine="in-memory")
        )
        chains(News(*heard), parts.lazy(), gathered, NOT_MOVED.lazy(), self._state, batch=1, now=NOW, rules=RULES)
