"""The workspaces of a simulated kcp: paths, logical clusters, and how a workspace goes away.

A workspace ``root:shop`` is an object ``shop`` in logical cluster ``root`` and a logical cluster of its own
with a name of 16 characters. Deleting one is slow: its namespaces terminate, then are gone, then the logical
cluster is (ws-post-after-delete-0..2.json). Time comes in as an argument.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from batcher.sandbox.resources import NAMESPACES, WORKSPACES
from batcher.sandbox.status import Refused, not_found
from batcher.sandbox.store import EVERYWHERE

ROOT = "root"
TERMINATING_FOR = timedelta(seconds=2)
EMPTY_FOR = timedelta(seconds=2)
"""Together about what the recorded kcp took between the three answers of ws-post-after-delete-*.json."""


class Phase(StrEnum):
    """How far a logical cluster has gone away."""

    READY = "ready"
    TERMINATING = "terminating"
    EMPTY = "empty"
    GONE = "gone"


@dataclass(slots=True)
class LogicalCluster:
    """One logical cluster: its name, its path, when its deletion began."""

    name: str
    path: str
    deleted_at: datetime | None = None

    def phase(self, now: datetime) -> Phase:
        """Return how far its deletion is at ``now``."""
        if self.deleted_at is None:
            return Phase.READY
        since = now - self.deleted_at
        if since < TERMINATING_FOR:
            return Phase.TERMINATING
        return Phase.EMPTY if since < TERMINATING_FOR + EMPTY_FOR else Phase.GONE


class Workspaces:
    """The logical clusters of one kcp, by name and by path."""

    def __init__(self) -> None:
        """Begin with ``root`` alone."""
        self.by_name: dict[str, LogicalCluster] = {ROOT: LogicalCluster(ROOT, ROOT)}
        self._by_path: dict[str, LogicalCluster] = {ROOT: self.by_name[ROOT]}

    def add(self, path: str) -> LogicalCluster:
        """Register ``path``; a path used before gets a new logical cluster."""
        generation = sum(cluster.path == path for cluster in self.by_name.values())
        digest = int.from_bytes(hashlib.sha256(f"{path} {generation}".encode()).digest())
        cluster = LogicalCluster(_base36(digest), path)
        self.by_name[cluster.name] = cluster
        self._by_path[path] = cluster
        return cluster

    def at(self, path: str) -> LogicalCluster | None:
        """Return the logical cluster now at ``path``."""
        return self._by_path.get(path)

    def resolve(self, text: str, now: datetime) -> str:
        """Return the logical cluster that ``/clusters/<text>`` means; it need not exist.

        Raises Refused (404) for an unknown path (get-workspace-missing.json). An unknown name is returned
        as it is: nobody may do anything there (never-existed-logical.json).
        """
        if text == EVERYWHERE or text in self.by_name:
            return text
        cluster = self._by_path.get(text)
        if cluster is not None and cluster.phase(now) is not Phase.GONE:
            return cluster.name
        if ":" in text:
            raise Refused(not_found(WORKSPACES, text))
        return text

    def exists(self, name: str, now: datetime) -> bool:
        """Tell whether anybody can be allowed anything in the logical cluster ``name``."""
        cluster = self.by_name.get(name)
        return name == EVERYWHERE or (cluster is not None and cluster.phase(now) is not Phase.GONE)

    def refuse_namespace(self, name: str, namespace: str, now: datetime) -> bool:
        """Tell whether the namespaces of ``name`` are terminating; Refused (404) when they are gone."""
        cluster = self.by_name.get(name)
        phase = cluster.phase(now) if cluster else Phase.READY
        if phase is Phase.EMPTY:
            raise Refused(not_found(NAMESPACES, namespace))
        return phase is Phase.TERMINATING


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while len(text) < 16:  # noqa: PLR2004  as long as the names that kcp gives
        number, digit = divmod(number, 36)
        text += digits[digit]
    return text
