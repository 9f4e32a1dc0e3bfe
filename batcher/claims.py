"""Lines of the streams of Namespaces and of watched objects to claims: which workspace each says that it serves.

They come through the spool as Events do, so that the mapping is what was known at a position, whoever asks and
whenever. A line that is no object is left out: the next list brings it again. Nothing here decides whether a
claim is believed, nor what it means that a list does not have one of them.
"""

from collections.abc import Iterable

import msgspec
import polars as pl

from batcher import kinds
from batcher.mapping import Claim, Flaw, ObjectClaim, read_claim, read_object_claim
from batcher.schema import CLAIMS, LISTS, OBJECT_LISTS, OBJECTS, Columns, completed, from_rows
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place

RESOURCE = "namespaces"
_NOTHING = Claim("", "", "", Flaw.NONE)
_NO_OBJECT = ObjectClaim("", "", "", Flaw.NONE)


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    name: str
    uid: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Object(msgspec.Struct, frozen=True, gc=False):
    metadata: _Metadata


class _WatchLine(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: _Object


_listed = msgspec.json.Decoder(_Object)
_watched = msgspec.json.Decoder(_WatchLine)
_CHANGES = {"ADDED", "MODIFIED", "DELETED"}


_SAID: Columns = {name: CLAIMS[name] for name in (
    "cluster_uid", "cluster", "namespace", "uid", "position", "received_at",
    "workspace", "target_namespace", "sync_target", "flaw", "gone_at",
)}  # fmt: skip

Frames = Iterable[tuple[Place, list[Section]]]


_OBJECT_SAID: Columns = {name: kind for name, kind in OBJECTS.items() if not name.startswith("was_")}


class Claims:
    """Reads the Namespaces and watched objects in frames on their way to whoever reads the Events in them."""

    def __init__(self) -> None:
        """Have read none."""
        self._rows: list[tuple[object, ...]] = []
        self._objects: list[tuple[object, ...]] = []
        self._object_lists: list[tuple[object, ...]] = []
        self._lists: list[tuple[object, ...]] = []
        self._under_way: dict[Stream, int] = {}

    def passing(self, frames: Frames) -> Frames:
        """Yield ``frames`` as they are, each read."""
        for place, sections in frames:
            for section, first in _sections(sections):
                kind = kinds.watched(section.stream.resource)
                if kind:
                    self._read_objects(kind, section, place, first)
                    continue
                self._follow(section, place.line(first))
                self._rows += [
                    _row(place.line(index), section, change, metadata)
                    for index, line in enumerate(section.body.split(b"\n")[: section.lines], first)
                    for change, metadata in _read(section, line)
                ]
            yield place, sections

    def _read_objects(self, kind: kinds.Watched, section: Section, place: Place, first: int) -> None:
        if section.kind is Kind.LIST_COMPLETE:
            stream = section.stream
            about = (stream.cluster_uid, kind.group, kind.kind, stream.scope)
            self._object_lists.append((*about, place.line(first), section.received_at))
        self._objects += [
            _object_row(kind, place.line(index), section, change, metadata)
            for index, line in enumerate(section.body.split(b"\n")[: section.lines], first)
            for change, metadata in _read(section, line)
        ]

    def _follow(self, section: Section, position: int) -> None:
        """Note where lists begin and end."""
        stream = section.stream
        if section.kind is Kind.LISTED:
            self._under_way.setdefault(stream, position)
        elif section.kind is Kind.LIST_COMPLETE:
            began = self._under_way.pop(stream, None)
            self._lists.append((stream.cluster_uid, began, position, section.received_at))

    @property
    def read(self) -> pl.DataFrame:
        """What was read so far, :data:`batcher.schema.CLAIMS`, one row a delivered line, by position."""
        return completed(_frame(self._rows, _SAID), CLAIMS)

    @property
    def objects(self) -> pl.DataFrame:
        """What was read of objects so far, :data:`batcher.schema.OBJECTS`, one row a delivered line, by position."""
        return completed(_frame(self._objects, _OBJECT_SAID), OBJECTS)

    @property
    def object_lists(self) -> pl.DataFrame:
        """The lists of objects that came to their end so far, :data:`batcher.schema.OBJECT_LISTS`."""
        return from_rows(self._object_lists, OBJECT_LISTS, micros="received_at")

    @property
    def lists(self) -> pl.DataFrame:
        """The lists that were read so far, :data:`batcher.schema.LISTS`, those that are not complete last."""
        under_way = [(stream.cluster_uid, began, None, None) for stream, began in self._under_way.items()]
        return from_rows([*self._lists, *under_way], LISTS, micros="received_at")


def _frame(rows: list[tuple[object, ...]], columns: Columns) -> pl.DataFrame:
    """Return ``rows`` as a frame of ``columns``; the times are given in microseconds since the epoch."""
    times = ("received_at", "gone_at")
    given: Columns = columns | dict.fromkeys(times, pl.Int64)
    return pl.DataFrame(rows, schema=given, orient="row").cast({name: columns[name] for name in times})


_KINDS = {Kind.LISTED, Kind.WATCHED, Kind.LIST_COMPLETE}


def _sections(sections: list[Section]) -> Iterable[tuple[Section, int]]:
    first = 0
    for section in sections:
        resource = section.stream.resource
        if section.kind in _KINDS and (resource == RESOURCE or kinds.watched(resource)):
            yield section, first
        first += section.lines


def _read(section: Section, line: bytes) -> Iterable[tuple[str, _Metadata]]:
    try:
        if section.kind is Kind.LISTED:
            yield "LISTED", _listed.decode(line).metadata
            return
        watched = _watched.decode(line)
        if watched.type in _CHANGES:
            yield watched.type, watched.object.metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return


def _row(position: int, section: Section, change: str, metadata: _Metadata) -> tuple[object, ...]:
    claim = read_claim(metadata.name, metadata.annotations or {}, metadata.labels or {}) or _NOTHING
    gone = section.received_at if change == "DELETED" else None
    said = (claim.workspace, claim.namespace, claim.sync_target, claim.flaw.value)
    stream = section.stream
    return (
        stream.cluster_uid,
        section.cluster,
        metadata.name,
        metadata.uid,
        position,
        section.received_at,
        *said,
        gone,
    )


def _object_row(
    kind: kinds.Watched, position: int, section: Section, change: str, metadata: _Metadata
) -> tuple[object, ...]:
    claim = read_object_claim(metadata.annotations or {}, metadata.labels or {}) or _NO_OBJECT
    return (
        section.stream.cluster_uid,
        metadata.namespace,
        kind.group,
        kind.kind,
        metadata.name,
        section.cluster,
        metadata.uid,
        position,
        section.received_at,
        claim.workspace,
        claim.namespace,
        claim.name,
        claim.flaw.value,
        section.received_at if change == "DELETED" else None,
        change == "LISTED",
    )
