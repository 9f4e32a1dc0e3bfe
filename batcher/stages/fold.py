"""Too many summaries become few: what is beyond a bound is told together, by reason, and counted all the same.

Per cluster namespace, target, share (normals never use the warnings') and clock hour, the first keys get a summary of
their own; later ones are told in one a reason. A workspace has a bound over all that is told in it. kcp keeps an Event
for an hour after its last write, and a write comes within an hour of its newest row (``publish.rewriteMost`` is ten
minutes; what waits for a kcp that is away is given up after ``publish.maxAge``): so what is alive at any moment was
received in one of three clock hours, and each of them has a third of ``publish.maxLiveEvents``. That is Events and not
keys: a key that was silent for longer than the window begins another, and takes another place.

Of each third an eighth is kept for folded summaries, and two places for what is too much even for those: one a share,
for all clusters and namespaces of the workspace. Reasons, too, are anybody's text. So however many there are of
whatever a cluster makes up, no more Events are alive than the bound says. What was received before its namespace had
a workspace is not counted in that one when it is adopted, nor is a dead letter that is retried: both may exceed it.
Of what may say for itself whose it is, what is folded before it has a workspace is nobody's.

A folded summary is for its clock hour, which is part of its key: it can say how many objects it is about, and a new
hour begins with places for all. Nothing here drops a row or an occurrence.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import polars as pl

from batcher.schema import MEASURES, NOBODYS, PLACES, SUMMARY_KEY, TARGET
from batcher.stages.expire import ANY_NUMBER
from batcher.stages.grade import NORMAL, share
from batcher.stages.name import keyed, numbered
from batcher.stages.places import Level, hour, place, taken
from batcher.telemetry import SummaryKind

FOLDED_REASON = "EventsFolded"
"""Ours, where even reasons were too many."""
ALL = " all"
"""Ends the template of a summary that tells whatever reasons together: a reason may be called as ours is."""
OURS = "batcher"
OUR_CONTROLLER = "batcher.kcp.io/batcher"
ELSEWHERE = "default"
"""The namespace that every workspace has: for what is too much of all its namespaces."""

ONE_HOUR = timedelta(hours=1)
LIVE_HOURS = 3
FOR_FOLDED = 8
"""One of so many places of a workspace is for folded summaries: 83 of the 666 that 2,000 live Events are an hour."""
SHARES = 2
REASONS = 20
"""Folded summaries of a namespace, share and hour that keep their reason; real components have a dozen."""
OBJECTS = 1000
"""So many objects of a folded summary are told apart."""

_OF_WAITING = ("unmapped_uid", "unmapped_object")
_PLACED = ("at_workspace", "at_namespace")
"""The target by which a row is counted: the one that it had when it was received."""
_OWN = (
    *(name for name in SUMMARY_KEY if name not in {*TARGET, *_OF_WAITING}),
    *_PLACED,
    "share",
    "hour_ends",
)  # fmt: skip
_SPACE = ("cluster_uid", "namespace", *_PLACED, "origin", "share", "hour_text")
_LIVE = ("at_workspace", "hour_text")
_OBJECT = ("cluster_uid", "namespace", "regarding_api_version", "regarding_kind", "regarding_name")
_MEASURED = {"revisions", "occurrences", "first_seen", "last_seen", "messages_vary"}
_READ = (
    *(name for name in SUMMARY_KEY if name not in _OF_WAITING),
    *(name for name in MEASURES if name not in _MEASURED),
    "received_at", "since_at", "grew", "regarding_namespace", "namespace_uid", "adopted_by",
    "object_kind", "claimed_uid", "known_as",
)  # fmt: skip
_RELATED = tuple(f"related_{part}" for part in ("api_version", "kind", "namespace", "name", "field_path"))

KEYS, REASONS_OF, FOLDED, OBJECTS_OF = Level("keys"), Level("reasons"), Level("folded"), Level("objects")


class Most(NamedTuple):
    """How many summaries there may be."""

    keys: int = ANY_NUMBER
    """Of their own: per cluster namespace, target, share and clock hour."""
    live: int = ANY_NUMBER
    """Events of a workspace that are alive at a time."""

    @property
    def folded(self) -> int:
        """Of a workspace and hour."""
        return self.live // LIVE_HOURS // FOR_FOLDED

    @property
    def own(self) -> int:
        """Of a workspace and hour."""
        return max(self.live // LIVE_HOURS - self.folded - SHARES, 0)

    @property
    def normals(self) -> int:
        """Of those: at most half, so that warnings always have the other."""
        return self.own // 2


def levels(window: timedelta) -> tuple[Level, ...]:
    """Return every bound, in the order in which they are asked."""
    return (KEYS, *_live(window), REASONS_OF, FOLDED, OBJECTS_OF)


def _live(window: timedelta) -> tuple[Level, Level]:
    return Level("normals", window), Level("own", window)


def fold(
    rows: pl.LazyFrame, known: pl.LazyFrame, *, most: Most, window: timedelta, critical: Sequence[str] = ()
) -> pl.LazyFrame:
    """Give rows beyond a bound the key of a folded summary, and ``objects`` 1 where one is about another object.

    In: rows that add occurrences, with the columns of :data:`batcher.schema.SUMMARY_KEY` but ``unmapped_*``,
    ``position, received_at, cluster, related_*, component, reporting_controller, message, objects, adopted_by,
    object_kind, claimed_uid, known_as``; and :data:`batcher.schema.PLACES`. Out: the same columns, and those that
    :func:`places` needs; in no order.
    """
    counted = _counted_as(rows, critical).cache()
    asked = pl.concat([counted, _with_places(counted, known, most, window)], how="horizontal").cache()
    is_own = pl.all_horizontal(pl.col(level.has).fill_null(value=True) for level in (KEYS, *_live(window)))
    own = asked.filter(is_own & (pl.col("kind") == ""))
    others = asked.filter(~is_own | (pl.col("kind") != ""))
    return pl.concat([own, _together(others, known, most)], how="diagonal")


def places(folded: pl.LazyFrame, known: pl.LazyFrame, *, window: timedelta) -> pl.LazyFrame:
    """Return :data:`batcher.schema.PLACES` that rows of :func:`fold` took or went on with."""
    parts = [taken(folded, known, level, "hour_ends") for level in levels(window)]
    return pl.concat(parts).select(*PLACES)


def _counted_as(rows: pl.LazyFrame, critical: Sequence[str]) -> pl.LazyFrame:
    """Add what a row is counted by: its share, its hour, and the target that it had before it was adopted."""
    began, is_held = hour(pl.col("received_at")), pl.col("kind") == SummaryKind.SUPPRESSED.value
    held = pl.col("template").str.extract("^([a-z]+)")
    adopted = pl.col("adopted_by").fill_null(0) != 0
    return (
        rows.select(_READ)
        .sort("position", *TARGET, "origin")
        .with_columns(
            share=pl.when(is_held).then(held).otherwise(share(critical)),
            hour_ends=began + ONE_HOUR,
            at_workspace=pl.when(adopted).then(pl.lit("")).otherwise("workspace"),
            at_namespace=pl.when(adopted).then(pl.lit("")).otherwise("target_namespace"),
        )
    )


def _with_places(rows: pl.LazyFrame, known: pl.LazyFrame, most: Most, window: timedelta) -> pl.LazyFrame:
    """Return the columns of the levels that say whether a row's key has a summary of its own, row for row; and the
    hashes ``space`` and ``live`` of who shares places, in a namespace and in a workspace (null: it has none).

    A key asks when it comes, and again after a silence; rows in between have what it got.
    """
    normals, own = _live(window)
    stretches = _stretches(rows, window).cache()
    asking = stretches.filter("starts")
    is_plain = pl.col("kind") == ""
    first = place(
        _hashed(asking), known, KEYS, group=pl.when(is_plain).then("space"), key=pl.col("own_id"), most=most.keys
    )
    asks = is_plain & pl.col(KEYS.has)
    normal = pl.when(asks & (pl.col("share") == NORMAL)).then("live")
    second = place(first, known, normals, group=normal, key=pl.col("own_id"), most=most.normals)
    either = pl.when(asks & pl.col(normals.has).fill_null(value=True)).then("live")
    placed = place(second, known, own, group=either, key=pl.col("own_id"), most=most.own)
    levels_ = (KEYS, normals, own)
    columns = ("space", "live", *(name for level in levels_ for name in level.columns))
    return (
        stretches.select("stretch", "starts")
        .join(placed.select("stretch", *columns), on="stretch", how="left", maintain_order="left")
        .with_columns(pl.col(level.taken) & pl.col("starts") for level in levels_)
        .select(columns)
    )


def _hour_text() -> pl.Expr:
    return (pl.col("hour_ends") - ONE_HOUR).dt.strftime("%Y-%m-%dT%HZ")


def _stretches(rows: pl.LazyFrame, window: timedelta) -> pl.LazyFrame:
    """Number the rows of a key between two silences, and say with which each ``starts``; ``previous_at`` is when its
    key had a row before. Columns of :data:`_OWN` and ``received_at``; the order stays.
    """
    numbered = (
        rows.select("received_at", *_OWN).with_row_index("row").with_columns(own=pl.col("row").first().over(_OWN))
    )
    ordered = numbered.cache()
    silences = (
        ordered.select("row", "own", "received_at")
        .sort("own", maintain_order=True)
        .with_columns(previous_at=pl.when(pl.col("own") == pl.col("own").shift(1)).then(pl.col("received_at").shift(1)))
        .with_columns(starts=(pl.col("received_at") - pl.col("previous_at") > window).fill_null(value=True))
        .with_columns(stretch=pl.col("starts").cum_sum())
        .sort("row")
        .select("previous_at", "starts", "stretch")
    )
    return pl.concat([ordered, silences], how="horizontal")


def _hashed(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return what places depend on: a hash of a row's key, of whom it shares with, and some columns of the row.

    Keys are fewer than rows, namespaces fewer than keys, workspaces fewer than these: each is hashed once.
    """
    is_mapped = pl.col("at_workspace") != ""
    keys = rows.select("own", *_OWN).unique("own").with_columns(hour_text=_hour_text())
    workspaces = keys.select(_LIVE).unique().with_columns(live=pl.when(is_mapped).then(keyed(*_LIVE)))
    spaces = keys.select(_SPACE).unique().with_columns(space=keyed(*_SPACE))
    ids = (
        keys.with_columns(own_id=keyed(*_OWN[:-1], "hour_text"))
        .join(spaces, on=_SPACE, how="left")
        .join(workspaces, on=_LIVE, how="left")
        .select("own", "own_id", "space", "live")
    )
    slim = rows.select("stretch", "received_at", "previous_at", "kind", "share", "own")
    return slim.join(ids, on="own", how="left", maintain_order="left")


