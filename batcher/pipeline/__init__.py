"""The order of the stages, and the only place that collects.

``run`` is a pure function: the same lines, outcomes, state, ``now`` and rules give the same result, byte for
byte, today and after an upgrade in between. It changes no state; it says what changes.
"""

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from batcher import schema
from batcher.decode import Decoded, Retried
from batcher.pipeline.chains import News, chains, news
from batcher.pipeline.incidents import Given, still_open, tell
from batcher.pipeline.result import Result, result
from batcher.pipeline.rules import Rules
from batcher.pipeline.state import STATE_COLUMNS, STATE_KEYS, Change, State, advance, empty_state
from batcher.schema import OCCURRENCE, SESSION, SLOT
from batcher.stages.adopt import (
    NO_MOVES,
    Before,
    Judged,
    Mapping,
    adopt_rows,
    claims_now,
    had,
    is_waiting,
    judge,
    move,
    moves,
    name_namespaces,
    served_now,
    uses,
)
from batcher.stages.aggregate import gather, measured, sessions
from batcher.stages.attribute import attribute, known_as, object_uid
from batcher.stages.carry import carry_slots
from batcher.stages.conceal import learn, outdated, told_nodes
from batcher.stages.contest import contest, date
from batcher.stages.deduplicate import deduplicate, forgotten, remember
from batcher.stages.enrich import publish_lag, regard_owner
from batcher.stages.expire import FOR_EVER
from batcher.stages.filter import cases, filter_rows
from batcher.stages.fold import fold, places
from batcher.stages.gaps import STREAM, find_gaps, last_contacts
from batcher.stages.limit import limit, limits, suppress
from batcher.stages.listen import as_of, last_clocks, lifetime, listen, run_clocks
from batcher.stages.locate import BELIEVES_RULES, locate
from batcher.stages.measure import measure
from batcher.stages.own import NO_WORD, SILENCE, Said, hear, judge_objects, name_objects, objects_now
from batcher.stages.places import outdated as outdated_places
from batcher.stages.recall import KNOWN, heard_now, recall
from batcher.stages.redefine import end_all, redefined
from batcher.stages.renew import revive, write_again
from batcher.stages.route import route, told_elsewhere, told_mapped
from batcher.stages.settle import settle
from batcher.stages.tally import tally
from batcher.stages.template import template
from batcher.stages.vanish import begun_lists, under_way, vanish
from batcher.telemetry import Fate, SummaryKind


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
    seen, known, known_clocks, placed = (state[name].lazy() for name in ("seen", "contacts", "clocks", "places"))
    event_ttl = lifetime(rules.event_ttls, rules.event_ttl)
    contacts = decoded.contacts.lazy()
    clocks = _collect(run_clocks(contacts, known_clocks))
    lines, counted = _lines(listen(measure(_in_order(decoded.lines).lazy()), clocks), seen, known_clocks, again)
    rows = _collect(deduplicate(lines, counted, event_ttl=event_ttl))
    defined = redefined(state["definitions"], rules.definitions)
    said = _said(state, decoded)
    targets = _collect(_located(rows.filter("is_new"), said, rules))
    mapped = _mapped(state, said, uses(targets), now, rules, ends=defined.ends)
    located = _collect(_routed(targets, mapped.judged, placed, rules))
    happened, *told_of = _collect_all(
        [_happened(located, mapped.judged, rules), *news(located, state["happenings"], rules)]
    )
    parts, folded, taken = _parts(happened, mapped.summaries, placed, rules)
    gathered = _collect(gather(parts))
    slots = carry_slots(
        gathered,
        mapped.slots.select(*schema.OPEN_SLOTS),
        now=now,
        window=rules.window,
        longest=rules.longest,
        all_over=defined.ends,
    )
    renewed = _renewed(mapped, outcomes.lazy(), again, batch, now)
    linked = chains(News(*told_of), parts, gathered, mapped.moved, state, batch=batch, now=now, rules=rules)
    given = Given(happened, parts, gathered, mapped.claims, renewed.summaries, renewed.touched, linked.explained)
    telling = tell(state, given, batch=batch, now=now, rules=rules, collect=_collected)
    frames = {
        "rows": rows.group_by("is_new").len(),
        "retried": _counted_again(rows),
        "clusters": _by_cluster(rows).sort("cluster"),
        "rules": tally(located, cases(rules.filter)),
        "occurrences": _archived(located, batch),
        "seen": remember(rows).sort(OCCURRENCE),
        "forgotten": forgotten(
            seen, as_of(last_clocks(pl.concat([known_clocks, clocks])), now), event_ttl=event_ttl
        ).sort(OCCURRENCE),
        "gaps": find_gaps(contacts, known, event_ttl=event_ttl),
        "contacts": last_contacts(contacts).sort(STREAM),
        "clocks": last_clocks(clocks).sort("cluster_key"),
        **mapped.frames(renewed.summaries),
        **_served(state["served"].lazy(), uses(targets), now, rules),
        **_listings(state["listings"].lazy(), said.lists),
        "publish_lag": publish_lag(mapped.summaries, outcomes.lazy()),
        "open_before": mapped.summaries.select("summary"),
        **_nodes(state["nodes"].lazy(), told_nodes(rows), now),
        **_places(placed, [taken, limits(located, placed)], now),
        "folded": folded,
        **telling.frames,
        "slots": slots.sort(SLOT),
        "summaries": telling.summaries.sort(SESSION),
        "revived": renewed.revived.select("summary").sort("summary"),
        "definitions": defined.changed.lazy(),
    }
    done = dict(zip(frames, pl.collect_all(list(frames.values()), engine="in-memory"), strict=True))
    readable = again.retried.places.join(done.pop("retried"), on="place")
    done |= {"retries": pl.concat([readable, again.retried.others]).sort("position"), **linked._asdict()}
    return result(decoded, outcomes, done, batch=batch, now=now, rules=rules)


