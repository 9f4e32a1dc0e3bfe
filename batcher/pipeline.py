"""The order of the stages, and the only place that collects.

``run`` is a pure function: the same lines, outcomes, state, ``now`` and rules give the same result, byte for
byte, today and after an upgrade in between. It changes no state; it says what changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from batcher import schema
from batcher.decode import Decoded, Retried
from batcher.schema import OCCURRENCE, SESSION, SLOT
from batcher.stages.adopt import adopt_rows, claims_now, judge, move, moves, name_namespaces
from batcher.stages.aggregate import measured, sessions
from batcher.stages.carry import carry_slots, carry_summaries
from batcher.stages.conceal import learn, outdated, told_nodes
from batcher.stages.deduplicate import deduplicate, forgotten, remember
from batcher.stages.enrich import regard_owner
from batcher.stages.expire import ANY_NUMBER, FOR_EVER, Bounds
from batcher.stages.gaps import STREAM, find_gaps, last_contacts
from batcher.stages.listen import as_of, last_clocks, lifetime, listen, run_clocks
from batcher.stages.locate import BELIEVES_RULES, Rule, Trust, locate
from batcher.stages.measure import measure
from batcher.stages.recall import KNOWN, heard_now, recall
from batcher.stages.render import Look, render
from batcher.stages.renew import revive, write_again
from batcher.stages.route import Route, route, told_elsewhere, told_mapped
from batcher.stages.settle import settle
from batcher.telemetry import Fate

STATE_KEYS: dict[str, tuple[str, ...]] = {
    "seen": OCCURRENCE,
    "open_slots": ("summary", "slot"),
    "open_summaries": ("summary",),
    "contacts": STREAM,
    "clocks": ("cluster_key",),
    "claims": ("cluster_uid", "namespace"),
    "nodes": ("cluster_uid", "name"),
}
"""The tables of the state, each with the columns that name a row."""

STATE_COLUMNS: dict[str, schema.Columns] = {
    "seen": schema.SEEN,
    "open_slots": schema.OPEN_SLOTS,
    "open_summaries": schema.OPEN_SUMMARIES,
    "contacts": schema.CONTACTS,
    "clocks": schema.CLOCKS,
    "claims": schema.CLAIMS,
    "nodes": schema.NODES,
}

State = dict[str, pl.DataFrame]
"""One frame for each of :data:`STATE_COLUMNS`."""


@dataclass(frozen=True)
class Rules:
    """What of the configuration a batch depends on."""

    mapping: tuple[Rule, ...]
    event_ttl: timedelta
    window: timedelta
    longest: timedelta
    prefix: bool
    owner: bool
    event_ttls: dict[str, timedelta] = field(default_factory=dict)
    """By the cluster's name; ``event_ttl`` is for all others."""
    trust: Trust = BELIEVES_RULES
    hold: timedelta = timedelta(0)
    """How long what has no workspace waits for one."""
    expose_nodes: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    max_age: timedelta = FOR_EVER
    max_pending: int = ANY_NUMBER
    routes: tuple[Route, ...] = ()
    critical: tuple[str, ...] = ()
    """Reasons that are critical, beside those of :mod:`batcher.stages.grade`."""

    @property
    def bounds(self) -> Bounds:
        """How long summaries go on and wait."""
        return Bounds(self.window, self.hold, self.max_age, self.max_pending)

    @property
    def look(self) -> Look:
        """How summaries look."""
        return Look(self.prefix, self.expose_nodes, self.labels, self.annotations)


class Again(NamedTuple):
    """What a batch is asked to do again."""

    retried: Retried = Retried()
    """Quarantined lines to be counted, if they can be."""
    known: pl.DataFrame = schema.empty(KNOWN)
    """What was counted of these before."""
    workspaces: Sequence[str] = ()
    """Whose open summaries are to be written again."""
    letters: pl.DataFrame = schema.empty(schema.OPEN_SUMMARIES)
    """Dead letters to be written after all."""


NOTHING_AGAIN = Again()