def _together(rows: pl.LazyFrame, known: pl.LazyFrame, most: Most) -> pl.LazyFrame:
    """Give rows the key of the summary in which they are told together, the finest that has a place."""
    about = _about_namespace(_nobodys(rows)).cache()
    placed = pl.concat([about.drop("space", "live"), _folded_places(about, known, most)], how="horizontal").cache()
    is_much = ~pl.col(FOLDED.has).fill_null(value=True)
    by_share = _by_share(placed, ~pl.col(REASONS_OF.has) | is_much)
    return _of_workspace(by_share, is_much).with_columns(objects=pl.col(OBJECTS_OF.taken).cast(pl.Int64))


def _folded_places(rows: pl.LazyFrame, known: pl.LazyFrame, most: Most) -> pl.LazyFrame:
    """Return the columns of the levels that say in which summary a row is told, row for row."""
    slim = rows.select("received_at", "share", "kind", "type", "reason", "template", "object", "space", "live")
    reason = pl.col("space") ^ keyed("type", "reason", "kind", "template")
    by_reason = place(slim, known, REASONS_OF, group=pl.col("space"), key=reason, most=REASONS)
    folded_as = pl.when(REASONS_OF.has).then(REASONS_OF.key).otherwise("space")
    folded = place(by_reason, known, FOLDED, group=pl.col("live"), key=folded_as, most=most.folded)
    has_place = pl.col(FOLDED.has).fill_null(value=True)
    told_as = pl.when(has_place).then(folded_as).otherwise(pl.col("live") ^ keyed("share"))
    is_held = (pl.col("kind") == SummaryKind.SUPPRESSED.value) & pl.col(REASONS_OF.has) & has_place
    group, object_ = pl.when(~is_held).then(told_as), pl.col("object") ^ told_as
    counted = place(folded, known, OBJECTS_OF, group=group, key=object_, most=OBJECTS)
    return counted.select(name for level in (REASONS_OF, FOLDED, OBJECTS_OF) for name in level.columns)


