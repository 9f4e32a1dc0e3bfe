"""Count occurrences by the growth of a cumulative count, so that nothing resent counts twice.

A row is a new revision iff its resourceVersion is above all that were seen of its counting identity before
it, in order of position; what it adds is what its count grew by. Which process, watch or list delivered a
row makes no difference. An event that expired is created again by client-go under a new uid, with its old
count: such an identity, when unknown, adds one.
"""

import polars as pl

from batcher.schema import OCCURRENCE, SEEN
from batcher.stages.listen import LONGEST_STEP

_OF_STATE = ("seen_incarnation", "seen_version", "seen_count")
_READ = (*OCCURRENCE, "cluster", "heard", "incarnation", "resource_version", "count", "created_at", "first_at")
_MADE = ("touched", *_OF_STATE, "generation", "is_new", "recreated", "grew")
_READ_OF_ROWS = (*OCCURRENCE, "cluster_key", "heard", "incarnation", "resource_version", "count", *_MADE[:-2])
_BITS = 2**32


def deduplicate(lines: pl.LazyFrame, seen: pl.LazyFrame, *, event_ttl: pl.Expr) -> pl.LazyFrame:
    """Add ``is_new, grew, recreated, since_at``, and what :func:`remember` needs; sorted by position.

    In: columns of :func:`batcher.stages.measure.measure` and :func:`batcher.stages.listen.listen`, and
    :data:`batcher.schema.SEEN`. ``since_at`` is the earliest time that the counted growth can be said to have
    begun. An identity that was silent for longer than :func:`forgotten` keeps it begins a new generation,
    whether the state still has it or not: else it would depend on where a batch was cut.
    """
    ordered = lines.sort("position").cache()
    known = seen.join(lines.select(OCCURRENCE).unique(), on=OCCURRENCE, how="semi").select(
        *OCCURRENCE, "touched", seen_incarnation="incarnation", seen_version="resource_version", seen_count="count"
    )
    counted = (
        ordered.select(*_READ)
        .join(known, on=OCCURRENCE, how="left", maintain_order="left")
        .with_row_index("row")
        .sort(*OCCURRENCE, "row")
        .with_columns(is_first=_is_first())
        .with_columns(is_silent=_is_silent(event_ttl))
        .with_columns(generation=(pl.col("is_first") | pl.col("is_silent")).cum_sum())
        .with_columns(_of_this_generation())
        .with_columns(is_new=_is_new())
        .with_columns(
            count_before=_before(pl.when("is_new").then("count").otherwise(0), pl.col("seen_count")).cast(pl.Int64)
        )
        .with_columns(recreated=_is_recreated(event_ttl))
        .with_columns(grew=_growth(), is_unknown=pl.col("count_before") == 0)
        .sort("row")
        .select(*_MADE, "is_unknown")
    )
    is_whole = pl.col("is_unknown") & ~pl.col("recreated")
    return (
        pl.concat([ordered.drop(*_MADE, strict=False), counted], how="horizontal")
        .with_columns(since_at=pl.when(is_whole).then("first_at").otherwise("last_at"))
        .drop("is_unknown")
    )


def _is_first() -> pl.Expr:
    """Whether a row is its identity's first; rows lie by identity and position here, and below."""
    return pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in OCCURRENCE).fill_null(value=True)


def _is_silent(event_ttl: pl.Expr) -> pl.Expr:
    """Whether the identity had been silent for too long, since the row before it or since the state saw it."""
    before = pl.when("is_first").then("touched").otherwise(pl.col("heard").shift(1))
    return (pl.col("heard") - before > _kept(event_ttl)).fill_null(value=False)


def _of_this_generation() -> list[pl.Expr]:
    """What the state has seen of an identity, where it was not silent since then."""
    identity = pl.col("is_first").cum_sum()
    goes_on = _running(pl.col("is_silent").cast(pl.Int64), identity) == 0
    return [pl.when(goes_on).then(name).fill_null(0).alias(name) for name in _OF_STATE]


def _is_new() -> pl.Expr:
    """Whether the version is above all before it; what an older incarnation still delivers is not.

    A restored etcd gives versions out again, while emitters go on with their counts: so the order of versions
    begins anew with an incarnation, and the count does not.
    """
    version, seen = (
        _wide(pl.col(incarnation)) * _BITS * _BITS + pl.col(version)
        for incarnation, version in (("incarnation", "resource_version"), ("seen_incarnation", "seen_version"))
    )
    return version > _before(version, seen)


def _is_recreated(event_ttl: pl.Expr) -> pl.Expr:
    is_old = pl.col("created_at") - pl.col("first_at") >= event_ttl
    return (pl.col("count_before") == 0) & pl.col("is_new") & is_old


def _growth() -> pl.Expr:
    growth = pl.max_horizontal(pl.col("count") - pl.col("count_before"), 0)
    return pl.when(~pl.col("is_new")).then(0).when("recreated").then(1).otherwise(growth)


def _before(value: pl.Expr, seen: pl.Expr) -> pl.Expr:
    """The largest ``value`` of the rows before, within the generation, and not below what the state has ``seen``."""
    generation = pl.col("generation")
    running = _running(value, generation).shift(1)
    return pl.max_horizontal(pl.when(generation == generation.shift(1)).then(running).otherwise(0), seen)


def _running(value: pl.Expr, group: pl.Expr) -> pl.Expr:
    """The largest ``value`` so far within its ``group``, of rows that lie by group.

    Groups are numbered upwards, so one pass does for all of them: ten times faster than a window each.
    """
    above = _wide(group) * _BITS * _BITS * _BITS
    return (above + value).cum_max() - above


def _wide(value: pl.Expr) -> pl.Expr:
    """A number with room above it: the group, 32 bits of incarnation, 64 of version or count."""
    return value.cast(pl.Int128)


def _kept(event_ttl: pl.Expr) -> pl.Expr:
    """How long an identity is kept, in microseconds: by then the cluster has dropped the event a TTL ago.

    What a short TTL needs more is for the one step that an outage adds to the clock.
    """
    ttl = event_ttl.dt.total_microseconds()
    return ttl + pl.max_horizontal(ttl, pl.lit(LONGEST_STEP).dt.total_microseconds())


def remember(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the :data:`batcher.schema.SEEN` rows of all identities in ``rows``, to replace those in state."""
    seen_version = pl.when(pl.col("seen_incarnation") == pl.col("latest")).then("seen_version").otherwise(0)
    version = pl.when(pl.col("incarnation") == pl.col("latest")).then("resource_version").otherwise(0)
    count = pl.when("is_new").then("count").otherwise(0)
    latest = pl.max_horizontal("incarnation", "seen_incarnation").max().over(OCCURRENCE)
    return (
        rows.select(*_READ_OF_ROWS)
        .filter(pl.col("generation") == pl.max("generation").over(OCCURRENCE))
        .with_columns(latest=latest)
        .with_columns(
            incarnation="latest",
            resource_version=pl.max_horizontal(version, seen_version),
            count=pl.max_horizontal(count, "seen_count"),
            touched=pl.max_horizontal("heard", "touched"),
        )
        .group_by(OCCURRENCE)
        .agg(pl.first("cluster_key"), pl.col("incarnation", "resource_version", "count", "touched").max())
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
