"""Raw lines to typed columns, or the reason why not.

A bad line is a row of ``quarantined`` and costs nobody else anything. Nothing here reads a file, corrects a value or
looks at the clock.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

from batcher.decode.columns import Gathered
from batcher.decode.identity import cluster_key, identified
from batcher.decode.lines import OWN_LABEL, decode_line, decode_lines, kind_of
from batcher.decode.models import Delivery
from batcher.decode.revisions import REVISIONS, revisions
from batcher.schema import (
    CLAIMS,
    CONTACTS,
    LINES,
    LISTS,
    OBJECT_LISTS,
    OBJECTS,
    QUARANTINE,
    RETRIES,
    Columns,
    empty,
    from_rows,
)  # fmt: skip
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from batcher.telemetry import Cause, Fate, Ignored

_OTHERS: Columns = {name: RETRIES[name] for name in ("position", "place", "fate", "cause")}
_PLACES: Columns = {name: RETRIES[name] for name in ("position", "place")}
RETRIABLE = tuple(cause.value for cause in Cause if cause is not Cause.REFUSED)
"""Of what the watcher refused at once only a part is kept, and the list that followed brought the whole again."""


class Decoded(NamedTuple):
    """What a range of the spool holds: ``received = lines + quarantined + ignored``, row for row."""

    lines: pl.DataFrame
    """Columns :data:`batcher.schema.LINES`, by position."""
    quarantined: pl.DataFrame
    """Columns :data:`batcher.schema.QUARANTINE` without ``batch``, by position."""
    ignored: dict[Ignored, int]
    contacts: pl.DataFrame = empty(CONTACTS)
    """Columns :data:`batcher.schema.CONTACTS`: each time that a cluster was heard of."""
    claims: pl.DataFrame = empty(CLAIMS)
    """Columns :data:`batcher.schema.CLAIMS`, by position; they are no lines of Events, and in no sum."""
    lists: pl.DataFrame = empty(LISTS)
    """Columns :data:`batcher.schema.LISTS`: how far the lists came that the claims are from."""
    objects: pl.DataFrame = empty(OBJECTS)
    """Columns :data:`batcher.schema.OBJECTS`, by position; in no sum either."""
    object_lists: pl.DataFrame = empty(OBJECT_LISTS)
    """Columns :data:`batcher.schema.OBJECT_LISTS`."""


class Retried(NamedTuple):
    """Quarantined lines, read again: each is in exactly one of the frames."""

    lines: pl.DataFrame = empty(LINES)
    """Those that can be counted now, by position; ``delivered`` is ``RETRIED``."""
    others: pl.DataFrame = empty(_OTHERS)
    """``position, place, fate, cause`` of those that need not or cannot be counted."""
    places: pl.DataFrame = empty(_PLACES)
    """``position, place`` of all: where they came, and where they stand now."""


def decode(frames: Iterable[tuple[Place, list[Section]]]) -> Decoded:
    """Return the lines of the event streams in ``frames``, each as a row, a quarantined row, or ignored."""
    counted, bad = Gathered(), list[_Bad]()
    heard: dict[tuple[Stream, str, int], None] = {}
    ignored = dict.fromkeys(Ignored, 0)
    for place, sections in frames:
        for section, first in _event_sections(sections):
            heard[section.stream, section.cluster, section.received_at] = None
            outcomes = decode_lines(section.kind, section.body, section.lines)
            taken = [each for each in outcomes if type(each) is Delivery]
            places = range(place.line(first), place.line(first) + len(outcomes))
            if len(taken) == len(outcomes):
                counted.add(section, places, taken)
                continue
            lines = section.body.split(b"\n")[: section.lines]
            for at, outcome, line in zip(places, outcomes, lines, strict=True):
                if isinstance(outcome, Ignored):
                    ignored[outcome] += 1
                elif isinstance(outcome, Cause):
                    bad.append((at, section, outcome, line))
                else:
                    counted.add(section, (at,), (outcome,))
    return Decoded(counted.frame(), _quarantined(bad), ignored, _contacts(heard))


def decode_again(quarantined: pl.DataFrame, *, at: int, first: int) -> Retried:
    """Return the lines of ``quarantined`` (:data:`batcher.schema.QUARANTINE`) as if they had been received ``at``.

    Microseconds since the epoch; their positions count on from ``first``. Not the time and the place where they
    came: time runs forward along positions.
    """
    counted = Gathered()
    others: list[tuple[int, int, str, str]] = []
    ordered = quarantined.sort("position")
    places = ordered.select("position", place=first + pl.int_range(pl.len(), dtype=pl.Int64))
    for place, line in enumerate(ordered.iter_rows(named=True), first):
        stream = Stream(line["cluster_uid"], "events", incarnation=line["incarnation"])
        section = Section(stream, line["cluster"], kind_of(line["line"]), received_at=at)
        outcome = decode_line(section.kind, line["line"]) if line["cause"] in RETRIABLE else line["cause"]
        if isinstance(outcome, Delivery):
            counted.add(section, [place], [Delivery("RETRIED", outcome.object)])
        elif isinstance(outcome, Ignored):
            others.append((line["position"], place, Fate.IGNORED.value, ""))
        else:
            others.append((line["position"], place, Fate.QUARANTINED.value, str(outcome)))
    return Retried(counted.frame(), pl.DataFrame(others, schema=_OTHERS, orient="row"), places)


_Bad = tuple[int, Section, Cause, bytes]


def _event_sections(sections: list[Section]) -> Iterator[tuple[Section, int]]:
    first = 0
    for section in sections:
        if section.stream.resource == "events" and section.kind is not Kind.CURSOR:
            yield section, first
        first += section.lines


def _contacts(heard: Iterable[tuple[Stream, str, int]]) -> pl.DataFrame:
    rows = [
        (cluster_key(stream.cluster_uid), stream.cluster_uid, cluster, stream.scope, stream.incarnation, received_at)
        for stream, cluster, received_at in heard
    ]
    return from_rows(rows, CONTACTS, micros="received_at")


def _quarantined(bad: list[_Bad]) -> pl.DataFrame:
    columns = {name: kind for name, kind in QUARANTINE.items() if name != "batch"}
    rows = [
        (position, s.received_at, s.stream.cluster_uid, s.cluster, s.stream.incarnation, s.note or cause.value, line)
        for position, s, cause, line in bad
    ]
    return from_rows(rows, columns, micros="received_at")


__all__ = [
    "OWN_LABEL", "RETRIABLE", "REVISIONS", "Decoded", "Retried", "cluster_key", "decode", "decode_again", "identified",
    "revisions",
]  # fmt: skip