def _lines(
    lines: pl.LazyFrame, seen: pl.LazyFrame, clocks: pl.LazyFrame, again: Again
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The lines to be counted, those of ``again`` first, and what was counted before them."""
    if again.retried.lines.is_empty():
        return lines, seen
    older = heard_now(measure(again.retried.lines.lazy()), clocks)
    return pl.concat([older, lines]), recall(seen, again.known.lazy(), older)


class _Renewed(NamedTuple):
    summaries: pl.LazyFrame
    touched: pl.LazyFrame
    """``summary`` of those that an outcome or a request is about, or that end because of a new definition."""
    revived: pl.LazyFrame


def _renewed(mapped: "_Mapped", outcomes: pl.LazyFrame, again: Again, batch: int, now: datetime) -> _Renewed:
    """The open summaries after their outcomes and what is asked for, those that were dead letters among them."""
    settled = settle(mapped.summaries.select(*schema.OPEN_SUMMARIES), outcomes)
    letters = again.letters.lazy()
    revived = revive(letters, settled, batch=batch, now=now) if len(again.letters) else letters
    named = settled.filter(pl.col("workspace").is_in(list(again.workspaces)))
    cut = mapped.summaries.filter("is_cut")
    touched = pl.concat([frame.select("summary") for frame in (outcomes, named, revived, cut)])
    return _Renewed(_collect(pl.concat([write_again(settled, again.workspaces), revived])), touched, revived)


class _Said(NamedTuple):
    """What Namespaces and objects say, before and in the batch."""

    claims: pl.LazyFrame
    """By position, with their flaws (:func:`batcher.stages.contest.contest`)."""
    lists: pl.LazyFrame
    """:func:`batcher.stages.vanish.begun_lists`."""
    objects: Said


def _said(state: State, decoded: Decoded) -> _Said:
    heard = _heard(state["objects"], decoded.objects, decoded.object_lists)
    frames = (state["claims"], state["listings"], decoded.claims, decoded.lists)
    if all(frame.is_empty() for frame in frames):
        return _unclaimed().said._replace(objects=heard)
    known, listings, told, begun = (frame.lazy() for frame in frames)
    lists = _collect(begun_lists(begun, listings))
    said = _collect(date(known, vanish(known, told, lists)))
    return _Said(_collect(contest(said)), lists, heard)


class _Unclaimed(NamedTuple):
    said: _Said
    judged: pl.LazyFrame
    now: pl.LazyFrame


@functools.cache
def _unclaimed() -> _Unclaimed:
    """What the stages make of no claims at all, which is what most batches have where no Namespace is trusted."""
    claims, lists, served = (schema.empty(columns).lazy() for columns in (schema.CLAIMS, schema.LISTS, schema.SERVED))
    used = served.with_columns(position=pl.lit(0, pl.Int64))
    begun = _collect(begun_lists(lists, schema.empty(schema.LISTINGS).lazy()))
    said = _collect(contest(date(claims, vanish(claims, claims, begun))))
    judged = _collect(judge(said, used, served, Mapping((), BELIEVES_RULES)))
    now = claims_now(judged, datetime.fromtimestamp(0, UTC), remembered=FOR_EVER)
    return _Unclaimed(_Said(said, begun, SILENCE), judged, _collect(now))


def _heard(known: pl.DataFrame, told: pl.DataFrame, lists: pl.DataFrame) -> Said:
    if known.is_empty() and told.is_empty() and lists.is_empty():
        return SILENCE
    heard = hear(known.lazy(), told.lazy(), lists.lazy())
    return heard._replace(lines=_collect(heard.lines))


def _located(rows: pl.LazyFrame, said: _Said, rules: Rules) -> pl.LazyFrame:
    mapping = rules.namespaces
    return locate(
        attribute(rows, mapping.trust.objects).with_columns(object_uid()),
        said.claims,
        rules=mapping.rules,
        trust=mapping.trust,
        remembered=mapping.remembered,
        objects=said.objects.lines if mapping.trust.objects else None,
    )


def _routed(targets: pl.LazyFrame, judged: Judged, placed: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Say of each row whether it may be told at all, where else, and which namespace and object it is of."""
    routed = targets.pipe(filter_rows, rules.filter, critical=rules.critical).pipe(
        route, rules.routes, critical=rules.critical, minimum=rules.minimum
    )
    limited = limit(routed, placed, most=rules.limit, critical=rules.critical).with_columns(claimed_uid="object_uid")
    named = name_namespaces(limited, judged.claims, remembered=rules.namespaces.remembered)
    if not rules.trust.objects:
        return named
    return name_objects(named, judged.objects, remembered=rules.namespaces.remembered)


class _Mapped(NamedTuple):
    """What was open before the batch, by the targets that namespaces and objects have by now."""

    judged: Judged
    known: Before
    """What the state had of them before the batch."""
    claims: pl.LazyFrame
    """The newest of each namespace (:func:`batcher.stages.adopt.claims_now`)."""
    objects: pl.LazyFrame
    """What is left of the objects."""
    moved: pl.LazyFrame
    """What of the summaries changed their target (:func:`batcher.stages.adopt.moves`)."""
    summaries: pl.LazyFrame
    slots: pl.LazyFrame
    left_slots: pl.LazyFrame

    def frames(self, settled: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
        """Return what becomes of the state by it; ``settled`` are the summaries with their outcomes."""
        names, forgotten = STATE_KEYS["claims"], self.claims.filter("is_forgotten")
        changed = self.claims.filter(~pl.col("is_kept") & ~pl.col("is_forgotten"))
        return {
            "claims": changed.select(*schema.CLAIMS).sort(names),
            "claims_gone": self.known.claims.join(forgotten, on=names, how="semi").select(names).sort(names),
            **_changed("objects", self.known.objects, self.objects),
            "moved": self.moved.select("was").sort("was"),
            "moved_slots": self.slots.filter("is_moved").sort("summary", "slot"),
            "moved_summaries": settled.join(self.moved, on="summary", how="semi").sort("summary"),
            "left_slots": self.left_slots.sort("summary", "slot"),
        }  # fmt: skip


def _changed(table: str, known: pl.LazyFrame, left: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    """Return what of a ``table`` of the state is new or other, and by its keys what is gone."""
    names = STATE_KEYS[table]
    new = left.join(known, on=[*STATE_COLUMNS[table]], how="anti", nulls_equal=True)
    gone = known.join(left, on=names, how="anti").select(names)
    return {table: new.sort(names), f"{table}_gone": gone.sort(names)}


def _mapped(state: State, said: _Said, used: pl.LazyFrame, now: datetime, rules: Rules, *, ends: bool) -> _Mapped:
    before = Before(*(state[name].lazy() for name in ("claims", "served", "objects")))
    summaries = end_all(state["open_summaries"].lazy(), redefined=ends)
    slots, mapping = state["open_slots"].lazy(), rules.namespaces
    claims, left = _judged_claims(said, used, before, now, rules)
    judged = Judged(claims, _judged_objects(said, had(claims, used, before), mapping))
    waits = state["open_summaries"].select(is_waiting().any()).item()
    moved = _collect(moves(summaries, judged, before, mapping, now=now, hold=rules.hold)) if waits else NO_MOVES.lazy()
    lines, remembered = judged.objects, mapping.remembered
    return _Mapped(
        judged,
        before,
        left,
        _collect(objects_now(lines, said.objects.lists, now, remembered=remembered)),
        moved,
        _collect(move(summaries, moved)),
        _collect(move(slots, moved)),
        slots.join(moved.select(summary="was"), on="summary", how="semi"),
    )


def _judged_claims(
    said: _Said, used: pl.LazyFrame, before: Before, now: datetime, rules: Rules
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Return what Namespaces claim with the targets that follow, and the newest of each."""
    if said.claims is _unclaimed().said.claims:
        return _unclaimed().judged, _unclaimed().now
    mapping = rules.namespaces
    claims = _collect(judge(said.claims, used, before.served, mapping, lasts=rules.used_for))
    return claims, _collect(claims_now(claims, now, remembered=mapping.remembered))


def _judged_objects(said: _Said, had_: pl.LazyFrame, mapping: Mapping) -> pl.LazyFrame:
    if said.objects is SILENCE:
        return NO_WORD.lazy()
    judged = judge_objects(
        said.objects, said.claims, had_, rules=mapping.rules, trust=mapping.trust, remembered=mapping.remembered
    )
    return _collect(judged)


def _served(known: pl.LazyFrame, used: pl.LazyFrame, now: datetime, rules: Rules) -> dict[str, pl.LazyFrame]:
    names = STATE_KEYS["served"]
    old = known.filter(now - pl.col("seen_at") > rules.used_for)
    return {"served": served_now(used, known).sort(names), "served_gone": old.select(names).sort(names)}


def _listings(known: pl.LazyFrame, lists: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    listing = under_way(lists)
    ended = known.join(lists, on="cluster_uid", how="semi").join(listing, on="cluster_uid", how="anti")
    return {
        "listings": listing.sort("cluster_uid"),
        "listings_gone": ended.select("cluster_uid").sort("cluster_uid"),
    }


def _happened(located: pl.LazyFrame, judged: Judged, rules: Rules) -> pl.LazyFrame:
    """A revision that adds nothing is nothing that happened: a restored cluster shows all of its Events so."""
    adopted = adopt_rows(told_mapped(located, rules.routes), *judged, rules.namespaces, hold=rules.hold)
    return told(adopted, located, rules).filter(pl.col("grew") > 0)


def told(mapped: pl.LazyFrame, located: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Return the rows that are told, once a place: those ``mapped``, and those of ``located`` that routes copy."""
    copies = told_elsewhere(located, rules.routes, allowed=rules.trust.allowed)
    rows = pl.concat([mapped, copies.with_columns(adopted_by=pl.lit(0, pl.Int64))], how="diagonal")
    plain = rows.with_columns(kind=pl.lit(SummaryKind.PLAIN.value), template=pl.lit(""), objects=pl.lit(0, pl.Int64))
    said = suppress(plain, most=rules.limit, critical=rules.critical)
    named = template(said, rules.redact_archive) if rules.by_template else said
    own = attribute(named, rules.trust.objects).with_columns(object_uid())
    return (regard_owner(own) if rules.owner else own).with_columns(known_as())


def _parts(
    happened: pl.LazyFrame, open_summaries: pl.LazyFrame, placed: pl.LazyFrame, rules: Rules
) -> list[pl.LazyFrame]:
    """Return the rows in sessions, how many are told with others, and the places that they took.

    All that is asked of rows of :func:`batcher.stages.fold.fold`, so that nobody keeps them: they are a copy of all.
    """
    rows = _collect(fold(happened, placed, most=rules.most, window=rules.window, critical=rules.critical))
    parts = sessions(measured(rows), open_summaries, window=rules.window, longest=rules.longest)
    folded = rows.filter(kind=SummaryKind.FOLDED.value).select(pl.len())
    return _collect_all([parts, folded, places(rows, placed, window=rules.window)])


def _nodes(known: pl.LazyFrame, told: pl.LazyFrame, now: datetime) -> dict[str, pl.LazyFrame]:
    learned = learn(known, told).sort("cluster_uid", "name")
    gone = outdated(known, now).sort("cluster_uid", "name")
    return {"nodes": learned, "nodes_gone": gone, "nodes_known": pl.concat([known, learned])}


def _places(known: pl.LazyFrame, taken: Sequence[pl.LazyFrame], now: datetime) -> dict[str, pl.LazyFrame]:
    goes_on, names = pl.concat(taken).filter(pl.col("until") > now), STATE_KEYS["places"]
    return {"places": goes_on.sort(names), "places_gone": outdated_places(known, now).sort(names)}


def _collect(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Compute what several later frames start from once: ``collect_all`` alone would repeat it for each.

    In memory, because the streaming engine gives groups in an order that differs from run to run.
    """
    return _collected(frame).lazy()


def _collect_all(frames: Sequence[pl.LazyFrame]) -> list[pl.LazyFrame]:
    """The same for several that do not need one another: each leaves cores idle that the others can use."""
    return [_in_order(frame).lazy() for frame in pl.collect_all(frames, engine="in-memory")]


def _collected(frame: pl.LazyFrame) -> pl.DataFrame:
    return _in_order(frame.collect(engine="in-memory"))


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Say of rows that lie by position that they do: a sort of what is sorted costs a copy of every column."""
    if "position" not in rows.columns or not rows["position"].is_sorted():
        return rows
    return rows.with_columns(pl.col("position").set_sorted())


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


__all__ = [
    "NOTHING_AGAIN", "STATE_COLUMNS", "STATE_KEYS", "Again", "Change", "Result", "Rules", "State", "advance",
    "empty_state", "run", "still_open", "told",
]  # fmt: skip
