"""State again from what the archive has of it, for a directory that goes on where a lost one has ended.

What an identity was counted up to is in its revisions; what a session adds up to is in the slots that were
archived and in the revisions received since. So both are computed by the stages that computed them first.
Nothing is counted here that was not archived: what was lost with the directory comes with the next list.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from batcher.decode import cluster_key, identified
from batcher.schema import (
    CLAIMED,
    CLOCKS,
    LINKED,
    MEASURES,
    MEMBERS,
    OBJECTS,
    PLACES,
    SEEN,
    SESSION,
    SUMMARY_KEY,
    TARGET,
    completed,
    empty,
)
from batcher.stages.aggregate import measured, sessions
from batcher.stages.attribute import ObjectKind, attribute
from batcher.stages.correlate import correlate, keyed
from batcher.stages.deduplicate import deduplicate, remember
from batcher.stages.limit import limit, limits
from batcher.stages.listen import listen, run_clocks
from batcher.stages.places import minute
from batcher.telemetry import SummaryKind, Verdict

_TOLD = [Verdict.KEPT.value, Verdict.UNMAPPED.value, Verdict.LIMITED.value]


def restore_clocks(occurrences: pl.LazyFrame) -> pl.LazyFrame:
    """Return :data:`batcher.schema.CLOCKS` at each time that something was received.

    Contacts without lines are not archived, so that the clocks are slow, and an identity is kept longer, not shorter.
    """
    keyed = occurrences.with_columns(cluster_key=_cluster_key())
    return run_clocks(keyed.sort("position").select("cluster_key", "cluster", "received_at"), empty(CLOCKS).lazy())


def restore_seen(occurrences: pl.LazyFrame, clocks: pl.LazyFrame, *, event_ttl: pl.Expr) -> pl.LazyFrame:
    """Return :data:`batcher.schema.SEEN` as it was after ``occurrences``, all of the last two TTLs.

    In: ``clocks`` of :func:`restore_clocks`.
    """
    keyed = occurrences.with_columns(
        pl.col("incarnation").fill_null(0), cluster_key=_cluster_key(), identity_time=_identity_time()
    )
    lines = listen(identified(keyed), clocks)
    return remember(deduplicate(lines, empty(SEEN).lazy(), event_ttl=event_ttl))


def _cluster_key() -> pl.Expr:
    return pl.col("cluster_uid").map_batches(_keys, return_dtype=pl.UInt64)


def _keys(uids: pl.Series) -> pl.Series:
    return pl.Series([cluster_key(uid) for uid in uids.to_list()], dtype=pl.UInt64)


def _identity_time() -> pl.Expr:
    """Where an older version archived none: as API servers write ``Time`` (seconds) and ``MicroTime``."""
    whole = pl.col("first_at").dt.microsecond() == 0
    seconds, micros = (pl.col("first_at").dt.strftime(f"%Y-%m-%dT%H:%M:{part}Z") for part in ("%S", "%S%.6f"))
    return pl.coalesce("identity_time", pl.when(whole).then(seconds).otherwise(micros))


def restore_objects(occurrences: pl.LazyFrame, kinds: Sequence[ObjectKind]) -> pl.LazyFrame:
    """Return the last target of each object that said it for itself, :data:`batcher.schema.OBJECTS`: what waits for
    one shall not become another tenant's by the loss. An object is gone until it is listed.
    """
    said = attribute(occurrences, kinds).filter((pl.col("target_name") != "") & (pl.col("object_kind") != ""))
    newest = said.sort("position").with_columns(namespace="regarding_namespace").group_by(CLAIMED).last()
    had = dict(zip(("was_workspace", "was_namespace"), TARGET, strict=True))
    lines = newest.select(
        *CLAIMED, "cluster", "position", "received_at", uid="claimed_uid", gone_at="received_at", **had
    )
    return completed(lines.collect(), OBJECTS).lazy()


def restore_rows(occurrences: pl.LazyFrame) -> pl.LazyFrame:
    """Return those of archived ``occurrences`` that were summed up, with the columns that an older version lacked.

    Nothing of them is adopted: what had no workspace when it was received has none.
    """
    counted = occurrences.filter(pl.col("verdict").is_in(_TOLD))
    waiting = {
        "namespace_uid": pl.col("namespace_uid").fill_null(""),
        "claimed_uid": pl.col("claimed_uid").fill_null(""),
        "adopted_by": pl.lit(0, pl.Int64),
    }
    return counted.filter(pl.col("grew") > 0).with_columns(since_at=_since_at(), **waiting)


def restore_limits(occurrences: pl.LazyFrame, *, most: int, critical: Sequence[str], now: datetime) -> pl.LazyFrame:
    """Return :data:`batcher.schema.PLACES` that archived ``occurrences`` took of the limits of this minute."""
    counted = occurrences.filter(pl.col("verdict").is_in(_TOLD), pl.col("received_at") >= minute(pl.lit(now)))
    passed = counted.with_columns(verdict=pl.lit(Verdict.KEPT.value))
    nobody = empty(PLACES).lazy()
    return limits(limit(passed, nobody, most=most, critical=critical), nobody).filter(pl.col("until") > now)


def restore_links(links: pl.LazyFrame, *, since: datetime) -> pl.LazyFrame:
    """Return :data:`batcher.schema.KNOWN_LINKS` of archived :data:`batcher.schema.LINKS` that were final ``since``."""
    return links.filter(pl.col("final_at") >= since).group_by(LINKED).agg(used_at=pl.max("final_at")).sort(LINKED)


def restore_parts(
    rows: pl.LazyFrame, slots: pl.LazyFrame, templates: pl.LazyFrame, *, window: timedelta, longest: timedelta
) -> pl.LazyFrame:
    """Return the parts (:func:`batcher.stages.aggregate.sessions`) of ``rows`` that are in none of ``slots``.

    In: rows of :func:`batcher.stages.fold.fold`, and archived :data:`batcher.schema.SUMMARIES`. The slots of a key
    are archived in their order, so what it received up to the newest of them is in one. ``templates`` say of plain rows
    by ``position`` what their template would be ``instead``, by the other value of ``aggregation.key``.
    """
    archived = _archived(slots)
    told = _as_archived(rows, archived, templates)
    later = told.filter(pl.col("through").is_null() | (pl.col("position") > pl.col("through"))).drop("through")
    return sessions(later, archived, window=window, longest=longest)


def _as_archived(rows: pl.LazyFrame, archived: pl.LazyFrame, templates: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``rows`` measured, by the key that they had, and ``through``: up to where it is archived, null: it is not.

    It had another if messages have begun to distinguish since then, or have ceased to.
    """
    is_plain, known = pl.col("kind") == SummaryKind.PLAIN.value, archived.select(*SUMMARY_KEY, "through")
    other = ["instead" if name == "template" else name for name in SUMMARY_KEY]
    before = pl.col("position") <= pl.col("through_instead")
    is_own = (pl.col("position") <= pl.col("through")).fill_null(value=False)
    return (
        measured(rows)
        .join(templates, on="position", how="left", maintain_order="left")
        .with_columns(instead=pl.when(is_plain).then(pl.coalesce("instead", "template")).otherwise("template"))
        .join(known, on=SUMMARY_KEY, how="left", maintain_order="left")
        .join(known, left_on=other, right_on=SUMMARY_KEY, how="left", maintain_order="left", suffix="_instead")
        .with_columns(
            template=pl.when(before & ~is_own).then("instead").otherwise("template"),
            through=pl.max_horizontal("through", "through_instead"),
        )
        .drop("instead", "through_instead")
    )


