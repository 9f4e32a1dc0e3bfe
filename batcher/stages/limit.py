"""Who reports too much is held back: the first rows of a source in a clock minute pass, and later ones are counted.

A source is a controller that reports in a namespace of a cluster; its warnings and its normals have limits of their
own, so that neither crowds out the other (what is critical goes with the warnings, whatever its type). Position
decides, so that it is the same wherever a batch is cut. What is held back is archived with the verdict ``limited``,
and told in one summary a source, share and clock hour: how many occurrences were not shown. It is in no other.

The name of a controller is anybody's text: of a namespace, share and minute only so many are told apart, and all
others are one source together. A row that adds no occurrence is nobody's flood, and passes: else the list of a
restored cluster would hold back what happens meanwhile.
"""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from batcher.schema import PLACES, SOURCE
from batcher.stages.grade import share
from batcher.stages.name import keyed
from batcher.stages.places import EVER, Level, minute, place, taken
from batcher.telemetry import SummaryKind, Verdict

SUPPRESSED_REASON = "EventsSuppressed"
SOURCES = 50
"""Controllers of a namespace, share and minute that have a limit of their own."""

ONE_MINUTE = timedelta(minutes=1)
_NAMED, _PASSING = Level("sources"), Level("passing", EVER)
_SPACE = ("cluster_uid", "namespace", "share", "minute")
_SOURCE = (*SOURCE, "share", "minute")
_IN_MINUTE = (*SOURCE, "share", "minute_ends")


def limit(rows: pl.LazyFrame, known: pl.LazyFrame, *, most: int, critical: Sequence[str] = ()) -> pl.LazyFrame:
    """Give rows beyond the first ``most`` of their source, share and minute the verdict ``limited``.

    In: ``position, received_at``, :data:`batcher.schema.SOURCE`, ``type, reason, grew, verdict``, and
    :data:`batcher.schema.PLACES`. Only rows that would be told count. Adds what :func:`limits` needs; by position.
    """
    by_position = rows.sort("position").cache()
    placed = _placed(by_position, known, most, critical)
    held = pl.col(_PASSING.has).fill_null(value=True).not_()
    return pl.concat([by_position, placed], how="horizontal").with_columns(
        verdict=pl.when(held).then(pl.lit(Verdict.LIMITED.value)).otherwise("verdict")
    )


def limits(limited: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Return :data:`batcher.schema.PLACES` that rows of :func:`limit` took."""
    parts = [taken(limited, known, level, "minute_ends") for level in (_NAMED, _PASSING)]
    return pl.concat(parts).select(*PLACES)


def suppress(rows: pl.LazyFrame, *, most: int, critical: Sequence[str] = ()) -> pl.LazyFrame:
    """Make rows that were held back part of their source's summary: ``kind, template, type, reason, message``.

    The template says share, limit and controller; what the rows said is not told.
    """
    held = pl.col("verdict") == Verdict.LIMITED.value
    ours = {
        "kind": pl.lit(SummaryKind.SUPPRESSED.value),
        "template": pl.concat_str(share(critical), pl.lit(str(most)), "reporting_controller", separator=" "),
        "type": pl.lit("Normal"),
        "reason": pl.lit(SUPPRESSED_REASON),
        "message": pl.lit(""),
    }
    return rows.with_columns(pl.when(held).then(value).otherwise(name).alias(name) for name, value in ours.items())


def _placed(rows: pl.LazyFrame, known: pl.LazyFrame, most: int, critical: Sequence[str]) -> pl.LazyFrame:
    """Return the columns of the levels, and when the minute of each row ends, row for row."""
    began = minute(pl.col("received_at"))
    asks = pl.col("verdict").is_in([Verdict.KEPT.value, Verdict.UNMAPPED.value]) & (pl.col("grew") > 0)
    slim = rows.select(
        "received_at",
        *SOURCE,
        asks=asks,
        share=share(critical),
        minute_ends=began + ONE_MINUTE,
    )
    text = (pl.col("minute_ends") - ONE_MINUTE).dt.strftime("%Y-%m-%dT%H:%MZ")
    sources = (
        slim.select(_IN_MINUTE)
        .unique()
        .with_columns(minute=text)
        .select(*_IN_MINUTE, space=keyed(*_SPACE), source=keyed(*_SOURCE))
    )
    asking = slim.join(sources, on=_IN_MINUTE, how="left", maintain_order="left")
    space = pl.when("asks").then("space")
    named = place(asking, known, _NAMED, group=space, key=pl.col("source"), most=SOURCES)
    source = pl.when(_NAMED.has).then("source").otherwise(space)
    passing = place(named, known, _PASSING, group=source, key=source, most=most)
    return passing.select("minute_ends", *_NAMED.columns, *_PASSING.columns)
