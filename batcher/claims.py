"""Lines of Namespace streams to claims: which workspace each says that it serves.

They come through the spool as Events do, so that the mapping is what was known at a position, whoever asks and
whenever. A line that is no Namespace is left out: the next list brings it again. Nothing here decides whether a
claim is believed.
"""

from collections.abc import Iterable

import msgspec
import polars as pl

from batcher.mapping import Claim, Flaw, read_claim
from batcher.schema import CLAIMS
from batcher.spool import Kind, Section
from batcher.spool.position import Place

RESOURCE = "namespaces"
_NOTHING = Claim("", "", "", Flaw.NONE)


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    name: str
    uid: str
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Namespace(msgspec.Struct, frozen=True, gc=False):
    metadata: _Metadata


class _WatchLine(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: _Namespace


_listed = msgspec.json.Decoder(_Namespace)
_watched = msgspec.json.Decoder(_WatchLine)
_CHANGES = {"ADDED", "MODIFIED", "DELETED"}


Frames = Iterable[tuple[Place, list[Section]]]


class Claims:
    """Reads the Namespaces in frames on their way to whoever reads the Events in them."""

    def __init__(self) -> None:
        """Have read none."""
        self._rows: list[tuple[object, ...]] = []

    def passing(self, frames: Frames) -> Frames:
        """Yield ``frames`` as they are, each read."""
        for place, sections in frames:
            self._rows += [
                _row(place.line(index), section, change, metadata)
                for section, first in _sections(sections)
                for index, line in enumerate(section.body.split(b"\n")[: section.lines], first)
                for change, metadata in _read(section, line)
            ]
            yield place, sections

    @property
    def read(self) -> pl.DataFrame:
        """What was read so far, :data:`batcher.schema.CLAIMS`, one row a delivered line, by position."""
        times = dict.fromkeys(("received_at", "gone_at"), pl.Int64)
        columns = {name: times.get(name, kind) for name, kind in CLAIMS.items()}
        return pl.DataFrame(self._rows, schema=columns, orient="row").cast({name: CLAIMS[name] for name in times})


def _sections(sections: list[Section]) -> Iterable[tuple[Section, int]]:
    first = 0
    for section in sections:
        if section.stream.resource == RESOURCE and section.kind in {Kind.LISTED, Kind.WATCHED}:
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
        "",
        "",
    )
