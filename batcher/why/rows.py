"""The revisions of what is asked for, and under which key each is told.

The key is what the pipeline itself says (:func:`batcher.pipeline.told`), asked again of the archived row: so it
follows whatever the pipeline comes to do. As of the newest rules; where owners were regarded otherwise, both are tried.
"""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import polars as pl

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.errors import UsageError
from batcher.events import Selection, chosen
from batcher.events.chosen import condition
from batcher.events.named import Named, named
from batcher.pipeline import Rules, told
from batcher.schema import OCCURRENCES, SUMMARY_KEY
from batcher.stages.aggregate import measured
from batcher.stages.enrich import guessed_owner
from batcher.stages.filter import kind_of_verdict
from batcher.stages.route import told_mapped
from batcher.stages.rule import glob
from batcher.text import safe

EVENTS = 20
"""So many Events are followed, those received last."""
_EVENT = ("cluster_uid", "uid")
_OF_EVENTS = ("event", "events", "ev")


class Asked(NamedTuple):
    """What is asked for: an object, or an Event by its name or uid."""

    selection: Selection
    event: str = ""


def asked(text: str, *, namespace: str, cluster: str, since: str, now: datetime) -> Asked:
    """Return what ``text`` names: ``KIND/NAME``, ``event/NAME``, or the name of an Event.

    Raises :class:`UsageError` if it names nothing.
    """
    selection = chosen(namespace=namespace, cluster=cluster, since=since, now=now)
    resource, slash, name = text.partition("/")
    if not text.strip() or (slash and not name):
        message = f"{safe(text)!r} is neither KIND/NAME, such as pod/web-1, nor the name of an Event"
        raise UsageError(message)
    if slash and resource.lower() not in _OF_EVENTS:
        return Asked(selection._replace(about=named("OBJECT", text)))
    return Asked(selection, name if slash else text)


class Found(NamedTuple):
    """The newest revision of each Event, and how many there are."""

    rows: pl.DataFrame
    """:data:`batcher.schema.OCCURRENCES`, and ``revisions, occurrences, first_received`` of the Event; newest first."""
    verdicts: pl.DataFrame
    """``cluster_uid, uid, verdict, len``."""
    events: int
    """All that there are."""


def found(directory: DataDirectory, what: Asked) -> Found:
    """Return the revisions that tell most of each Event: the newest that adds something, else the newest.

    Raises :class:`batcher.errors.ArchiveError`.
    """

    def look() -> Found:
        staged = staged_paths(directory)["occurrences"]
        rows = scan(directory.archive, "occurrences", staged, since=what.selection.since).filter(_is_meant(what))
        best = pl.struct(pl.col("grew") > 0, "position")
        keys = (
            rows.group_by(_EVENT)
            .agg(
                position=pl.col("position").sort_by(best).last(),
                revisions=pl.len().cast(pl.Int64),
                occurrences=pl.sum("grew"),
                first_received=pl.min("received_at"),
            )
            .collect(engine="in-memory")
        )
        shown = keys.top_k(EVENTS, by="position")
        there = rows.join(shown.lazy(), on=(*_EVENT, "position")).sort("position", descending=True)
        verdicts = rows.join(shown.lazy(), on=_EVENT, how="semi").group_by(*_EVENT, "verdict").len()
        return Found(there.collect(engine="in-memory"), verdicts.sort("verdict").collect(), len(keys))

    return settled(look)


def _is_meant(what: Asked) -> pl.Expr:
    """An object is also what its Pods and ReplicaSets say, as far as their names tell whose they are."""
    about, within = what.selection.about, condition(what.selection._replace(about=None))
    if about is None:
        return within & ((pl.col("name") == what.event) | (pl.col("uid") == what.event))
    return within & (condition(Selection(about=about)) | _is_of(about))


def _is_of(owner: Named) -> pl.Expr:
    if "deployment" not in owner.kinds:
        return pl.lit(value=False)
    return guessed_owner().str.contains(glob(owner.name)).fill_null(value=False)


KEY = ("cluster_uid", "regarding_kind", "regarding_name", "type", "reason", "kind", "template", "origin")
"""What of a summary's key a row tells; its target and its namespace uid may have come later."""


def keys(rows: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Return under which :data:`KEY` each of ``rows`` is told (``position``, ``received``), once a place."""
    filled = rows.select(*OCCURRENCES).with_columns(pl.col(pl.String).fill_null(""))
    located = filled.with_columns(verdict=kind_of_verdict())
    parts = []
    for owner in (rules.owner, not rules.owner):
        lazy, as_told = located.lazy(), replace(rules, owner=owner)
        mapped = told_mapped(lazy, rules.routes).with_columns(adopted_by=pl.lit(0, pl.Int64))
        parts.append(measured(told(mapped, lazy, as_told)).select(*SUMMARY_KEY, "position", "received"))
    return pl.concat(parts).collect(engine="in-memory").unique(maintain_order=True)
