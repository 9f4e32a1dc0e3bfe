"""What the archive says was counted of an identity, for a line that comes too late for the state to know.

Two rows are of one identity when cluster, namespace, name and first time are the same, or, of an Event without
times of its own, the uid (:data:`batcher.schema.OCCURRENCE`). Reads some columns of the whole table, which may
take minutes on a large one; quarantined lines are rare. Nothing here knows the state.
"""

import polars as pl

from batcher.schema import OCCURRENCE, REVISION
from batcher.stages.measure import measure
from batcher.stages.recall import KNOWN

_OBJECT = ("cluster_uid", "namespace", "name")


def counted(occurrences: pl.LazyFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return :data:`batcher.stages.recall.KNOWN` of the identities of ``lines`` that have rows in ``occurrences``.

    In: :data:`batcher.schema.OCCURRENCES` and :data:`batcher.schema.LINES`.
    """
    has_time = (pl.col("first").fill_null("") != "") | (pl.col("event_time").fill_null("") != "")
    wanted = (
        measure(lines.lazy().with_columns(has_time=has_time))
        .select(*OCCURRENCE, *_OBJECT, "first_at", "uid", "has_time")
        .collect()
    )
    objects = wanted.lazy().select(_OBJECT).unique()
    columns = {*_OBJECT, *REVISION, "first_at", "count"}
    rows = occurrences.select(*columns).join(objects, on=_OBJECT, how="semi").collect()
    found = [
        rows.join(part.select(*OCCURRENCE, *keys).unique(), on=keys)
        for part, keys in (
            (wanted.filter("has_time"), (*_OBJECT, "first_at")),
            (wanted.filter(~pl.col("has_time")), (*_OBJECT, "uid")),
        )
    ]
    incarnation = pl.col("incarnation").fill_null(0)  # rows of format 1
    latest = incarnation == incarnation.max()
    return (
        pl.concat(part.select(*OCCURRENCE, "incarnation", "resource_version", "count") for part in found)
        .group_by(OCCURRENCE)
        .agg(
            incarnation=incarnation.max(),
            resource_version=pl.col("resource_version").filter(latest).max(),
            count=pl.max("count"),
        )
        .sort(OCCURRENCE)
        .select(*KNOWN)
    )
