"""What a summary of many says in front of the newest message: how much it was, of whom, since when, and why.

It is said when the summary is rendered, for only then are the numbers known. Nothing here counts.
"""

import polars as pl

from batcher.stages.fold import ALL, OBJECTS
from batcher.stages.grade import NORMAL
from batcher.telemetry import SummaryKind

_NAME = 63
"""Characters of a reason or controller: it must leave room for a message."""
_SUPPRESSED = r"(?s)^\S+ ([a-z]+) (\d+) (.*)$"
"""The template: the hour, whose share, the limit, and the controller."""
_ARCHIVED = "; none lost, all are in the archive"


def words() -> pl.Expr:
    """Return the words, empty for a plain summary; a message follows them, or none.

    In: :data:`batcher.schema.OPEN_SUMMARIES`.
    """
    folded = pl.col("kind") == SummaryKind.FOLDED.value
    is_all = pl.col("template").str.ends_with(ALL)
    suppressed = pl.col("kind") == SummaryKind.SUPPRESSED.value
    return (
        pl.when(folded & is_all)
        .then(_all())
        .when(folded)
        .then(_of_reason())
        .when(suppressed)
        .then(_not_shown())
        .otherwise(pl.lit(""))
    )


def _of_reason() -> pl.Expr:
    reason = pl.concat_str(pl.col("reason").str.slice(0, _NAME), pl.lit(" x"), _times())
    follows = pl.when(pl.col("message") == "").then(pl.lit("")).otherwise(pl.lit(": "))
    return pl.concat_str(reason, _too_many(), follows)


def _all() -> pl.Expr:
    return pl.concat_str(_times(), pl.lit(" "), "type", _events(), _too_many(), pl.lit(_ARCHIVED))


def _not_shown() -> pl.Expr:
    share, limit, controller = (pl.col("template").str.extract(_SUPPRESSED, group) for group in (1, 2, 3))
    kind = pl.when(share == NORMAL).then(pl.lit(" Normal")).otherwise(pl.lit(" Warning"))
    whose = pl.when(controller == "").then(pl.lit("")).otherwise(pl.concat_str(pl.lit(" of "), controller))
    bound = pl.concat_str(pl.lit(" (limit "), limit, pl.lit(" a minute)"))
    return pl.concat_str(
        _times(), kind, _events(), whose.str.slice(0, _NAME), pl.lit(" not shown"), _since(), bound, pl.lit(_ARCHIVED)
    )


def _too_many() -> pl.Expr:
    count = pl.col("objects")
    objects = (
        pl.when(count >= OBJECTS)
        .then(pl.lit(f"{OBJECTS} or more objects"))
        .when(count == 1)
        .then(pl.lit("1 object"))
        .otherwise(pl.concat_str(count.cast(pl.String), pl.lit(" objects")))
    )
    return pl.concat_str(pl.lit(" of "), objects, _since(), pl.lit(", too many in one hour for an Event each"))


def _times() -> pl.Expr:
    return pl.col("occurrences").cast(pl.String)


def _events() -> pl.Expr:
    return pl.when(pl.col("occurrences") == 1).then(pl.lit(" event")).otherwise(pl.lit(" events"))


def _since() -> pl.Expr:
    return pl.col("began_at").dt.strftime(" since %H:%MZ")
