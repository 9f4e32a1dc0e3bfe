"""What cannot be known: times in which a cluster was out of reach for longer than it keeps its Events.

Every section of a stream is a contact, and a watch that hears nothing writes one a minute; so a quiet
cluster leaves no gap, and a silence of contacts means that nobody listened. A shorter one loses no count,
because the list after it still has every Event with its cumulative count.
"""

import polars as pl

from batcher.schema import CONTACTS

STREAM = ("cluster_uid", "scope")


def find_gaps(contacts: pl.LazyFrame, known: pl.LazyFrame, *, event_ttl: pl.Expr) -> pl.LazyFrame:
    """Return ``cluster_uid, cluster, scope, from_at, to_at`` of each silence longer than ``event_ttl``,
    which may depend on ``cluster``.

    In: ``contacts`` and ``known``, both :data:`batcher.schema.CONTACTS`; ``known`` has the last contact of
    each stream before.
    """
    silent = pl.col("received_at") - pl.col("from_at") > event_ttl
    return (
        pl.concat([known, contacts])
        .sort(*STREAM, "received_at")
        .with_columns(from_at=pl.col("received_at").shift(1).over(STREAM))
        .filter(silent)
        .select(*STREAM, "cluster", "from_at", to_at="received_at")
    )


def last_contacts(contacts: pl.LazyFrame) -> pl.LazyFrame:
    """Return the newest contact of each stream, :data:`batcher.schema.CONTACTS`."""
    return contacts.sort("received_at", "incarnation").group_by(STREAM).last().select(*CONTACTS)
