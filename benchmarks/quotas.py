"""What the bounds cost a row: the limit of a source, and the places of summaries, in quiet times and in a flood.

Protects two decisions: keys are hashed once for all rows that have them, and grouped by as numbers; what folds goes
its own way, so that a batch in which nothing does pays for looking only.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

import polars as pl

from batcher.decode import decode
from batcher.schema import PLACES, empty
from batcher.stages.attribute import attribute, known_as, object_uid
from batcher.stages.enrich import regard_owner
from batcher.stages.fold import Most, fold, places
from batcher.stages.limit import limit, limits
from batcher.stages.locate import BELIEVES_RULES
from batcher.stages.measure import measure
from benchmarks.load import frames, lines
from benchmarks.measure import Figure, cpu_micros

MOST = Most(500, 2000)
LIMIT = 600
WINDOW = timedelta(minutes=5)
_NOBODY = empty(PLACES).lazy()
_SAID = dict.fromkeys(("origin", "kind", "template", "namespace_uid", "target_name"), "")


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the cost of each stage over a batch of ordinary rows and of a flood."""
    runs, size = (3, 20_000) if quick else (5, 50_000)
    raw = lines(size)
    usual = _told(raw)
    row = pl.int_range(pl.len()).cast(pl.String)
    objects = usual.with_columns(regarding_name=row, namespace=pl.lit("a"), workspace=pl.lit("root:a"))
    floods = {
        "40 workspaces": usual,
        "each row another object": objects,
        "each row another object and reason": objects.with_columns(reason=row),
    }
    for what, rows in ((what, _named(rows)) for what, rows in floods.items()):
        yield cpu_micros(f"limit, {what}", size, _limiting(rows), runs)
        yield cpu_micros(f"fold, {what}", size, _folding(rows), runs)


def _told(raw: list[bytes]) -> pl.DataFrame:
    """Rows as they come to the stages, a workspace for each namespace."""
    rows = measure(decode(frames(raw)).lines.lazy()).with_columns(
        verdict=pl.lit("kept"),
        grew=pl.lit(1, pl.Int64),
        objects=pl.lit(0, pl.Int64),
        adopted_by=pl.lit(0, pl.Int64),
        since_at="first_at",
        workspace=pl.concat_str(pl.lit("root:"), "namespace"),
        target_namespace="namespace",
        **{name: pl.lit(said) for name, said in _SAID.items()},
    )
    return rows.collect(engine="in-memory")


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as folding takes them: of owners, with what they and their objects are known by."""
    own = regard_owner(attribute(rows.lazy(), BELIEVES_RULES.objects).with_columns(object_uid()))
    return own.with_columns(known_as(), claimed_uid="object_uid").collect(engine="in-memory")


def _limiting(rows: pl.DataFrame) -> Callable[[], object]:
    def run() -> None:
        limited = limit(rows.lazy(), _NOBODY, most=LIMIT).collect(engine="in-memory")
        limits(limited.lazy(), _NOBODY).collect(engine="in-memory")

    return run


def _folding(rows: pl.DataFrame) -> Callable[[], object]:
    def run() -> None:
        folded = fold(rows.lazy(), _NOBODY, most=MOST, window=WINDOW).collect(engine="in-memory")
        places(folded.lazy(), _NOBODY, window=WINDOW).collect(engine="in-memory")

    return run
