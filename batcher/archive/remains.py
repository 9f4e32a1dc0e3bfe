"""What an archive still knows of a data directory that is lost: enough to go on without counting twice.

A new directory begins with one batch that puts the whole state, and closes what the lost one left open: rows
that were delivered without their batch get one, and its open summaries end ``archived``, to be opened again
from their totals. Numbers of batches and positions go on behind those of the archive, where they order rows.

Reads the whole of some columns, which may take minutes: it happens once in the life of a directory. Writes
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import polars as pl

from batcher import schema
from batcher.archive.deliver import COLUMNS
from batcher.archive.read import scan, settled
from batcher.decode import cluster_key
from batcher.pipeline import STATE_COLUMNS, STATE_KEYS, Change, Result, Rules, State, empty_state, told
from batcher.pipeline.chains import NOT_MOVED, chains, news
from batcher.schema import LATER_KEY, OPEN_SLOTS, SESSION, SUMS, completed
from batcher.spool.position import START, Place, place_of
from batcher.stages.adopt import served_now, uses
from batcher.stages.aggregate import fold_slots, fold_summaries, gather
from batcher.stages.chain import REMEMBERED
from batcher.stages.correlate import STAGED, is_silent, stages_of
from batcher.stages.enlist import enlisted
from batcher.stages.filter import kind_of_verdict
from batcher.stages.fold import fold, places
from batcher.stages.happen import LINKED_WITHIN
from batcher.stages.listen import last_clocks, lifetime
from batcher.stages.reach import reach
from batcher.stages.restore import (
    restore_clocks,
    restore_limits,
    restore_links,
    restore_members,
    restore_objects,
    restore_parts,
    restore_rows,
    restore_seen,
)
from batcher.stages.route import told_mapped
from batcher.staging import DATED_BY
from batcher.store import Root
from batcher.telemetry import SummaryKind, Verdict


class Remains(NamedTuple):
    """Where the lost directory ended, and what the first batch after it is."""

    batch: int
    """The last number of a batch that any table has."""
    end: Place
    """Behind every position of the archive."""
    totals: dict[str, int]
    now: datetime
    """Of the first batch; not behind anything that is archived."""
    result: Result


class _Last(NamedTuple):
    """The newest of everything."""

    batch: int
    complete: int
    """The last batch that has its row, which is delivered last."""
    at: datetime
    position: int | None


def remains(root: Root, *, rules: Rules, scopes: Mapping[str, Sequence[str]], now: datetime) -> Remains | None:
    """Return what the archive at ``root`` knows, as of ``now``; None if it has no rows.

    ``scopes`` are the namespaces in which each cluster (by name) will be watched, ``""`` for all. Raises
    :class:`batcher.errors.ArchiveError` if it cannot be read.
    """
    return settled(lambda: _remains(root, rules=rules, scopes=scopes, now=now))


def _remains(root: Root, *, rules: Rules, scopes: Mapping[str, Sequence[str]], now: datetime) -> Remains | None:
    last = _last(root)
    if last is None:
        return None
    now = max(now, last.at)
    state = _state(root, last, rules=rules, now=now) | {"contacts": _contacts(root, last, scopes)}
    torn = _torn(root, last)
    totals = _totals([scan(root, "batches").select(SUMS).sum().collect(), torn])
    sums = dict.fromkeys(SUMS, 0) | {
        "opened": len(state["open_summaries"]),
        "archived": totals["opened"]
        + totals["revived"]
        - sum(totals[end] for end in ("published", "dead_lettered", "archived")),
    }
    own = pl.DataFrame([{"batch": last.batch + 1, "now": now, **sums}], schema=schema.BATCHES)
    tables = {"batches": pl.concat([torn, own])}
    changes = {name: Change(frame, frame.clear().select(STATE_KEYS[name])) for name, frame in state.items()}
    end = START if last.position is None else Place(place_of(last.position).segment + 1, 0)
    return Remains(last.batch, end, totals, now, Result(tables, changes, sums, {}))


def _totals(parts: Sequence[pl.DataFrame]) -> dict[str, int]:
    return {name: sum(int(part[name].sum()) for part in parts) for name in SUMS}


def _last(root: Root) -> _Last | None:
    ends = {
        table: scan(root, table).select(batch=pl.max("batch"), at=pl.max(DATED_BY[table])).collect().row(0)
        for table in COLUMNS
    }
    numbers = [batch for batch, _ in ends.values() if batch is not None]
    if not numbers:
        return None
    position = scan(root, "occurrences").select(pl.max("position")).collect().item()
    at = max(at for _, at in ends.values() if at is not None)
    return _Last(max(numbers), ends["batches"][0] or 0, at, position)


def _state(root: Root, last: _Last, *, rules: Rules, now: datetime) -> State:
    """Everything that goes on; a table of the state that no archive can tell begins empty."""
    event_ttl = lifetime(rules.event_ttls, rules.event_ttl)
    kept = 2 * max([rules.event_ttl, *rules.event_ttls.values()])
    # From the beginning of an hour: who had a place in it is known by who came first.
    since = (last.at - max(kept, 2 * rules.longest) - rules.window).replace(minute=0, second=0, microsecond=0)
    occurrences = (
        scan(root, "occurrences", since=since)
        .filter(pl.col("received_at") >= since)
        .with_columns(pl.col("routes", "target_name").fill_null(""))
        .collect()
        .lazy()
    )
    recent = occurrences.filter(pl.col("received_at") >= last.at - kept)
    clocks = restore_clocks(recent).collect().lazy()
    slots = _slots(root, since).lazy()
    routed, templates = _told(occurrences, rules)
    nobody = schema.empty(schema.PLACES).lazy()
    folded = fold(routed, nobody, most=rules.most, window=rules.window, critical=rules.critical).collect().lazy()
    held = places(folded, nobody, window=rules.window)
    limited = restore_limits(occurrences, most=rules.limit, critical=rules.critical, now=now)
    parts = restore_parts(folded, slots, templates, window=rules.window, longest=rules.longest).collect().lazy()
    gathered = gather(parts).collect().lazy()
    members = _members(folded, routed, slots, parts, templates, last=last, rules=rules)
    dead = scan(root, "dead_letters", since=since).select("summary")
    summaries = (
        fold_summaries(gathered, slots)
        .filter(pl.col("last_at") >= now - rules.event_ttl)  # a workspace has forgotten those before it
        .join(dead, on="summary", how="anti")
        .join(enlisted(members.clear(), members, window=rules.correlation_window), on="summary", how="left")
        .rename({"enlisted": "incident"})
        .with_columns(pl.col("incident").fill_null(""))
        .with_columns(version=pl.lit(last.batch + 1, pl.Int64), resource_version=pl.lit(None, pl.String))
    )
    chained = _chained(root, last, occurrences, parts, gathered, summaries, rules=rules, now=now)
    found = chained | {
        "clocks": last_clocks(clocks).sort(STATE_KEYS["clocks"]),
        "seen": restore_seen(recent, clocks, event_ttl=event_ttl).sort(STATE_KEYS["seen"]),
        "open_slots": fold_slots(gathered, schema.empty(OPEN_SLOTS).lazy()).sort(STATE_KEYS["open_slots"]),
        "open_summaries": summaries.sort("summary"),
        "served": _served(occurrences).sort(STATE_KEYS["served"]),
        "places": pl.concat([held.filter(pl.col("until") > now), limited]).sort(STATE_KEYS["places"]),
        "objects": restore_objects(occurrences, rules.trust.objects).sort(STATE_KEYS["objects"]),
        "members": members.select(*schema.MEMBERS).sort(STATE_KEYS["members"]),
        "presence": reach(schema.empty(schema.PRESENCE).lazy(), occurrences).sort(STATE_KEYS["presence"]),
    }
    return {
        name: completed(found[name].collect(), columns) if name in found else schema.empty(columns)
        for name, columns in STATE_COLUMNS.items()
    }


def _told(occurrences: pl.LazyFrame, rules: Rules) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """What of the archive was told, and by position the templates that it would have by the other ``aggregation.key``.

    An archived message is redacted already, and must not be again: its template would be another.
    """
    as_archived = replace(rules, by_template=True, redact_archive=())
    every = restore_rows(told(told_mapped(occurrences, rules.routes), occurrences, as_archived)).collect().lazy()
    is_plain, none = pl.col("kind") == SummaryKind.PLAIN.value, pl.lit("")
    plain = every.filter(is_plain).unique("position")
    if rules.by_template:
        return every, plain.select("position", instead=none)
    without = every.with_columns(template=pl.when(is_plain).then(none).otherwise("template"))
    return without, plain.select("position", instead="template")


def _served(occurrences: pl.LazyFrame) -> pl.LazyFrame:
    """The last target of each namespace: what waits for one shall not become another tenant's by the loss."""
    nobody_told = occurrences.with_columns(is_told=pl.col("target_name") != "")
    return served_now(uses(nobody_told), schema.empty(schema.SERVED).lazy())


