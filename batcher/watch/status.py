"""What is known of each cluster's watch, for people and for metrics. Nothing here decides anything.

A cluster may have several streams (namespaces, resources); what is told of it is the worst of them, so that
one stream that works never hides another that does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from batcher.clock import Now

_WORST_FIRST = ("waiting", "starting", "listing", "connected", "absent", "stopped")


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster's watch at a moment, or one stream of it."""

    phase: str = "starting"
    """starting, listing, connected, waiting (to try again), absent (a kind that is not there), stopped."""
    uid: str = ""
    last_event_at: datetime | None = None
    last_contact_at: datetime | None = None
    restarts: int = 0
    """Streams and lists that failed since the start."""
    lists: int = 0
    recovered: int = 0
    """Revisions that only an audit found: the API server never sent them."""
    last_error: str = ""


class Report:
    """What one stream's loops tell of it."""

    def __init__(self, now: Now) -> None:
        """Know nothing yet; ``now`` says when something was heard."""
        self._now = now
        self._status = ClusterStatus()
        self._event_at: datetime | None = None
        self._contact_at: datetime | None = None

    @property
    def status(self) -> ClusterStatus:
        """Return what was told so far; made when somebody asks, which is seldom beside what is heard."""
        return replace(self._status, last_event_at=self._event_at, last_contact_at=self._contact_at)

    def heard(self, *, event: bool = False) -> None:
        """Note a sign of life, and with ``event`` that it was an object."""
        self._contact_at = self._now()
        if event:
            self._event_at = self._contact_at

    def listing(self) -> None:
        """Note that a list begins."""
        self._change(phase="listing", lists=self._status.lists + 1)

    def connected(self) -> None:
        """Note that a watch is asked for, after all that went before it went well."""
        self._change(phase="connected", last_error="")

    def failed(self, error: Exception, *, absent: bool = False) -> None:
        """Note a list or stream that failed, and will be tried again.

        What a cluster does not have, and need not, is told of, and is no trouble of its other streams.
        """
        if absent:
            self._change(phase="absent", last_error=str(error))
        else:
            self._change(phase="waiting", last_error=str(error), restarts=self._status.restarts + 1)

    def recovered(self, number: int) -> None:
        """Note what an audit found."""
        self._change(recovered=self._status.recovered + number)

    def _change(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)


class Statuses:
    """The newest status of every cluster, by name."""

    def __init__(self, now: Now) -> None:
        """Know of no cluster."""
        self._now = now
        self._own: dict[str, ClusterStatus] = {}
        self._streams: dict[str, list[Report]] = {}

    def update(self, name: str, **changes: Any) -> None:
        """Change some fields of the cluster ``name`` itself."""
        self._own[name] = replace(self._own.get(name, ClusterStatus()), **changes)

    def begin(self, name: str, uid: str) -> None:
        """Say who the cluster ``name`` is, and that its streams begin."""
        self._keep_counts(name)
        self.update(name, uid=uid, phase="connected", last_error="")

    def failed(self, name: str, error: Exception) -> None:
        """Note that the cluster ``name`` could not be begun, or was replaced by another."""
        self._keep_counts(name)
        restarts = self._own[name].restarts + 1
        self.update(name, phase="waiting", last_error=str(error), restarts=restarts)

    def stopped(self, name: str) -> None:
        """Note that the cluster ``name`` is watched no more, for now."""
        self._keep_counts(name)
        self.update(name, phase="stopped")

    def _keep_counts(self, name: str) -> None:
        so_far = self[name]
        self._streams[name] = []
        self._own[name] = so_far

    def stream(self, name: str) -> Report:
        """Return a report for one more stream of the cluster ``name``."""
        report = Report(self._now)
        self._streams.setdefault(name, []).append(report)
        return report

    def forget(self, name: str) -> None:
        """Drop a cluster that is configured no more."""
        self._own.pop(name, None)
        self._streams.pop(name, None)

    def __getitem__(self, name: str) -> ClusterStatus:
        own = self._own.get(name, ClusterStatus())
        parts = [own, *(report.status for report in self._streams.get(name, []))]
        return ClusterStatus(
            phase=min((part.phase for part in parts), key=_WORST_FIRST.index),
            uid=own.uid,
            last_event_at=max((p.last_event_at for p in parts if p.last_event_at), default=None),
            last_contact_at=max((p.last_contact_at for p in parts if p.last_contact_at), default=None),
            restarts=sum(part.restarts for part in parts),
            lists=sum(part.lists for part in parts),
            recovered=sum(part.recovered for part in parts),
            last_error=next((part.last_error for part in parts if part.last_error), ""),
        )

    @property
    def all(self) -> Mapping[str, ClusterStatus]:
        """Every cluster's status."""
        return {name: self[name] for name in self._own}
