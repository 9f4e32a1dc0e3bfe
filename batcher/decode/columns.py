"""Events as columns: what was read is laid side by side, column by column, and what a section says once is repeated.

Corrects no value: times stay text, and the stages give them their meaning.
"""

from collections.abc import Sequence

import polars as pl

from batcher.decode.identity import cluster_key, identified, identity_time
from batcher.decode.models import NO_REFERENCE, Delivery, Event, Metadata, Reference
from batcher.schema import LINES, TIME, Columns
from batcher.spool import Section

_SECTION: Columns = {
    name: LINES[name] for name in ("received_at", "cluster_uid", "cluster_key", "cluster", "incarnation")
}

_Column = Sequence[object]


MOST = 2048
"""Lines that are laid side by side at a time: so many fit into a processor's cache, and few wait in memory."""


class Gathered:
    """Lines that are counted, each with its position and its section."""

    def __init__(self) -> None:
        """Begin with none."""
        self._positions: list[int] = []
        self._deliveries: list[Delivery] = []
        self._sections: list[Section] = []
        self._section_of: list[int] = []
        self._frames: list[pl.DataFrame] = []

    def add(self, section: Section, positions: Sequence[int], deliveries: Sequence[Delivery]) -> None:
        """Take ``deliveries`` of ``section``, a position each."""
        self._section_of.extend([len(self._sections)] * len(deliveries))
        self._sections.append(section)
        self._positions.extend(positions)
        self._deliveries.extend(deliveries)
        if len(self._deliveries) >= MOST:
            self._lay()

    def frame(self) -> pl.DataFrame:
        """Return all of them, :data:`batcher.schema.LINES`, in the order in which they were added."""
        self._lay()
        rows = pl.concat(self._frames).lazy()
        return identified(rows.with_columns(identity_time())).select(*LINES).collect(engine="in-memory").rechunk()

    def _lay(self) -> None:
        events = [delivery.object for delivery in self._deliveries]
        columns: dict[str, _Column] = {
            "position": self._positions,
            "delivered": [delivery.type for delivery in self._deliveries],
            **_of_metadata([event.metadata for event in events]),
            **_of_events(events),
            **_of_references("regarding", [event.involvedObject for event in events]),
            **_of_references("related", [event.related or NO_REFERENCE for event in events]),
        }
        told = pl.DataFrame([pl.Series(name, columns[name], LINES[name]) for name in LINES if name in columns])
        self._frames.append(pl.concat([_of_sections(self._sections)[self._section_of], told], how="horizontal"))
        self._positions, self._deliveries, self._sections, self._section_of = [], [], [], []


def _of_sections(sections: Sequence[Section]) -> pl.DataFrame:
    rows = [
        (s.received_at, s.stream.cluster_uid, cluster_key(s.stream.cluster_uid), s.cluster, s.stream.incarnation)
        for s in sections
    ]
    return pl.DataFrame(rows, schema=_SECTION | {"received_at": pl.Int64}, orient="row").cast({"received_at": TIME})


def _of_metadata(metadata: Sequence[Metadata]) -> dict[str, _Column]:
    return {
        "uid": [m.uid for m in metadata],
        "namespace": [m.namespace for m in metadata],
        "name": [m.name for m in metadata],
        "resource_version": [int(m.resourceVersion) for m in metadata],
        "created": [m.creationTimestamp for m in metadata],
    }


def _of_events(events: Sequence[Event]) -> dict[str, _Column]:
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


def _of_references(role: str, references: Sequence[Reference]) -> dict[str, _Column]:
    return {
        f"{role}_api_version": [r.apiVersion for r in references],
        f"{role}_kind": [r.kind for r in references],
        f"{role}_namespace": [r.namespace for r in references],
        f"{role}_name": [r.name for r in references],
        f"{role}_uid": [r.uid for r in references],
        f"{role}_field_path": [r.fieldPath for r in references],
    }