class Change(NamedTuple):
    """Rows to put into a table of the state, replacing those of the same key, and keys to take out."""

    put: pl.DataFrame
    removed: pl.DataFrame


class Result(NamedTuple):
    """What a batch adds to the archive, what it changes in the state, and its sums."""

    tables: dict[str, pl.DataFrame]
    changes: dict[str, Change]
    sums: dict[str, int]
    clusters: dict[str, dict[str, int]]
    """By the cluster's name: events, occurrences, warnings (occurrences of that type), lag_ms (mean)."""


def empty_state() -> State:
    """Return the state before the first batch."""
    return {name: schema.empty(columns) for name, columns in STATE_COLUMNS.items()}


def run(
    decoded: Decoded,
    outcomes: pl.DataFrame,
    state: State,
    *,
    batch: int,
    now: datetime,
    rules: Rules,
    again: Again = NOTHING_AGAIN,
) -> Result:
    """Run one batch over ``decoded`` lines, those of ``again``, and :data:`batcher.stages.settle.OUTCOMES`.

    The lines of ``again`` were received before all others, and stand before them.
    """
    seen, known, known_clocks = (state[name].lazy() for name in ("seen", "contacts", "clocks"))
    event_ttl = lifetime(rules.event_ttls, rules.event_ttl)
    contacts = decoded.contacts.lazy()
    clocks = _collect(run_clocks(contacts, known_clocks))
    clocks_now = as_of(last_clocks(pl.concat([known_clocks, clocks])), now)
    lines, counted = listen(measure(decoded.lines.lazy()), clocks), seen
    if len(again.retried.lines):
        older = heard_now(measure(again.retried.lines.lazy()), known_clocks)
        lines, counted = pl.concat([older, lines]), recall(seen, again.known.lazy(), older)
    rows = _collect(deduplicate(lines, counted, event_ttl=event_ttl))
    mapped = _mapped(state, decoded.claims.lazy(), now, rules)
    targets = locate(
        rows.filter("is_new"), mapped.judged.select(*schema.CLAIMS), rules=rules.mapping, trust=rules.trust
    )
    located = _collect(name_namespaces(route(targets, rules.routes, critical=rules.critical), mapped.judged))
    adopted = adopt_rows(told_mapped(located, rules.routes), mapped.judged, hold=rules.hold)
    # A revision that adds nothing is nothing that happened: a restored cluster shows all of its Events so.
    happened = told(adopted, located, rules).filter(pl.col("grew") > 0)
    parts = _collect(sessions(measured(happened), mapped.summaries, window=rules.window, longest=rules.longest))
    slots = carry_slots(
        parts, mapped.slots.select(*schema.OPEN_SLOTS), now=now, window=rules.window, longest=rules.longest
    )
    renewed = _renewed(mapped.summaries.select(*schema.OPEN_SUMMARIES), outcomes.lazy(), again, batch, now)
    summaries = carry_summaries(parts, renewed.summaries, renewed.touched, batch=batch, now=now, bounds=rules.bounds)
    frames = {
        "rows": rows.group_by("is_new").len(),
        "retried": _counted_again(rows),
        "clusters": _by_cluster(rows).sort("cluster"),
        "occurrences": _archived(located, batch),
        "seen": remember(rows).sort(OCCURRENCE),
        "forgotten": forgotten(seen, clocks_now, event_ttl=event_ttl).sort(OCCURRENCE),
        "gaps": find_gaps(contacts, known, event_ttl=event_ttl),
        "contacts": last_contacts(contacts).sort(STREAM),
        "clocks": last_clocks(clocks).sort("cluster_key"),
        **mapped.frames(renewed.summaries),
        **_nodes(state["nodes"].lazy(), told_nodes(rows), now),
        "slots": slots.sort(SLOT),
        "summaries": summaries.sort(SESSION),
        "revived": renewed.revived.select("summary").sort("summary"),
    }
    done = dict(zip(frames, pl.collect_all(list(frames.values()), engine="in-memory"), strict=True))
    readable = again.retried.places.join(done.pop("retried"), on="place")
    done["retries"] = pl.concat([readable, again.retried.others]).sort("position")
    return _result(decoded, outcomes, done, batch=batch, now=now, rules=rules)