def _nobodys(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Leave to nobody what had no workspace and is about an object that may say whose it is: another object of the
    namespace may be another tenant's, and what is told together can be given to one only.
    """
    waited = (pl.col("object_kind") != "") & (pl.col("at_workspace") == "")
    instead = dict.fromkeys(TARGET, pl.lit("")) | {"namespace_uid": pl.lit(NOBODYS), "adopted_by": pl.lit(0, pl.Int64)}
    return rows.with_columns(pl.when(waited).then(value).otherwise(name).alias(name) for name, value in instead.items())


def _about_namespace(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Make rows about their Namespace, and ours to tell; what they were about goes into ``object``."""
    is_plain = pl.col("kind") == ""
    return rows.with_columns(hour_text=_hour_text()).with_columns(
        kind=pl.when(is_plain).then(pl.lit(SummaryKind.FOLDED.value)).otherwise("kind"),
        template=pl.when(is_plain).then("hour_text").otherwise(pl.concat_str("hour_text", "template", separator=" ")),
        object=numbered(*_OBJECT),
        regarding_api_version=pl.lit("v1"),
        regarding_kind=pl.lit("Namespace"),
        regarding_name=pl.when(pl.col("workspace") == "").then("namespace").otherwise("target_namespace"),
        component=pl.lit(OURS),
        reporting_controller=pl.lit(OUR_CONTROLLER),
        **dict.fromkeys((*_RELATED, "object_uid", "claimed_uid", "known_as"), pl.lit("")),
    )


def _by_share(rows: pl.LazyFrame, chosen: pl.Expr) -> pl.LazyFrame:
    """Tell the ``chosen`` rows together, whatever their reasons; no text of theirs is told."""
    ours = {
        "kind": pl.lit(SummaryKind.FOLDED.value),
        "template": pl.concat_str("hour_text", pl.lit(ALL)),
        "reason": pl.lit(FOLDED_REASON),
        "type": pl.when(pl.col("share") == NORMAL).then(pl.lit("Normal")).otherwise(pl.lit("Warning")),
        "message": pl.lit(""),
    }
    return rows.with_columns(pl.when(chosen).then(value).otherwise(name).alias(name) for name, value in ours.items())


def _of_workspace(rows: pl.LazyFrame, chosen: pl.Expr) -> pl.LazyFrame:
    """Tell the ``chosen`` rows together, whatever cluster and namespace of the workspace they are of."""
    nobodys = dict.fromkeys(("cluster_uid", "cluster", "namespace", "origin"), "")
    there = dict.fromkeys(("target_namespace", "regarding_name"), ELSEWHERE)
    return _by_share(rows, chosen).with_columns(
        pl.when(chosen).then(pl.lit(value)).otherwise(name).alias(name) for name, value in (nobodys | there).items()
    )