def _members(
    folded: pl.LazyFrame,
    routed: pl.LazyFrame,
    slots: pl.LazyFrame,
    parts: pl.LazyFrame,
    templates: pl.LazyFrame,
    *,
    last: _Last,
    rules: Rules,
) -> pl.LazyFrame:
    """What was an incident, or might have become one, when the archive was heard of last."""
    if not rules.correlates:
        return schema.empty(STAGED).lazy()
    window, longest = rules.correlation_window, rules.correlation_longest
    found = restore_members(
        folded, routed, slots, parts, templates, window=window, longest=longest, critical=rules.critical
    )
    staged = stages_of(found.collect().lazy(), over=is_silent(last.at, window))
    return staged.filter(~pl.col("is_over")).collect().lazy()


def _chained(
    root: Root,
    last: _Last,
    occurrences: pl.LazyFrame,
    parts: pl.LazyFrame,
    gathered: pl.LazyFrame,
    summaries: pl.LazyFrame,
    *,
    rules: Rules,
    now: datetime,
) -> dict[str, pl.LazyFrame]:
    """What may still be a cause or an effect; which links were written is in the archive."""
    recent = occurrences.filter(pl.col("received_at") >= last.at - LINKED_WITHIN)
    state = empty_state()
    told = news(recent, state["happenings"], rules)
    done = chains(told, parts, gathered, NOT_MOVED.lazy(), state, batch=last.batch, now=now, rules=rules)
    links = scan(root, "links", since=last.at - REMEMBERED)
    return {
        "happenings": done.happenings.lazy(),
        "pods": done.pods.lazy(),
        "causes": done.causes.lazy().join(summaries, on="summary", how="semi"),
        "known_links": restore_links(links, since=last.at - REMEMBERED),
    }


