"""What else happened to the same things: the summaries that have something in common with one.

A question, not a table: what is related depends on who asks and when, and the rows that tell are in the archive
already. Two summaries are related if rows of them, within :data:`AROUND` of the one asked for and in its cluster, are
about the same object, workload, node, volume or image, or refer to each other. That one led to the other is in table
``links``. Nothing here hides anything: the answer is for the owner of the archive.
"""

from datetime import timedelta

import polars as pl

from batcher.causes import LONGEST_LAG
from batcher.schema import SESSION, TIME, Columns
from batcher.stages.happen import with_things

AROUND: timedelta = LONGEST_LAG
"""Before it began and after it was told last."""

RELATED: Columns = {
    "summary": pl.String,
    "by": pl.String,
    "cluster": pl.String,
    "namespace": pl.String,
    "regarding_kind": pl.String,
    "regarding_name": pl.String,
    "type": pl.String,
    "reason": pl.String,
    "first_seen": TIME,
    "last_seen": TIME,
    "occurrences": pl.Int64,
    "message": pl.String,
}
"""A related summary, once for each thing that it has in common; ``by`` is one of :data:`BY`."""

BY = ("object", "related", "owner", "node", "volume", "image")
_LINE = ("cluster_uid", "namespace", "type", "reason", "told_kind", "told_name")


def related(summaries: pl.LazyFrame, occurrences: pl.LazyFrame, *, summary: str) -> pl.DataFrame:
    """Return :data:`RELATED` of ``summary``, closest first; empty if there is no such summary.

    In: :data:`batcher.schema.SUMMARIES` (or open ones: the columns that both have), and
    :data:`batcher.schema.OCCURRENCES`.
    """
    whole = _whole(summaries).collect()
    asked = whole.filter(summary=summary)
    if asked.is_empty():
        return pl.DataFrame(schema=RELATED)
    uid, began, last = asked.select("cluster_uid", "began_at", "last_at").row(0)
    near = (pl.col("cluster_uid") == uid) & pl.col("received_at").is_between(began - AROUND, last + AROUND)
    things = _things(occurrences.filter(near & (pl.col("grew") > 0)), whole.lazy()).collect()
    is_own = pl.col("summary") == summary
    own = things.filter(is_own).select("kind", "space", "name", own_role="role").unique()
    met = things.filter(~is_own).join(own, on=("kind", "space", "name"))
    same_role = (pl.col("role") == pl.col("own_role")) & (pl.col("role") != "related")
    by = pl.when(same_role).then("role").otherwise(pl.lit("related"))
    rank = pl.col("by").replace_strict(list(BY), list(range(len(BY))), return_dtype=pl.Int64)
    found = met.select("summary", by=by).unique().join(whole, on="summary")
    return found.sort(rank, "first_seen", "summary").select(*RELATED)


def rows_of(summaries: pl.LazyFrame, occurrences: pl.LazyFrame) -> pl.LazyFrame:
    """Return the ``occurrences`` that a summary of the mapped place counts, with the ``summary``, each once.

    In: as for :func:`related`.
    """
    whole = _whole(summaries)
    both = pl.concat(_counted(with_things(occurrences, owner=owner), whole) for owner in (True, False))
    return both.unique(("position", "summary"), maintain_order=True)


def _whole(summaries: pl.LazyFrame) -> pl.LazyFrame:
    """One row a session, of all its slots."""
    texts = ("cluster", "message")
    return (
        summaries.sort("position")
        .group_by("summary", *SESSION, maintain_order=True)
        .agg(pl.col("last_at", "last_seen").max(), pl.min("first_seen"), pl.sum("occurrences"), pl.col(texts).last())
    )


def _things(rows: pl.LazyFrame, whole: pl.LazyFrame) -> pl.LazyFrame:
    """What each row of a summary is about: ``summary, role, kind, space, name``, in which role once."""
    counted = pl.concat(_counted(with_things(rows, owner=owner), whole) for owner in (True, False))
    space, nowhere = pl.col("regarding_namespace"), pl.lit("")
    things = {
        "object": (pl.col("regarding_kind"), space, "regarding_name"),
        "related": (pl.col("other_kind"), space, "other_name"),
        "owner": (pl.lit("owner"), space, "owner"),
        "node": (pl.lit("node"), nowhere, "node"),
        "volume": (pl.lit("volume"), space, "volume"),
        "image": (pl.lit("image"), nowhere, "image"),
    }
    parts = [
        counted.select("summary", role=pl.lit(role), kind=kind, space=within, name=name)
        for role, (kind, within, name) in things.items()
    ]
    return pl.concat(parts).filter(pl.col("name") != "").unique()


def _counted(rows: pl.LazyFrame, whole: pl.LazyFrame) -> pl.LazyFrame:
    """Add the ``summary`` that counts each row, if it is about ``told_kind`` and ``told_name``; others are left out.

    Summaries of several routes, or under other names, count the same rows: only those of the mapped place are asked.
    """
    mapped = whole.filter(pl.col("origin") == "").select(
        *(name for name in _LINE if not name.startswith("told_")), "summary", "began_at", summary_last_at="last_at",
        told_kind="regarding_kind", told_name="regarding_name",
    )  # fmt: skip
    nobodys = (pl.col("workspace") == "") & (pl.col("regarding_namespace") == "")
    return (
        rows.with_columns(namespace=pl.when(nobodys).then(pl.lit("")).otherwise("namespace"))
        .join(mapped, on=_LINE)
        .filter(pl.col("received_at").is_between("began_at", "summary_last_at"))
    )
