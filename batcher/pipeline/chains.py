"""What led to what, in the order of its stages: happenings, the causes that are final by now, and guesses for the rest.

A guess becomes a link some minutes later, or another cause does. The steps from cause to cause are a fixed number of
joins, as many as the longest way through the rules; each collects, for the next begins where it ended. What nothing
can change any more is computed once a minute, because it is due at full minutes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import polars as pl

from batcher.causes import BUILT_IN, MOST_STEPS, CauseRule
from batcher.pipeline.rules import Rules
from batcher.schema import FOLLOWED, HAPPENINGS, empty
from batcher.stages.chain import find, follow, forgotten_links, link, remember_links, rename, surest, within_reach
from batcher.stages.explain import explain
from batcher.stages.happen import NO_ROOT, happen
from batcher.stages.host import host, host_later, learn, outdated, sightings

_AT = ("position",)
NOT_MOVED = empty(dict.fromkeys(("was", "summary", "workspace", "target_namespace"), pl.String()))
"""Nothing has another name."""
NOTHING = empty(HAPPENINGS)


class Chains(NamedTuple):
    """What a batch adds to the chains, and how their state goes on."""

    links: pl.DataFrame
    happenings: pl.DataFrame
    """New, judged, or of another summary now."""
    happenings_gone: pl.DataFrame
    known_links: pl.DataFrame
    known_links_gone: pl.DataFrame
    causes: pl.DataFrame
    """Of each summary that has a surer one, or another name."""
    causes_gone: pl.DataFrame
    """Of those that have another name."""
    causes_known: pl.DataFrame
    """All, as of the end of the batch."""
    explained: pl.DataFrame
    """:data:`batcher.schema.CAUSES` of the summaries that ``causes`` are of, those with another name left out."""
    pods: pl.DataFrame
    pods_gone: pl.DataFrame


class News(NamedTuple):
    """What the rows of a batch tell of, on whatever workspace's behalf."""

    happenings: pl.LazyFrame
    """:func:`batcher.stages.happen.happen`."""
    sightings: pl.LazyFrame
    """:func:`batcher.stages.host.sightings`."""


def news(rows: pl.LazyFrame, known: pl.DataFrame, rules: Rules) -> News:
    """Describe what located ``rows`` (:data:`batcher.schema.OCCURRENCES`) are the first to tell of.

    ``known``: :data:`batcher.schema.HAPPENINGS` of the state. To be computed by the caller, beside what else starts
    from these rows: most of it keeps one core busy only.
    """
    every_rule = (*BUILT_IN, *rules.chains)
    return News(happen(rows, _of_these_minutes(known, rows), rules=every_rule, owner=rules.owner), sightings(rows))


class _Renamed(NamedTuple):
    """A table of the state in which summaries have the names that they have by now."""

    now: pl.DataFrame
    changed: pl.DataFrame
    gone: pl.DataFrame
    """Keys that nothing has any more."""


class _Judged(NamedTuple):
    happenings: pl.DataFrame
    """New ones, and those whose cause is final now."""
    effects: pl.DataFrame
    """Those of them that have a cause, :data:`batcher.schema.FOLLOWED`."""


def chains(
    told: News,
    parts: pl.LazyFrame,
    gathered: pl.LazyFrame,
    moved: pl.LazyFrame,
    state: Mapping[str, pl.DataFrame],
    *,
    batch: int,
    now: datetime,
    rules: Rules,
) -> Chains:
    """Link what the batch ``told`` of, and what was told before and is due by ``now``.

    In: :func:`news`; ``parts`` of :func:`batcher.stages.aggregate.sessions`, ``gathered`` of ``gather`` there;
    ``moved`` of :func:`batcher.stages.adopt.moves`; the state before the batch.
    """
    moves, every_rule = moved.collect(), (*BUILT_IN, *rules.chains)
    known = _renamed(state["happenings"], moves, _AT, of=("", "root_"))
    causes = _renamed(state["causes"], moves, ("summary",), of=("", "root_"))
    seen, pods = told.sightings, state["pods"].lazy()
    new = _done(_counted(_done(host(told.happenings, pods, seen)).lazy(), parts, gathered))
    judged = _judged(known.now, new, now, every_rule)
    changed = _over(judged.happenings, known.changed, _AT)
    is_over = pl.col("is_judged") & (pl.col("kept_until") < now)
    over = pl.concat(frame.filter(is_over).select(_AT) for frame in (known.now, changed)).unique(_AT)
    effects, links = judged.effects.lazy(), state["known_links"].lazy()
    written, found, forgotten, surer, hosted, unheard = pl.collect_all(
        [
            link(effects, links, batch=batch),
            remember_links(effects),
            forgotten_links(links, now),
            surest(effects, causes.now.lazy()),
            learn(pods, seen),
            outdated(pods, now),
        ],
        engine="in-memory",
    )
    return Chains(
        links=written,
        happenings=changed.filter(~is_over).sort(_AT),
        happenings_gone=over.join(known.now.select(_AT), on=_AT, how="semi").sort(_AT),
        known_links=found,
        known_links_gone=forgotten,
        causes=_over(surer, causes.changed, ("summary",)).sort("summary"),
        causes_gone=causes.gone,
        causes_known=_over(surer, causes.now, ("summary",)),
        explained=_explained(judged.effects, surer, rules),
        pods=hosted,
        pods_gone=unheard,
    )


