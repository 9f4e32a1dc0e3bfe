"""Incidents for people: those that go on, from the state, and those that have ended, from the archive.

An incident is known by the digits that its label has in the workspace; a longer part of its name is as good. Reads
only, and may be asked while a service runs. Nothing here makes an incident: that is
:mod:`batcher.stages.correlate`'s.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import DataDirectory
from batcher.batch.process import latest, staged_paths
from batcher.errors import UsageError
from batcher.pipeline import still_open
from batcher.stages.announce import ID
from batcher.text import ago, safe

HEADERS = ("ID", "STATE", "WORKSPACE", "REASON", "WHAT", "CLUSTERS", "COUNT", "BEGAN", "LAST SEEN", "CAUSE")
WIDE_HEADERS = (*HEADERS[:-1], "NAMESPACES", "MEMBERS", "SPREAD", "NOT IN", "CAUSE")
NUMBERS = (6,)
MEMBER_HEADERS = ("FIRST SEEN", "LAST SEEN", "CLUSTER", "NAMESPACE", "OBJECT", "REASON", "COUNT")
MEMBER_NUMBERS = (6,)
_SHORTEST = 4
_JSON = ("clusters", "absent", "namespaces", "member_list")


class Cluster(msgspec.Struct, frozen=True):
    """A cluster that has it, in the order in which it came to them."""

    cluster: str
    occurrences: int
    first_seen: datetime
    """By the cluster's clock, but not after receipt."""


class Member(msgspec.Struct, frozen=True):
    """A summary that belongs to it."""

    summary: str
    cluster: str
    namespace: str
    """Of the workspace."""
    kind: str
    name: str
    reason: str
    occurrences: int
    first_seen: datetime
    last_seen: datetime


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident; ``id`` is what its label says."""

    id: str
    incident: str
    state: str
    """open or ended."""
    workspace: str
    reason: str
    dimension: str
    value: str
    began_at: datetime
    """When its first row was received."""
    ended_at: datetime
    """When its last one was, so far."""
    first_seen: datetime
    last_seen: datetime
    clusters: list[Cluster]
    absent: list[str]
    """Clusters of the workspace that do not have it."""
    namespaces: list[str]
    members: int
    occurrences: int
    cause: str
    member_list: list[Member]
    """By time; of an ended one at most a thousand."""


def found(directory: DataDirectory, *, since: datetime | None = None) -> list[Incident]:
    """Return the incidents that go on, and those that were seen ``since`` then, oldest first.

    Raises :class:`batcher.errors.ArchiveError` if the archive cannot be read.
    """
    go_on = still_open(latest(directory)[1])

    def ended() -> pl.DataFrame:
        table = scan(directory.archive, "incidents", staged_paths(directory)["incidents"], since=since)
        return (table if since is None else table.filter(pl.col("ended_at") >= since)).collect()

    over = {row["incident"]: _incident(row, "ended") for row in settled(ended).iter_rows(named=True)}
    open_ = {row["incident"]: _incident(row, "open") for row in go_on.iter_rows(named=True)}
    return sorted((open_ | over).values(), key=lambda one: (one.first_seen, one.incident))


def one(directory: DataDirectory, name: str) -> Incident:
    """Return the incident that ``name`` stands for. Raises :class:`UsageError` if none does, or several do."""
    named = [each for each in found(directory) if len(name) >= _SHORTEST and each.incident.startswith(name.lower())]
    if len(named) > 1:
        which = ", ".join(f"{each.incident} ({safe(each.workspace)})" for each in named)
        message = f"{safe(name)}: several incidents begin so: {which}"
        raise UsageError(message)
    if not named:
        message = f"{safe(name)}: no such incident; see: batcher incidents list"
        raise UsageError(message)
    return named[0]


def _incident(row: dict[str, Any], state: str) -> Incident:
    parsed = {name: msgspec.json.decode(row[name]) for name in _JSON}
    return msgspec.convert(row | parsed | {"id": row["incident"][:ID], "state": state}, Incident)


def rows(incidents: Iterable[Incident], *, now: datetime, wide: bool) -> Iterator[tuple[str, ...]]:
    """Yield the cells of :data:`HEADERS`, or of :data:`WIDE_HEADERS`."""
    for each in incidents:
        narrow = (
            each.id,
            each.state,
            each.workspace,
            each.reason,
            each.value,
            f"{len(each.clusters)}/{len(each.clusters) + len(each.absent)}",
            str(each.occurrences),
            ago(each.first_seen, now),
            ago(each.last_seen, now),
        )
        spread = ", ".join(f"{cluster.cluster} x{cluster.occurrences}" for cluster in each.clusters)
        more = (", ".join(each.namespaces), str(each.members), spread, ", ".join(each.absent)) if wide else ()
        yield (*narrow, *more, each.cause)


def facts(each: Incident, *, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of an incident, with its name, but for its members."""
    spread = ", ".join(f"{c.cluster} x{c.occurrences} (from {_time(c.first_seen)})" for c in each.clusters)
    yield "id", each.id
    yield "state", each.state
    yield "workspace", each.workspace
    yield "namespaces", ", ".join(each.namespaces)
    yield "reason", each.reason
    yield each.dimension, each.value
    yield "cause", each.cause or "not known"
    yield "first seen", f"{_time(each.first_seen)} ({ago(each.first_seen, now)} ago)"
    yield "last seen", f"{_time(each.last_seen)} ({ago(each.last_seen, now)} ago)"
    yield "occurrences", str(each.occurrences)
    yield "clusters", f"{len(each.clusters)} of {len(each.clusters) + len(each.absent)}: {spread}"
    yield "not in", ", ".join(each.absent) or "none that is known"


def timeline(each: Incident) -> Iterator[tuple[str, ...]]:
    """Yield the cells of :data:`MEMBER_HEADERS`, in order of time."""
    for member in each.member_list:
        yield (
            _time(member.first_seen),
            _time(member.last_seen),
            member.cluster,
            member.namespace,
            f"{member.kind.lower()}/{member.name}",
            member.reason,
            str(member.occurrences),
        )


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
