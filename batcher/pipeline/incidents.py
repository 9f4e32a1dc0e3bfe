"""Incidents within a batch: what becomes of their members, of what is told of them, and of the summaries concerned.

Describes only, as the stages do that it puts in order; what several frames start from is computed by its caller.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import NamedTuple

import polars as pl

from batcher import schema
from batcher.pipeline.rules import Rules
from batcher.pipeline.state import State
from batcher.stages.announce import announce, archive
from batcher.stages.carry import BOOKKEEPING, carry_incidents, carry_summaries
from batcher.stages.correlate import STAGED, correlate, fold_members, is_silent, keyed, stages_of, with_causes
from batcher.stages.enlist import alone, enlist, enlisted
from batcher.stages.reach import clusters_of, outdated, reach
from batcher.telemetry import SummaryKind

Collect = Callable[[pl.LazyFrame], pl.DataFrame]

_MEMBER = ("incident", "summary")
_PLACE = ("workspace", "cluster_uid")
_IS_INCIDENT = pl.col("kind") == SummaryKind.INCIDENT.value
_GREW: schema.Columns = STAGED | {"changed": pl.Boolean, "grew": pl.Boolean}
_EVENTS: schema.Columns = {name: kind for name, kind in schema.OPEN_SUMMARIES.items() if name not in BOOKKEEPING} | {
    "grew": pl.Boolean
}
_ENDED: schema.Columns = {name: kind for name, kind in schema.INCIDENTS.items() if name not in ("batch", "closed_at")}


class Given(NamedTuple):
    """What a batch knows when it comes to incidents."""

    happened: pl.LazyFrame
    """The rows that are told and count."""
    parts: pl.LazyFrame
    """The same in sessions (:func:`batcher.stages.aggregate.sessions`)."""
    gathered: pl.LazyFrame
    """What they add (:func:`batcher.stages.aggregate.gather`)."""
    claims: pl.LazyFrame
    """:data:`batcher.schema.CLAIMS` after the batch."""
    settled: pl.LazyFrame
    """:data:`batcher.schema.OPEN_SUMMARIES` after outcomes and requests."""
    touched: pl.LazyFrame
    """``summary`` of those that an outcome or a request is about."""
    causes: pl.DataFrame = schema.empty(schema.CAUSES)
    """:data:`batcher.schema.CAUSES`, as far as they are known by now."""


class Told(NamedTuple):
    """The summaries that change, and what becomes of state and archive."""

    summaries: pl.LazyFrame
    """:data:`batcher.schema.OPEN_SUMMARIES`, ``is_new`` and ``end``; those that incidents are among them."""
    frames: dict[str, pl.LazyFrame]


def tell(state: State, given: Given, *, batch: int, now: datetime, rules: Rules, collect: Collect) -> Told:
    """Return what is told after a batch, of incidents and by them."""
    presence = _present(state["presence"].lazy(), given, now=now, rules=rules)
    incidents = _follow(state["members"], given, presence.clusters, now=now, rules=rules, collect=collect)
    are_open = len(collect(given.settled.filter(_IS_INCIDENT).select("summary"))) > 0
    summaries = _carry(incidents, given, are_open=are_open, batch=batch, now=now, rules=rules)
    return Told(summaries, incidents.frames() | presence.frames())


class Incidents(NamedTuple):
    """The members before a batch and after it, with what their incidents are by now, and what is told of them."""

    before: pl.DataFrame
    after: pl.DataFrame
    """With ``grew``: whether the batch added to its incident."""
    events: pl.DataFrame
    """Of what grows or ends."""
    ended: pl.DataFrame
    """Rows of the archive."""

    def frames(self) -> dict[str, pl.LazyFrame]:
        """Return what becomes of state and archive."""
        over = self.after.lazy().filter("is_over")
        return {
            "members": self.after.lazy().filter("changed", ~pl.col("is_over")).select(*schema.MEMBERS).sort(_MEMBER),
            "members_gone": over.join(self.before.lazy(), on=_MEMBER, how="semi").select(_MEMBER).sort(_MEMBER),
            "incidents": self.ended.lazy().sort("incident"),
        }


class Presence(NamedTuple):
    """Where clusters were seen in a batch, where they are not any more, and all of them by workspace."""

    seen: pl.LazyFrame
    gone: pl.LazyFrame
    clusters: pl.LazyFrame

    def frames(self) -> dict[str, pl.LazyFrame]:
        """Return what becomes of the state."""
        return {"presence": self.seen.sort(_PLACE), "presence_gone": self.gone.sort(_PLACE)}


def still_open(state: State) -> pl.DataFrame:
    """Return the incidents that go on in ``state``: :data:`batcher.schema.INCIDENTS` without when they were written."""
    staged = stages_of(state["members"].lazy(), over=pl.lit(value=False)).filter("is_formed")
    clusters = clusters_of(state["presence"].lazy(), _claimed(state["claims"].lazy()))
    return archive(staged, clusters).select(*_ENDED).sort("first_seen", "incident").collect(engine="in-memory")


def _claimed(claims: pl.LazyFrame) -> pl.LazyFrame:
    """The clusters whose Namespaces claim a workspace now, whether or not their Events say so."""
    there = claims.filter((pl.col("has_workspace") != "") & pl.col("gone_at").is_null())
    since = pl.coalesce("since_at", "received_at")
    return there.select("cluster_uid", "cluster", workspace="has_workspace", first_at=since)


def _present(known: pl.LazyFrame, given: Given, *, now: datetime, rules: Rules) -> Presence:
    """Return the clusters of each workspace after a batch; ``known`` are :data:`batcher.schema.PRESENCE`."""
    here = given.happened.filter(pl.col("origin") == "")
    seen = reach(known, here) if rules.correlates else known.clear()
    by_events = pl.concat([known.join(seen, on=_PLACE, how="anti"), seen])
    gone = outdated(known, now).join(seen, on=_PLACE, how="anti")
    return Presence(seen, gone, clusters_of(by_events, _claimed(given.claims)))


def _follow(
    members: pl.DataFrame, given: Given, clusters: pl.LazyFrame, *, now: datetime, rules: Rules, collect: Collect
) -> Incidents:
    """Return the incidents after a batch; ``members`` are :data:`batcher.schema.MEMBERS` of the state.

    What is small is computed at once, because most batches have nothing of most of it, and a plan costs more than
    its rows.
    """
    added = collect(_added(members, given, rules)) if rules.correlates else members.clear()
    if members.is_empty() and added.is_empty():
        return NONE
    over = is_silent(now, rules.correlation_window)
    before = collect(stages_of(members.lazy(), over=over)) if len(members) else NONE.before
    after = collect(_grown(members, added, given.causes, over))
    told = after.filter(pl.col("is_formed") & (pl.col("grew") | pl.col("is_over")))
    ended = told.filter("is_over")
    return Incidents(
        before,
        after,
        collect(_events(told.lazy(), clusters)) if len(told) else NONE.events,
        collect(archive(ended.lazy(), clusters).select(*_ENDED)) if len(ended) else NONE.ended,
    )


def _events(told: pl.LazyFrame, clusters: pl.LazyFrame) -> pl.LazyFrame:
    grew = told.select("incident", "grew").unique()
    return announce(told, clusters).join(grew, on="incident").select(*_EVENTS)


def _added(members: pl.DataFrame, given: Given, rules: Rules) -> pl.LazyFrame:
    keys = keyed(given.happened, critical=rules.critical)
    window, longest = rules.correlation_window, rules.correlation_longest
    return correlate(given.parts, keys, members.lazy(), window=window, longest=longest)


NONE = Incidents(schema.empty(STAGED), schema.empty(_GREW), schema.empty(_EVENTS), schema.empty(_ENDED))


def _grown(members: pl.DataFrame, added: pl.DataFrame, causes: pl.DataFrame, over: pl.Expr) -> pl.LazyFrame:
    """All members after a batch, ``changed`` where rows or causes were added, and ``grew`` with their incident."""
    folded = fold_members(members.lazy(), added.lazy()) if len(added) else members.lazy()
    explained = with_causes(folded, causes.lazy())
    caused = explained.filter("is_explained").select(_MEMBER)
    changed = pl.concat([added.lazy().select(_MEMBER), caused]).unique().with_columns(changed=pl.lit(value=True))
    return (
        stages_of(explained.select(*schema.MEMBERS), over=over)
        .join(changed, on=_MEMBER, how="left")
        .with_columns(pl.col("changed").fill_null(value=False))
        .with_columns(grew=pl.col("changed").any().over("incident"))
        .select(*_GREW)
    )


def _carry(
    incidents: Incidents, given: Given, *, are_open: bool, batch: int, now: datetime, rules: Rules
) -> pl.LazyFrame:
    """Return the summaries that change, those that incidents are among them if any ``are_open``."""
    bounds, window = rules.bounds, rules.correlation_window
    carry = partial(carry_summaries, given.gathered, batch=batch, now=now, bounds=bounds)
    settled, touched = given.settled, given.touched.select("summary")
    if incidents is NONE and not are_open:
        return carry(settled, touched)
    after = incidents.after.lazy()
    new = enlisted(incidents.before.lazy(), after, window=window)
    single = alone(after, now=now, window=window)
    concerned = pl.concat([touched, new.select("summary"), single.filter(~pl.col("waits")).select("summary")])
    plain = enlist(carry(settled.filter(~_IS_INCIDENT), concerned), new, single, batch=batch)
    ended, open_ = after.filter("is_over"), settled.filter(_IS_INCIDENT)
    told = carry_incidents(incidents.events.lazy(), ended, open_, touched, batch=batch, now=now, bounds=bounds)
    return pl.concat([plain, told])