def _counted(new: pl.LazyFrame, parts: pl.LazyFrame, gathered: pl.LazyFrame) -> pl.LazyFrame:
    """Give happenings the ``summary`` that counts them (the mapped one, if routes tell several) and its object, by the
    name that it has there; and what was adopted, its target. Of anything else the target is its own: a summary into
    which many are folded may lie elsewhere.
    """
    names = ("workspace", "target_namespace")
    unmapped = pl.col("workspace") == ""
    told = parts.select("position", "part", "origin", *names, told_kind="regarding_kind", told_name="regarding_name")
    here = told.filter(pl.col("origin") == "")  # one a position
    elsewhere = (
        told.filter(pl.col("origin") != "")
        .join(here, on=_AT, how="anti")
        .sort("position", *names)
        .unique(_AT, keep="first", maintain_order=True)
    )
    own = pl.concat([here, elsewhere]).join(new, on=_AT, how="semi").join(gathered.select("part", "summary"), on="part")
    return (
        new.join(own, on=_AT, how="left", suffix="_own", maintain_order="left")
        .with_columns(
            pl.when(unmapped).then(pl.coalesce(f"{name}_own", name)).otherwise(name).alias(name) for name in names
        )
        .with_columns(pl.coalesce(f"{name}_own", name).alias(name) for name in ("summary", "told_kind", "told_name"))
        .select(*HAPPENINGS)
    )


def _explained(effects: pl.DataFrame, causes: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """What the namespaces of ``effects`` may read of their ``causes``."""
    places = effects.lazy().select("summary", "workspace", "target_namespace", regarding_kind="told_kind")
    return _done(explain(places.unique("summary"), causes.lazy(), expose_nodes=rules.expose_nodes).sort("summary"))


def _of_these_minutes(known: pl.DataFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    """What of ``known`` was received in a minute in which one of ``rows`` may have been."""
    first = rows.select(pl.min("received_at").dt.truncate("1m")).collect().item()
    return known.lazy().filter(pl.col("received_at") >= first) if first else known.clear().lazy()


def _judged(known: pl.DataFrame, new: pl.DataFrame, now: datetime, rules: Sequence[CauseRule]) -> _Judged:
    """Choose the causes of what is due, and guess those of what is new."""
    every = pl.concat([known, new])
    is_due = ~pl.col("is_judged") & (pl.col("due_at") < now)
    roots, final = _follow(every.filter(is_due), every, pl.col("is_judged"), now=now, rules=rules)
    settled = pl.concat([roots, final.select(*HAPPENINGS)]).with_columns(is_judged=pl.lit(value=True))
    waiting = new.filter(~pl.col("is_judged") & ~is_due)
    _, guessed = _follow(waiting, every, pl.lit(value=True), above=settled, now=now, rules=rules)
    told = _over(guessed.select(*HAPPENINGS), new, _AT)
    return _Judged(_over(settled, told, _AT), pl.concat([final, guessed]))


def _follow(
    effects: pl.DataFrame,
    every: pl.DataFrame,
    is_reached: pl.Expr,
    *,
    now: datetime,
    rules: Sequence[CauseRule],
    above: pl.DataFrame = NOTHING,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return those of ``effects`` that have no cause among ``every``, and those that have one with their root
    (:data:`batcher.schema.FOLLOWED`). In neither is what leads to none that ``is_reached``: it waits. Of what is
    ``above`` more is known by now.
    """
    if effects.is_empty():
        return effects, empty(FOLLOWED)
    reasons, lazy = set(effects["reason"].unique()), effects.lazy()
    asked = [rule for rule in rules if reasons.intersection(rule.effect.reasons)]
    # Not kept: another effect may ask for the same node earlier, when nothing was told of it.
    hosted = _done(host_later(lazy, every.lazy())).lazy()
    near = every.filter(within_reach(effects, asked)).lazy()
    found = _done(lazy.join(find(hosted, near, rules=asked), on="position", how="left"))
    roots = found.filter(pl.col("cause_position").is_null()).select(*HAPPENINGS).with_columns(**NO_ROOT)
    pending = found.filter(pl.col("cause_position").is_not_null())
    is_cause = pl.col("position").is_in(pending["cause_position"].unique().implode())
    causes = every.filter(is_cause & is_reached)
    others = _over(above, causes, _AT).join(effects, on=_AT, how="anti")
    front = pl.concat([others, roots]).with_columns(final_at="due_at")
    followed = [empty(FOLLOWED)]
    for _ in range(MOST_STEPS):
        front = _done(follow(pending.lazy(), front.lazy(), now=now))
        if front.is_empty():
            break
        followed.append(front)
    return roots, pl.concat(followed)


def _renamed(table: pl.DataFrame, moves: pl.DataFrame, keys: Sequence[str], *, of: Sequence[str]) -> _Renamed:
    """Give summaries in the columns ``<of>summary`` of ``table`` the names that ``moves`` says."""
    if moves.is_empty():
        return _Renamed(table, table.clear(), table.clear().select(keys))
    now = table.with_row_index("row")
    for prefix in of:
        now = _over(_done(rename(now.lazy(), moves.lazy(), of=prefix)).select(now.columns), now, ("row",))
    before = table.with_row_index("row")
    same = now.join(before, on=now.columns, how="semi", nulls_equal=True)
    changed = now.join(same, on="row", how="anti").drop("row")
    gone = before.join(same, on="row", how="anti").select(keys).join(changed, on=keys, how="anti")
    return _Renamed(now.drop("row"), changed, gone)


def _over(above: pl.DataFrame, below: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """``above``, and the rows of ``below`` that have none of its keys."""
    return below if above.is_empty() else pl.concat([above, below.join(above, on=keys, how="anti")])


def _done(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect(engine="in-memory")
