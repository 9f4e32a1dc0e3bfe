"""What is known of each cluster's watch, for people and for metrics. Nothing here decides anything."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster's watch at a moment."""

    phase: str = "starting"
    """starting, listing, connected, waiting (to try again), stopped."""
    uid: str = ""
    last_event_at: datetime | None = None
    last_contact_at: datetime | None = None
    restarts: int = 0
    """Streams and lists that failed since the start."""
    lists: int = 0
    last_error: str = ""


class Statuses:
    """The newest status of every cluster, by name."""

    def __init__(self) -> None:
        """Know of no cluster."""
        self._all: dict[str, ClusterStatus] = {}

    def update(self, name: str, **changes: Any) -> None:
        """Change some fields of the cluster ``name``."""
        self._all[name] = replace(self._all.get(name, ClusterStatus()), **changes)

    def forget(self, name: str) -> None:
        """Drop a cluster that is watched no more."""
        self._all.pop(name, None)

    def __getitem__(self, name: str) -> ClusterStatus:
        return self._all.get(name, ClusterStatus())

    @property
    def all(self) -> Mapping[str, ClusterStatus]:
        """Every cluster's status."""
        return dict(self._all)