class _Renewed(NamedTuple):
    summaries: pl.LazyFrame
    touched: pl.LazyFrame
    """``summary`` of those that an outcome or a request is about."""
    revived: pl.LazyFrame


def _renewed(summaries: pl.LazyFrame, outcomes: pl.LazyFrame, again: Again, batch: int, now: datetime) -> _Renewed:
    """The open summaries after their outcomes and what is asked for, those that were dead letters among them."""
    settled = settle(summaries, outcomes)
    revived = revive(again.letters.lazy(), settled, batch=batch, now=now)
    named = settled.filter(pl.col("workspace").is_in(list(again.workspaces)))
    touched = pl.concat([frame.select("summary") for frame in (outcomes, named, revived)])
    return _Renewed(pl.concat([write_again(settled, again.workspaces), revived]), touched, revived)


class _Mapped(NamedTuple):
    """What was open before the batch, by the targets that namespaces have by now."""

    judged: pl.LazyFrame
    """All claims, with their targets (:func:`batcher.stages.adopt.judge`)."""
    claims: pl.LazyFrame
    gone: pl.LazyFrame
    moved: pl.LazyFrame
    """What of the summaries changed their target (:func:`batcher.stages.adopt.moves`)."""
    summaries: pl.LazyFrame
    slots: pl.LazyFrame
    left_slots: pl.LazyFrame

    def frames(self, settled: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
        """Return what becomes of the state by it; ``settled`` are the summaries with their outcomes."""
        return {
            "claims": self.claims.sort("cluster_uid", "namespace"),
            "gone": self.gone.sort("cluster_uid", "namespace"),
            "moved": self.moved.select("was").sort("was"),
            "moved_slots": self.slots.filter("is_moved").sort("summary", "slot"),
            "moved_summaries": settled.join(self.moved, on="summary", how="semi").sort("summary"),
            "left_slots": self.left_slots.sort("summary", "slot"),
        }


def _mapped(state: State, told: pl.LazyFrame, now: datetime, rules: Rules) -> _Mapped:
    known, summaries, slots = (state[name].lazy() for name in ("claims", "open_summaries", "open_slots"))
    judged = _collect(judge(known, told, rules=rules.mapping, trust=rules.trust))
    moved = _collect(moves(summaries, judged, rules=rules.mapping, trust=rules.trust, hold=rules.hold))
    return _Mapped(
        judged,
        claims_now(judged, told),
        known.filter(now - pl.col("gone_at") > 2 * rules.event_ttl),
        moved,
        _collect(move(summaries, moved)),
        _collect(move(slots, moved)),
        slots.join(moved.select(summary="was"), on="summary", how="semi"),
    )


def told(mapped: pl.LazyFrame, located: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Return the rows that are told, once a place: those ``mapped``, and those of ``located`` that routes copy."""
    copies = told_elsewhere(located, rules.routes, allowed=rules.trust.allowed)
    rows = pl.concat([mapped, copies.with_columns(adopted_by=pl.lit(0, pl.Int64))], how="diagonal")
    return regard_owner(rows) if rules.owner else rows


def _nodes(known: pl.LazyFrame, told: pl.LazyFrame, now: datetime) -> dict[str, pl.LazyFrame]:
    learned = learn(known, told).sort("cluster_uid", "name")
    gone = outdated(known, now).sort("cluster_uid", "name")
    return {"nodes": learned, "nodes_gone": gone, "nodes_known": pl.concat([known, learned])}


def _collect(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Compute what several later frames start from once: ``collect_all`` alone would repeat it for each.

    In memory, because the streaming engine gives groups in an order that differs from run to run.
    """
    return frame.collect(engine="in-memory").lazy()


def _counted_again(rows: pl.LazyFrame) -> pl.LazyFrame:
    fate = pl.when("is_new").then(pl.lit(Fate.REVISION.value)).otherwise(pl.lit(Fate.REPEAT.value))
    return rows.filter(delivered="RETRIED").select(place="position", fate=fate, cause=pl.lit(""))


def _by_cluster(rows: pl.LazyFrame) -> pl.LazyFrame:
    lag = (pl.col("received_at") - pl.col("last_at")).dt.total_milliseconds().clip(0)
    fresh = pl.col("is_new") & ~pl.col("delivered").is_in(["LISTED", "RETRIED"])
    return rows.group_by("cluster").agg(
        events=pl.len(),
        occurrences=pl.sum("grew"),
        warnings=pl.col("grew").filter(pl.col("type") == "Warning").sum(),
        lag_ms=lag.filter(fresh).mean().fill_null(0).cast(pl.Int64),
    )


def _archived(located: pl.LazyFrame, batch: int) -> pl.LazyFrame:
    return located.with_columns(batch=pl.lit(batch, pl.Int64)).select(*schema.OCCURRENCES).sort("position")


def _result(
    decoded: Decoded,
    outcomes: pl.DataFrame,
    frames: dict[str, pl.DataFrame],
    *,
    batch: int,
    now: datetime,
    rules: Rules,
) -> Result:
    slots, summaries = frames["slots"], frames["summaries"]
    ended = summaries.filter(pl.col("end").is_not_null())
    refused = ended.filter(pl.col("end") == "dead_lettered")
    dead = _dead_letters(refused, frames["nodes_known"], batch=batch, now=now, look=rules.look)
    stamp = {"batch": pl.lit(batch, pl.Int64)}
    tables = {
        "occurrences": frames["occurrences"],
        "summaries": slots.filter("over")
        .with_columns(**stamp, closed_at=pl.lit(now).cast(schema.TIME))
        .select(*schema.SUMMARIES),
        "dead_letters": dead,
        "gaps": frames["gaps"].with_columns(**stamp).select(*schema.GAPS),
        "quarantine": decoded.quarantined.with_columns(**stamp).select(*schema.QUARANTINE),
        "revivals": frames["revived"].with_columns(**stamp, at=pl.lit(now).cast(schema.TIME)).select(*schema.REVIVALS),
        "retries": frames["retries"].with_columns(**stamp, at=pl.lit(now).cast(schema.TIME)).select(*schema.RETRIES),
    }
    changes = {
        "seen": Change(frames["seen"].select(*schema.SEEN), frames["forgotten"]),
        "open_slots": Change(
            _with_others(slots, frames["moved_slots"], STATE_KEYS["open_slots"], ~pl.col("over"), schema.OPEN_SLOTS),
            pl.concat([slots.filter(pl.col("over") & pl.col("held")), frames["left_slots"]], how="diagonal").select(
                STATE_KEYS["open_slots"]
            ),
        ),
        "open_summaries": Change(
            _with_others(
                summaries, frames["moved_summaries"], ("summary",), pl.col("end").is_null(), schema.OPEN_SUMMARIES
            ),
            pl.concat([ended.select("summary"), frames["moved"].rename({"was": "summary"})]),
        ),
        "claims": _told_again_stays("claims", frames["claims"], frames["gone"]),
        "nodes": _told_again_stays("nodes", frames["nodes"], frames["nodes_gone"]),
        "contacts": Change(frames["contacts"], frames["contacts"].clear().select(STREAM)),
        "clocks": Change(frames["clocks"], frames["clocks"].clear().select("cluster_key")),
    }
    sums = _sums(decoded, outcomes, frames, tables)
    row = {"batch": batch, "now": now, **sums}
    tables["batches"] = pl.DataFrame([[row[name] for name in schema.BATCHES]], schema=schema.BATCHES, orient="row")
    clusters = {row.pop("cluster"): row for row in frames["clusters"].iter_rows(named=True)}
    return Result(tables, changes, sums, clusters)


def _told_again_stays(table: str, told: pl.DataFrame, gone: pl.DataFrame) -> Change:
    """Put what was ``told``, and take out what of ``gone`` was not."""
    keys = STATE_KEYS[table]
    return Change(told, gone.join(told, on=keys, how="anti").select(keys))


def _with_others(
    changed: pl.DataFrame, moved: pl.DataFrame, keys: Sequence[str], goes_on: pl.Expr, columns: schema.Columns
) -> pl.DataFrame:
    """What goes on of ``changed``, and what only has another name now."""
    alone = moved.join(changed, on=keys, how="anti")
    return pl.concat([changed.filter(goes_on).select(*columns), alone.select(*columns)])


def _sums(
    decoded: Decoded, outcomes: pl.DataFrame, frames: dict[str, pl.DataFrame], tables: dict[str, pl.DataFrame]
) -> dict[str, int]:
    by_novelty = dict(frames["rows"].iter_rows())
    occurrences, summaries = tables["occurrences"], frames["summaries"]
    verdicts: dict[str, int] = dict(occurrences["verdict"].value_counts().iter_rows())
    ends: dict[str, int] = dict(summaries["end"].drop_nulls().value_counts().iter_rows())
    ignored, quarantined = sum(decoded.ignored.values()), len(decoded.quarantined)
    fates = tables["retries"]["fate"]
    return {
        "received": len(decoded.lines) + ignored + quarantined,
        "retried": int((fates != Fate.QUARANTINED.value).sum()),
        "revisions": by_novelty.get(True, 0),
        "repeats": by_novelty.get(False, 0),
        "ignored": ignored + int((fates == Fate.IGNORED.value).sum()),
        "quarantined": quarantined,
        "occurrences": int(occurrences["grew"].sum()),
        "kept": verdicts.get("kept", 0),
        "unmapped": verdicts.get("unmapped", 0),
        "archive_only": verdicts.get("archive-only", 0),
        "opened": int(summaries["is_new"].sum()),
        "revived": len(tables["revivals"]),
        "published": ends.get("published", 0),
        "dead_lettered": ends.get("dead_lettered", 0),
        "archived": ends.get("archived", 0),
        "writes": int(outcomes["written"].sum()),
        "slots": len(tables["summaries"]),
        "gaps": len(tables["gaps"]),
    }


def _dead_letters(dead: pl.DataFrame, nodes: pl.DataFrame, *, batch: int, now: datetime, look: Look) -> pl.DataFrame:
    events = render(dead.lazy(), nodes.lazy(), now=now, look=look).select("summary", "event")
    return (
        dead.lazy()
        .join(events, on="summary")
        .with_columns(batch=pl.lit(batch, pl.Int64), died_at=pl.lit(now).cast(schema.TIME))
        .select(*schema.DEAD_LETTERS)
        .collect(engine="in-memory")
    )


def advance(state: State, *changes: dict[str, Change]) -> State:
    """Return ``state`` with ``changes`` applied in their order; the only way that state ever moves on.

    Many at once cost about as much as one, because a large table is gone through once.
    """
    merged = {name: _merged([change[name] for change in changes], STATE_KEYS[name]) for name in STATE_KEYS}
    return {name: _apply(state[name], merged[name], STATE_KEYS[name]) for name in STATE_KEYS}


def _merged(changes: Sequence[Change], keys: Sequence[str]) -> Change:
    """One change that does what ``changes`` do one after the other: of each key, the last word counts."""
    if len(changes) == 1:
        return changes[0]
    said = [part for put, removed in changes for part in (
        removed.with_columns(is_put=pl.lit(value=False)), put.with_columns(is_put=pl.lit(value=True)))]  # fmt: skip
    last = pl.concat(said, how="diagonal").unique(subset=keys, keep="last", maintain_order=True)
    columns = changes[0].put.columns
    return Change(last.filter("is_put").select(columns), last.filter(~pl.col("is_put")).select(keys))


def _apply(table: pl.DataFrame, change: Change, keys: Sequence[str]) -> pl.DataFrame:
    gone = pl.concat([change.put.select(keys), change.removed.select(keys)])
    if gone.is_empty():
        return table
    return pl.concat([table.join(gone, on=keys, how="anti"), change.put])
