"""What causal links cost a row, batch after batch, with their state.

Protects two decisions: only the first row of an object, a reason and a minute takes part, at most a hundred objects of
a namespace a minute, so that the state is bounded by time; and causes are chosen once a minute by one sorted join, so
that they cost about the same however many rows a batch has. A thousand rows a second are received; every Pod goes
through what a rollout of a bad image does, and each row is told three times.
"""

import time
from collections.abc import Iterator
from datetime import timedelta

import polars as pl

from batcher import schema
from batcher.pipeline import STATE_KEYS, Change, Rules, State, advance, empty_state
from batcher.pipeline.chains import NOT_MOVED, chains, news
from batcher.stages.aggregate import summary_id
from benchmarks.load import START
from benchmarks.measure import Figure, figure

RULES = Rules((), timedelta(hours=1), timedelta(minutes=5), timedelta(hours=1), prefix=True, owner=True)
STORY = (
    "Scheduled",
    "Pulling",
    "Failed",
    "BackOff",
    "Pulled",
    "Started",
    "Unhealthy",
    "Killing",
    "Created",
    "FailedMount",
)
TIMES, NAMESPACES, NODES = 3, 40, 30
_MADE = ("happenings", "known_links", "causes", "pods")
_PARTS: schema.Columns = {
    **dict.fromkeys(schema.SUMMARY_KEY, pl.String()),
    "began_at": schema.TIME,
    "position": pl.Int64,
}


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the cost a row at each size of a batch, over a quarter of an hour or more of rows."""
    total = 200_000 if quick else 1_000_000
    for size in (5_000, 50_000):
        spent, state, links = _run(total, size)
        yield figure(f"causal links, {size:,} rows a batch, {total:,} in all", "µs CPU a row", [spent / total * 1e6])
        yield figure(f"happenings in the state after {size:,} rows a batch", "rows", [len(state["happenings"])])
        yield figure(f"links written, {size:,} rows a batch", "rows", [links])


def _run(total: int, size: int) -> tuple[float, State, int]:
    """The CPU seconds of all batches, the state after them, and how many links were written."""
    state, spent, links = empty_state(), 0.0, 0
    for number, first in enumerate(range(0, total, size), 1):
        told = rows(first, size)
        located, parts, now = told.lazy(), _parts(told).lazy(), told["received_at"][-1]
        named = parts.unique("part").select("part", summary=summary_id()).collect().lazy()
        began = time.process_time()
        heard = news(located, state["happenings"], RULES)
        done = chains(heard, parts, named, NOT_MOVED.lazy(), state, batch=number, now=now, rules=RULES)
        spent += time.process_time() - began
        links += len(done.links)
        nothing = {name: Change(table.clear(), table.clear().select(STATE_KEYS[name])) for name, table in state.items()}
        made = {name: Change(getattr(done, name), getattr(done, f"{name}_gone")) for name in _MADE}
        state = advance(state, nothing | made)
    return spent, state, links


def rows(first: int, count: int) -> pl.DataFrame:
    """Return ``count`` rows from the ``first`` on, one a millisecond."""
    position = pl.int_range(first + 1, first + count + 1, dtype=pl.Int64, eager=True).alias("position").to_frame()
    of_pod = TIMES * len(STORY)
    pod, step = pl.col("position") // of_pod, pl.col("position") % of_pod // TIMES
    suffix = pl.concat_str(
        *((pod // 20**n % 20).replace_strict(range(20), list("bcdfghjklmnpqrstvwxz")) for n in range(5))
    )
    space = pl.concat_str(pl.lit("team-"), (pod % NAMESPACES).cast(pl.String))
    told = position.with_columns(
        cluster=pl.lit("us-west1"), cluster_uid=pl.lit("0c0ffee0-0000-4000-8000-000000000000"), namespace=space,
        regarding_namespace=space, target_namespace=space, workspace=pl.lit("root:team"), regarding_kind=pl.lit("Pod"),
        regarding_name=pl.concat_str(pl.lit("web-7c5d8f9b6d-"), suffix), grew=pl.lit(1, pl.Int64),
        reason=step.replace_strict(range(len(STORY)), STORY, return_dtype=pl.String), component=pl.lit("kubelet"),
        host=pl.concat_str(pl.lit("node-"), (pod % NODES).cast(pl.String)),
        received_at=(pl.lit(START) + pl.duration(milliseconds=pl.col("position"))).cast(schema.TIME),
    )  # fmt: skip
    messages = {
        "Failed": 'Failed to pull image "acme/web:1": not found',
        "BackOff": 'Back-off pulling image "acme/web:1"',
    }
    text = pl.col("reason").replace_strict(messages, default='Container image "acme/web:1" and what is said of it')
    absent = {
        n: pl.lit("" if k == pl.String else 0).cast(k) for n, k in schema.OCCURRENCES.items() if n not in told.columns
    }
    return told.with_columns(**absent).with_columns(message=text, last_at="received_at").select(*schema.OCCURRENCES)


def _parts(told: pl.DataFrame) -> pl.DataFrame:
    known = told.with_columns(regarding_kind=pl.lit("Deployment"), regarding_name=pl.lit("web"))
    absent = {name: pl.lit("") for name in _PARTS if name not in told.columns}
    made = known.with_columns(**absent).with_columns(began_at=pl.lit(START).cast(schema.TIME)).select(*_PARTS)
    return made.with_row_index("part").with_columns(pl.col("part").first().over(schema.SESSION))
