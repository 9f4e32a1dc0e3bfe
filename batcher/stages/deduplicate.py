"""Count occurrences by the growth of a cumulative count, so that nothing resent counts twice.

A row is a new revision iff its resourceVersion is above all that were seen of its counting identity before
it, in order of position; what it adds is what its count grew by. Which process, watch or list delivered a
row makes no difference. An event that expired is created again by client-go under a new uid, with its old
count: such an identity, when unknown, adds one.
"""

import polars as pl

from batcher.schema import OCCURRENCE, SEEN
from batcher.stages.listen import LONGEST_STEP

_GENERATION = (*OCCURRENCE, "generation")
_NEWEST = pl.col("generation") == pl.max("generation")
_OF_STATE = ("seen_incarnation", "seen_version", "seen_count")


def deduplicate(lines: pl.LazyFrame, seen: pl.LazyFrame, *, event_ttl: pl.Expr) -> pl.LazyFrame:
    """Add ``is_new, grew, recreated, since_at``, and what :func:`remember` needs; sorted by position.

    In: columns of :func:`batcher.stages.measure.measure` and :func:`batcher.stages.listen.listen`, and
    :data:`batcher.schema.SEEN`. ``since_at`` is the earliest time that the counted growth can be said to have
    begun. An identity that was silent for longer than :func:`forgotten` keeps it begins a new generation,
    whether the state still has it or not: else it would depend on where a batch was cut.
    """
    known = seen.join(lines.select(OCCURRENCE).unique(), on=OCCURRENCE, how="semi").select(
        *OCCURRENCE, "touched", seen_incarnation="incarnation", seen_version="resource_version", seen_count="count"
    )
    counted = pl.when("is_new").then("count").otherwise(0).cum_max()
    unknown = pl.col("count_before") == 0
    recreated = unknown & pl.col("is_new") & (pl.col("created_at") - pl.col("first_at") >= event_ttl)
    growth = pl.max_horizontal(pl.col("count") - pl.col("count_before"), 0)
    return (
        lines.join(known, on=OCCURRENCE, how="left")
        .sort("position")
        .with_columns(generation=_generation(event_ttl))
        .with_columns(_of_this_generation(column) for column in _OF_STATE)
        .with_columns(is_new=_is_new())
        .with_columns(count_before=_before(counted, "seen_count", _GENERATION))
        .with_columns(recreated=recreated)
        .with_columns(
            grew=pl.when(~pl.col("is_new")).then(0).when("recreated").then(1).otherwise(growth),
            since_at=pl.when(unknown & ~pl.col("recreated")).then("first_at").otherwise("last_at"),
        )
        .drop("count_before")
    )


def _generation(event_ttl: pl.Expr) -> pl.Expr:
    """How often the identity was silent for too long since the state saw it; the rows are by position."""
    before = pl.coalesce(pl.col("heard").shift(1).over(OCCURRENCE), "touched")
    silent = (pl.col("heard") - before > _kept(event_ttl)).fill_null(value=False)
    return silent.cum_sum().over(OCCURRENCE)


def _of_this_generation(seen: str) -> pl.Expr:
    return pl.when(pl.col("generation") == 0).then(seen).fill_null(0).alias(seen)


def _is_new() -> pl.Expr:
    """Whether the version is above all before it; what an older incarnation still delivers is not.

    A restored etcd gives versions out again, while emitters go on with their counts: so the order of versions
    begins anew with an incarnation, and the count does not.
    """
    incarnation = pl.col("incarnation")
    seen_version = pl.when(incarnation == pl.col("seen_incarnation")).then("seen_version").otherwise(0)
    versions = _before(pl.col("resource_version").cum_max(), seen_version, (*_GENERATION, "incarnation"))
    latest = _before(incarnation.cum_max(), "seen_incarnation", _GENERATION)
    return (incarnation >= latest) & (pl.col("resource_version") > versions)


def _before(running: pl.Expr, seen: pl.Expr | str, group: tuple[str, ...]) -> pl.Expr:
    """``running`` up to the row before, within the ``group``, and not below what the state has ``seen``.

    The rows are sorted by position when this is read.
    """
    return pl.max_horizontal(running.shift(1).over(group).fill_null(0), seen)


def _kept(event_ttl: pl.Expr) -> pl.Expr:
    """How long an identity is kept, in microseconds: by then the cluster has dropped the event a TTL ago.

    What a short TTL needs more is for the one step that an outage adds to the clock.
    """
    ttl = event_ttl.dt.total_microseconds()
    return ttl + pl.max_horizontal(ttl, pl.lit(LONGEST_STEP).dt.total_microseconds())


def remember(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the :data:`batcher.schema.SEEN` rows of all identities in ``rows``, to replace those in state."""
    incarnation = pl.max_horizontal("incarnation", "seen_incarnation").filter(_NEWEST).max()
    seen_version = pl.when(pl.col("seen_incarnation") == incarnation).then("seen_version").otherwise(0)
    version = pl.when(pl.col("incarnation") == incarnation).then("resource_version").otherwise(0)
    return (
        rows.group_by(OCCURRENCE)
        .agg(
            cluster_key=pl.first("cluster_key"),
            incarnation=incarnation,
            resource_version=pl.max_horizontal(version, seen_version).filter(_NEWEST).max(),
            count=pl.max_horizontal(
                pl.col("count").filter(_NEWEST & pl.col("is_new")).max().fill_null(0),
                pl.col("seen_count").filter(_NEWEST).max(),
            ),
            touched=pl.max_horizontal(pl.max("heard", "touched")),
        )
        .select(*SEEN)
    )


def forgotten(seen: pl.LazyFrame, clocks: pl.LazyFrame, *, event_ttl: pl.Expr) -> pl.LazyFrame:
    """Return the identities (:data:`batcher.schema.OCCURRENCE`) silent for more than two TTLs of contact.

    In: :data:`batcher.schema.SEEN`, and what :func:`batcher.stages.listen.as_of` returned. The cluster has
    dropped such an event a TTL ago or more; should it come back, it is recognised as re-created by its
    timestamps alone. Identities of format 1 name no cluster: all were touched when clocks began, and go by the
    clock that has run longest.
    """
    oldest = clocks.select("cluster_key", oldest=pl.col("heard") - _kept(event_ttl))
    longest = oldest.select(longest=pl.max("oldest"))
    return (
        seen.join(oldest, on="cluster_key", how="left")
        .join(longest, how="cross")
        .filter(pl.col("touched") < pl.coalesce("oldest", "longest"))
        .select(OCCURRENCE)
    )
