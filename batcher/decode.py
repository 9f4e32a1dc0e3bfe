"""Raw lines to typed columns, or the reason why not.

core/v1 JSON is read as it is: typed models of other clients refuse ``eventTime: null``, which every legacy
Event has. A bad line is a row of ``quarantined`` and costs nobody else anything. Nothing here reads a file,
corrects a value or looks at the clock: times stay text, and the stages give them their meaning.

Counts are bounded at 32 bits, as in the API: an unbounded one would lose the whole batch when the column is
built, and two of 63 bits would make a total negative.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa
import xxhash

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

OWN_LABEL = "batcher.kcp.io/kind"
"""Every Event that batcher writes bears it; loop protection rests on it alone."""

_LOW_64 = 2**64 - 1
_LARGEST = 2**63 - 1
_LARGEST_DIGITS = len(str(_LARGEST))
"""Python reads no number of more than 4,300 digits; one such version would stop every batch after it."""
_Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815  the API's own name
    creationTimestamp: str | None = None  # noqa: N815
    labels: dict[str, str] | None = None


class _Reference(msgspec.Struct, frozen=True, gc=False):
    apiVersion: str = ""  # noqa: N815
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    fieldPath: str = ""  # noqa: N815


class _Source(msgspec.Struct, frozen=True, gc=False):
    component: str = ""
    host: str = ""


class _Series(msgspec.Struct, frozen=True, gc=False):
    count: _Int32 = 0
    lastObservedTime: str | None = None  # noqa: N815


_NO_REFERENCE = _Reference()
_NO_SOURCE = _Source()


class _Event(msgspec.Struct, frozen=True, gc=False):
    metadata: _Metadata
    involvedObject: _Reference = _NO_REFERENCE  # noqa: N815
    related: _Reference | None = None
    source: _Source = _NO_SOURCE
    series: _Series | None = None
    firstTimestamp: str | None = None  # noqa: N815
    lastTimestamp: str | None = None  # noqa: N815
    eventTime: str | None = None  # noqa: N815
    count: _Int32 | None = None
    type: str = ""
    reason: str = ""
    message: str = ""
    action: str = ""
    reportingComponent: str = ""  # noqa: N815
    reportingInstance: str = ""  # noqa: N815


class _Peeked(msgspec.Struct, frozen=True, gc=False):
    """What of an Event names its revision."""

    metadata: _Metadata
    firstTimestamp: str | None = None  # noqa: N815
    eventTime: str | None = None  # noqa: N815


class _WatchLine(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: _Event


_ABSENT = msgspec.Raw()


class _Delivered(msgspec.Struct, frozen=True, gc=False):
    """What tells a watch line from a bare Event, which has no field of that name."""

    object: msgspec.Raw = _ABSENT


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


_watch_decoder = msgspec.json.Decoder(_WatchLine)
_list_decoder = msgspec.json.Decoder(_Event)
_peek_decoder = msgspec.json.Decoder(_Peeked)
_delivered_decoder = msgspec.json.Decoder(_Delivered)
_CHANGES = {"ADDED": None, "MODIFIED": None, "DELETED": Ignored.DELETED, "BOOKMARK": Ignored.BOOKMARK}


def decode(frames: Iterable[tuple[Place, list[Section]]]) -> Decoded:
    """Return the lines of the event streams in ``frames``, each as a row, a quarantined row, or ignored."""
    rows: list[_Row] = []
    bad: list[_Bad] = []
    heard: dict[tuple[Stream, str, int], None] = {}
    ignored = dict.fromkeys(Ignored, 0)
    for place, sections in frames:
        for section, first in _event_sections(sections):
            heard[section.stream, section.cluster, section.received_at] = None
            for index, line in enumerate(section.body.split(b"\n")[: section.lines], first):
                outcome = _decode_line(section, line)
                if isinstance(outcome, tuple):
                    rows.append((place.line(index), section, *outcome))
                elif isinstance(outcome, Ignored):
                    ignored[outcome] += 1
                else:
                    bad.append((place.line(index), section, outcome, line))
    return Decoded(_lines(rows), _quarantined(bad), ignored, _contacts(heard))


def decode_again(quarantined: pl.DataFrame, *, at: int, first: int) -> Retried:
    """Return the lines of ``quarantined`` (:data:`batcher.schema.QUARANTINE`) as if they had been received ``at``.

    Microseconds since the epoch; their positions count on from ``first``. Not the time and the place where they
    came: time runs forward along positions.
    """
    rows: list[_Row] = []
    others: list[tuple[int, int, str, str]] = []
    ordered = quarantined.sort("position")
    places = ordered.select("position", place=first + pl.int_range(pl.len(), dtype=pl.Int64))
    for place, line in enumerate(ordered.iter_rows(named=True), first):
        stream = Stream(line["cluster_uid"], "events", incarnation=line["incarnation"])
        section = Section(stream, line["cluster"], _kind(line["line"]), received_at=at)
        outcome = _decode_line(section, line["line"]) if line["cause"] in RETRIABLE else line["cause"]
        if isinstance(outcome, tuple):
            rows.append((place, section, "RETRIED", outcome[1]))
        elif isinstance(outcome, Ignored):
            others.append((line["position"], place, Fate.IGNORED.value, ""))
        else:
            others.append((line["position"], place, Fate.QUARANTINED.value, str(outcome)))
    return Retried(_lines(rows), pl.DataFrame(others, schema=_OTHERS, orient="row"), places)


def _kind(line: bytes) -> Kind:
    try:
        return Kind.WATCHED if _delivered_decoder.decode(line).object is not _ABSENT else Kind.LISTED
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Kind.LISTED


_Row = tuple[int, Section, str, _Event]
_Bad = tuple[int, Section, Cause, bytes]


def _event_sections(sections: list[Section]) -> Iterator[tuple[Section, int]]:
    first = 0
    for section in sections:
        if section.stream.resource == "events" and section.kind is not Kind.CURSOR:
            yield section, first
        first += section.lines


def _decode_line(section: Section, line: bytes) -> tuple[str, _Event] | Ignored | Cause:
    if section.kind is Kind.REFUSED:
        return Cause.REFUSED
    try:
        if section.kind is Kind.LISTED:
            delivered, event = "LISTED", _list_decoder.decode(line)
        else:
            watched = _watch_decoder.decode(line)
            delivered, event = watched.type, watched.object
            ignored = _CHANGES.get(delivered, Ignored.UNKNOWN_TYPE)
            if ignored is not None:
                return ignored
    except msgspec.ValidationError:
        return Cause.WRONG_SHAPE
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Cause.NOT_JSON
    return _unusable(event.metadata) or (delivered, event)


def _unusable(metadata: _Metadata) -> Ignored | Cause | None:
    if metadata.labels and OWN_LABEL in metadata.labels:
        return Ignored.OWN
    if not metadata.uid:
        return Cause.NO_UID
    if not metadata.name:
        return Cause.NO_NAME
    if not _countable(metadata.resourceVersion):
        return Cause.BAD_RESOURCE_VERSION
    return None


def _countable(version: str) -> bool:
    """Whether it is a number that an object can have: 0 means "any" in requests, and would look like a repeat."""
    digits = version.isascii() and version.isdigit() and len(version) <= _LARGEST_DIGITS
    return digits and 0 < int(version) <= _LARGEST


def identity(cluster_uid: str, namespace: str, name: str, time: str, uid: str) -> tuple[int, int]:
    """Hash the counting identity (:data:`batcher.schema.OCCURRENCE`) to (high, low); ``time`` is ``identity_time``.

    The name, which may hold anything, is last.
    """
    same = f"{cluster_uid}\0{namespace}\0{time or f'uid {uid}'}\0{name}"
    hashed = xxhash.xxh3_128_intdigest(same.encode())
    return hashed >> 64, hashed & _LOW_64


def _identity(cluster_uid: str, event: _Event | _Peeked) -> tuple[int, int]:
    metadata = event.metadata
    return identity(cluster_uid, metadata.namespace, metadata.name, _identity_time(event), metadata.uid)


def _identity_time(event: _Event | _Peeked) -> str:
    return event.firstTimestamp or event.eventTime or ""


REVISIONS: Columns = {
    "index": pl.Int64,
    "identity_high": pl.UInt64,
    "identity_low": pl.UInt64,
    "resource_version": pl.Int64,
}
"""Which revisions some bare objects are, without the rest of them."""


def revisions(cluster_uid: str, items: Sequence[bytes]) -> pl.DataFrame:
    """Return :data:`REVISIONS` of the bare Events ``items``; those that could not be counted are left out."""
    rows: list[tuple[int, int, int, int]] = []
    for index, item in enumerate(items):
        try:
            event = _peek_decoder.decode(item)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if _unusable(event.metadata) is None:
            rows.append((index, *_identity(cluster_uid, event), int(event.metadata.resourceVersion)))
    return pl.DataFrame(rows, schema=REVISIONS, orient="row")


@functools.lru_cache(maxsize=4096)
def cluster_key(cluster_uid: str) -> int:
    """Return the ``cluster_key`` of a cluster (:data:`batcher.schema.CLOCKS`)."""
    return xxhash.xxh3_64_intdigest(cluster_uid.encode())


def _contacts(heard: Iterable[tuple[Stream, str, int]]) -> pl.DataFrame:
    rows = [
        (cluster_key(stream.cluster_uid), stream.cluster_uid, cluster, stream.scope, stream.incarnation, received_at)
        for stream, cluster, received_at in heard
    ]
    return from_rows(rows, CONTACTS, micros="received_at")


def _lines(rows: list[_Row]) -> pl.DataFrame:
    positions, sections, delivered, events = zip(*rows, strict=True) if rows else ((), (), (), ())
    identities = [_identity(s.stream.cluster_uid, e) for s, e in zip(sections, events, strict=True)]
    columns: dict[str, Iterable[object]] = {
        "position": positions,
        "received_at": [s.received_at for s in sections],
        "cluster_uid": [s.stream.cluster_uid for s in sections],
        "cluster_key": [cluster_key(s.stream.cluster_uid) for s in sections],
        "cluster": [s.cluster for s in sections],
        "incarnation": [s.stream.incarnation for s in sections],
        "delivered": delivered,
        "identity_high": [high for high, _ in identities],
        "identity_low": [low for _, low in identities],
        "identity_time": [_identity_time(event) for event in events],
        **_metadata_columns([e.metadata for e in events]),
        **_event_columns(events),
        **_reference_columns("regarding", [e.involvedObject for e in events]),
        **_reference_columns("related", [e.related or _NO_REFERENCE for e in events]),
    }
    table = pa.table({name: pa.array(columns[name], type=_ARROW[name]) for name in LINES})
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  a table, not an array, gives a frame
    return frame


def _metadata_columns(metadata: list[_Metadata]) -> dict[str, Iterable[object]]:
    return {
        "uid": [m.uid for m in metadata],
        "namespace": [m.namespace for m in metadata],
        "name": [m.name for m in metadata],
        "resource_version": [int(m.resourceVersion) for m in metadata],
        "created": [m.creationTimestamp for m in metadata],
    }


def _event_columns(events: tuple[_Event, ...]) -> dict[str, Iterable[object]]:
    return {
        "first": [e.firstTimestamp for e in events],
        "last": [e.lastTimestamp for e in events],
        "event_time": [e.eventTime for e in events],
        "series_last": [e.series.lastObservedTime if e.series else None for e in events],
        "count": [e.count for e in events],
        "series_count": [e.series.count if e.series else None for e in events],
        "type": [e.type for e in events],
        "reason": [e.reason for e in events],
        "message": [e.message for e in events],
        "action": [e.action for e in events],
        "component": [e.source.component for e in events],
        "host": [e.source.host for e in events],
        "reporting_controller": [e.reportingComponent or e.source.component for e in events],
        "reporting_instance": [e.reportingInstance for e in events],
    }


def _reference_columns(role: str, references: list[_Reference]) -> dict[str, Iterable[object]]:
    return {
        f"{role}_api_version": [r.apiVersion for r in references],
        f"{role}_kind": [r.kind for r in references],
        f"{role}_namespace": [r.namespace for r in references],
        f"{role}_name": [r.name for r in references],
        f"{role}_uid": [r.uid for r in references],
        f"{role}_field_path": [r.fieldPath for r in references],
    }


def _quarantined(bad: list[_Bad]) -> pl.DataFrame:
    columns = {name: kind for name, kind in QUARANTINE.items() if name != "batch"}
    rows = [
        (position, s.received_at, s.stream.cluster_uid, s.cluster, s.stream.incarnation, s.note or cause.value, line)
        for position, s, cause, line in bad
    ]
    return from_rows(rows, columns, micros="received_at")


_ARROW = {
    name: {
        pl.String: pa.string(),
        pl.Int64: pa.int64(),
        pl.UInt64: pa.uint64(),
    }.get(kind, pa.timestamp("us", "UTC"))  # type: ignore[call-overload]
    for name, kind in LINES.items()
}
