"""What truly happened: every revision that simulated clusters ever had, and what batcher must make of them.

A :class:`Ledger` writes to clusters as client-go's recorder does. An Event that expired in the meantime is
created again, under a new uid, with its old first time and its cumulative count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batcher.sandbox import Cluster
from batcher.sandbox.shape import merged
from batcher.sandbox.status import Refused

Revision = tuple[str, str, int]
"""The cluster's uid, the Event's uid, its resourceVersion: no cluster is restored here."""

_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields")


class Name(NamedTuple):
    """An Event, however often it expired and was created again."""

    cluster: str
    namespace: str
    name: str


@dataclass
class Ledger:
    """All that the clusters were told; the truth that totals are held against."""

    revisions: dict[Revision, Name] = field(default_factory=dict)
    counts: dict[Name, int] = field(default_factory=dict)
    """The newest cumulative count of each Event."""
    recreated: int = 0

    def note(self, cluster: Cluster, stored: Mapping[str, Any]) -> None:
        """Keep a revision as the cluster stored it."""
        metadata = stored["metadata"]
        name = Name(cluster.name, metadata["namespace"], metadata["name"])
        self.revisions[cluster.uid, metadata["uid"], int(metadata["resourceVersion"])] = name
        self.counts[name] = (stored.get("series") or {}).get("count") or stored.get("count") or 1

    def occurrences(self, namespace: str | None = None) -> int:
        """How often anything happened, in all namespaces or in one."""
        return sum(count for name, count in self.counts.items() if namespace in {None, name.namespace})


@dataclass
class Recorder:
    """Writes to ``cluster`` and into the ledger; a :class:`batcher.sandbox.scenario.Recorder`."""

    cluster: Cluster
    ledger: Ledger
    _last: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def create_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Create ``event``."""
        stored = self.cluster.create_event(event)
        self._last[stored["metadata"]["namespace"], stored["metadata"]["name"]] = stored
        self.ledger.note(self.cluster, stored)
        return stored

    def update_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Raise an Event's count; create it again if it is gone."""
        try:
            stored = self.cluster.update_event(namespace, name, changes)
        except Refused:
            return self._create_again(namespace, name, changes)
        self._last[namespace, name] = stored
        self.ledger.note(self.cluster, stored)
        return stored

    def _create_again(self, namespace: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        self.ledger.recreated += 1
        event = merged(self._last[namespace, name], dict(changes))
        metadata = {key: value for key, value in event["metadata"].items() if key not in _OF_THE_SERVER}
        return self.create_event(event | {"metadata": metadata})

    def create_expired_again(self) -> None:
        """Create every Event that is gone again, as it was: nobody may have read its last revision."""
        there = {(e["metadata"]["namespace"], e["metadata"]["name"]) for e in self.cluster.events()}
        for namespace, name in self._last.keys() - there:
            self._create_again(namespace, name, {})
