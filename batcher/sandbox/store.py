"""The etcd of one simulated API server: one growing revision for everything in it.

Synchronous and pure: time comes in as an argument, nothing is validated here (see :mod:`.admission`), and
nothing waits; who wants to hear of changes leaves a listener at a collection.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from batcher.sandbox.collection import Change, ChangeType, Collection, Key
from batcher.sandbox.resources import Resource

EVERYWHERE = "*"
"""The logical cluster that stands for all of them, as in ``/clusters/*``."""

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list: what is in it, as of which revision, how many come behind it."""

    changes: list[Change]
    revision: int
    remaining: int


class Store:
    """Objects of several resources and logical clusters."""

    def __init__(self, *, history: int = 100_000, revision: int = 1) -> None:
        """Begin empty at ``revision``; keep at least ``history`` changes a resource and cluster."""
        self.revision = revision
        self._history = history
        self._floor = revision
        self._collections: dict[tuple[Resource, str], Collection] = {}
        self._expiries: list[tuple[datetime, int, Resource, Key]] = []
        self._lose = 0

    def collection(self, resource: Resource, cluster: str) -> Collection:
        """Return the objects of ``resource`` in ``cluster`` (:data:`EVERYWHERE`: of all clusters)."""
        found = self._collections.get((resource, cluster))
        if found is None:
            found = Collection(history=self._history, floor=self._floor)
            self._collections[resource, cluster] = found
        return found

    def get(self, resource: Resource, key: Key) -> Change | None:
        """Return the current revision of an object."""
        return self.collection(resource, key.cluster).current.get(key)

    def put(
        self, resource: Resource, key: Key, content: dict[str, Any], *, expires_at: datetime | None = None
    ) -> Change:
        """Create or replace an object at the next revision; ``content`` has metadata, no kind or apiVersion.

        Its resourceVersion is written into ``content``. Each put sets the time of expiry anew.
        """
        self.revision += 1
        kind = ChangeType.MODIFIED if self.get(resource, key) else ChangeType.ADDED
        change = self._change(resource, kind, key, content)
        self._append(resource, change)
        if expires_at is not None:
            heapq.heappush(self._expiries, (expires_at, change.revision, resource, key))
        return change

    def delete(self, resource: Resource, key: Key) -> Change | None:
        """Delete an object at the next revision; None when there is none."""
        if self.get(resource, key) is None:
            return None
        self.revision += 1
        return self._delete(resource, key)

    def expire(self, now: datetime) -> int:
        """Delete what has outlived its time, all at one revision as an etcd lease does; return how many."""
        due = []
        while self._expiries and self._expiries[0][0] <= now:
            _, revision, resource, key = heapq.heappop(self._expiries)
            current = self.get(resource, key)
            if current is not None and current.revision == revision:
                due.append((resource, key))
        self.revision += bool(due)
        for resource, key in due:
            self._delete(resource, key)
        return len(due)

    def page(
        self,
        resource: Resource,
        cluster: str,
        *,
        revision: int | None = None,
        wanted: Callable[[Change], bool] | None = None,
        start: Key | None = None,
        limit: int = 0,
    ) -> Page:
        """Return the wanted objects from ``start`` on as of ``revision`` (None: now), in key order.

        Raises :class:`batcher.errors.Expired` when the history of that revision is forgotten.
        """
        at = self.revision if revision is None else revision
        objects = self.collection(resource, cluster).snapshot(at)
        if wanted is not None:
            objects = [change for change in objects if wanted(change)]
        first = _first_at(objects, start) if start else 0
        last = min(first + limit, len(objects)) if limit else len(objects)
        return Page(objects[first:last], at, len(objects) - last)

    def inside(self, cluster: str, namespace: str) -> Iterator[tuple[Resource, Change]]:
        """Yield every object of a namespace."""
        for (resource, owner), collection in list(self._collections.items()):
            if owner == cluster:
                inside = [c for c in collection.current.values() if c.key.namespace == namespace]
                yield from ((resource, change) for change in inside)

    def resources(self, cluster: str) -> list[Resource]:
        """Return the resources that ``cluster`` has or had objects of, or that somebody watches there."""
        return [resource for resource, owner in self._collections if owner == cluster]

    def lose(self, count: int) -> None:
        """Let no watch see the next ``count`` changes, as API servers have been caught doing."""
        self._lose += count

    def compact(self, revision: int | None = None) -> None:
        """Forget the history up to ``revision`` (None: all of it)."""
        self._floor = max(self._floor, self.revision if revision is None else revision)
        for collection in self._collections.values():
            collection.compact(self._floor)
            collection.ring()

    def rewind(self, revision: int) -> None:
        """Go back to ``revision``, objects and counter, as an etcd restored from a backup does; or Expired."""
        for collection in self._collections.values():
            collection.after(revision)
        for collection in self._collections.values():
            collection.rewind(revision)
        self.revision = revision

    def _change(self, resource: Resource, kind: ChangeType, key: Key, content: dict[str, Any]) -> Change:
        content["metadata"]["resourceVersion"] = str(self.revision)
        body = resource.head + _ENCODER.encode(content)[1:]
        head = 0 if resource.custom else len(resource.head)
        return Change(kind, self.revision, key, body, head=head)

    def _append(self, resource: Resource, change: Change) -> None:
        announce = not self._lose
        self._lose -= not announce
        self.collection(resource, change.key.cluster).append(change, announce=announce)
        if change.key.cluster:
            self.collection(resource, EVERYWHERE).append(change, announce=announce)

    def _delete(self, resource: Resource, key: Key) -> Change:
        previous = self.collection(resource, key.cluster).current[key]
        content = {name: part for name, part in previous.object.items() if name not in {"kind", "apiVersion"}}
        change = self._change(resource, ChangeType.DELETED, key, content)
        self._append(resource, change)
        return change


def _first_at(objects: list[Change], start: Key) -> int:
    low, high = 0, len(objects)
    while low < high:
        middle = (low + high) // 2
        if objects[middle].key < start:
            low = middle + 1
        else:
            high = middle
    return low