def _slots(root: Root, since: datetime) -> pl.DataFrame:
    """All slots of each session of which one was archived ``since``."""
    recent = _summaries(root, since).filter(pl.col("closed_at") >= since).select(*SESSION).unique().collect()
    began = recent["began_at"].min()
    if not isinstance(began, datetime):
        return schema.empty(schema.SUMMARIES)
    return _summaries(root, began).join(recent.lazy(), on=SESSION, how="semi").collect()


def _summaries(root: Root, since: datetime) -> pl.LazyFrame:
    """The table; older versions archived not all that names a session."""
    return scan(root, "summaries", since=since).with_columns(pl.col(LATER_KEY).fill_null(""))


def _contacts(root: Root, last: _Last, scopes: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Each stream as heard of when the archive was: if nobody listens for too long, its next contact tells a gap."""
    latest = {"cluster": pl.last("cluster"), "incarnation": pl.max("incarnation").fill_null(0)}
    named = (
        scan(root, "occurrences").sort("position").group_by("cluster_uid").agg(**latest).sort("cluster_uid").collect()
    )
    rows = [
        (cluster_key(uid), uid, name, scope, incarnation, last.at)
        for uid, name, incarnation in named.iter_rows()
        for scope in scopes.get(name) or [""]
    ]
    return pl.DataFrame(rows, schema=schema.CONTACTS, orient="row")


def _torn(root: Root, last: _Last) -> pl.DataFrame:
    """A row for each batch that a delivery was cut short of, with the sums of what arrived: no more can be known."""
    verdicts = {verdict.value.replace("-", "_"): (kind_of_verdict() == verdict.value).sum() for verdict in Verdict}
    counts = {
        "occurrences": {"received": pl.len(), "revisions": pl.len(), "occurrences": pl.sum("grew"), **verdicts},
        "summaries": {"slots": pl.len()},
        "incidents": {"incidents": pl.len()},
        "links": {"links": pl.len()},
        "dead_letters": {"dead_lettered": pl.len(), "opened": pl.len()},
        "gaps": {"gaps": pl.len()},
    }
    torn = pl.DataFrame({"batch": range(last.complete + 1, last.batch + 1)}, schema={"batch": pl.Int64})
    for table, sums in counts.items():
        rows = scan(root, table).filter(pl.col("batch") > last.complete).group_by("batch").agg(**sums).collect()
        torn = torn.join(rows, on="batch", how="left")
    said = completed(torn, {**schema.BATCHES, "now": schema.TIME})
    return said.with_columns(now=pl.lit(last.at, schema.TIME)).fill_null(0).cast(pl.Schema(schema.BATCHES))