def restore_members(
    rows: pl.LazyFrame,
    told: pl.LazyFrame,
    slots: pl.LazyFrame,
    parts: pl.LazyFrame,
    templates: pl.LazyFrame,
    *,
    window: timedelta,
    longest: timedelta,
    critical: Sequence[str],
) -> pl.LazyFrame:
    """Return :data:`batcher.schema.MEMBERS` of the incidents that ``rows`` make, over or not.

    In: as :func:`restore_parts`, and ``parts`` of it; ``told`` are the rows before they were folded, ``window`` and
    ``longest`` are those of incidents. What began before the first of ``rows`` begins with it, as another incident.
    """
    began = slots.select(*SUMMARY_KEY, session="began_at", was="began_at").unique().sort("was")
    earlier = (
        _as_archived(rows, _archived(slots), templates)
        .join(parts, on=("position", "origin"), how="anti")
        .sort("received")
        .join_asof(began, left_on="received", right_on="was", by=SUMMARY_KEY, check_sortedness=False)
        .filter(pl.col("session").is_not_null())
        .with_columns(began_at="session")
    )
    columns = (*SUMMARY_KEY, "began_at", *MEASURES)
    happened = (
        pl.concat([earlier.select(columns), parts.select(columns)])
        .sort("position")
        .with_row_index("part")
        .with_columns(pl.col("part").first().over(SESSION))
    )
    return correlate(happened, keyed(told, critical=critical), empty(MEMBERS).lazy(), window=window, longest=longest)


def _archived(slots: pl.LazyFrame) -> pl.LazyFrame:
    """The newest session of each key that was archived, as an open summary."""
    return slots.group_by(SUMMARY_KEY).agg(
        pl.max("began_at"),
        pl.max("last_at"),
        through=pl.max("position"),
        closed=pl.lit(value=False),
        adopted_by=pl.lit(0, pl.Int64),
    )


def _since_at() -> pl.Expr:
    """Where an older version archived none: the count that grew by all of itself began with the first."""
    from_the_first = (pl.col("grew") == pl.col("count")) & ~pl.col("recreated")
    return pl.coalesce("since_at", pl.when(from_the_first).then("first_at").otherwise("last_at"))
