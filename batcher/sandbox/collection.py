"""The objects of one resource in one logical cluster, and how they came to be as they are.

Each change is encoded once, as the line that a watch sends, and shared by all watchers, lists and pages.
Synchronous and without a clock; it never validates and never waits.
"""

from bisect import bisect_right
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from batcher.errors import Expired

KEPT_SNAPSHOTS = 8
"""Lists whose pages are being fetched at the same time; one more is rolled back from the history again."""


class ChangeType(StrEnum):
    """What happened to an object, as a watch says it."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Key(NamedTuple):
    """Where an object is; ordered as etcd orders, which is the order of lists. Cluster-scoped: namespace ""."""

    cluster: str
    namespace: str
    name: str


_PREFIX = {kind: f'{{"type":"{kind}","object":'.encode() for kind in ChangeType}
_SUFFIX = b"}\n"


class Change:
    """One revision of one object. ``line`` is what a watch sends; lists and gets are cut out of it."""

    __slots__ = ("head", "key", "line", "revision", "type")

    def __init__(self, kind: ChangeType, revision: int, key: Key, body: bytes, *, head: int) -> None:
        """Wrap ``body``, the encoded object; its first ``head`` bytes are kind and apiVersion."""
        self.type = kind
        self.revision = revision
        self.key = key
        self.line = _PREFIX[kind] + body + _SUFFIX
        self.head = head

    @property
    def body(self) -> bytes:
        """Return the encoded object."""
        return self.line[len(_PREFIX[self.type]) : -len(_SUFFIX)]

    @property
    def item(self) -> bytes:
        """Return the encoded object as a list holds it: without kind and apiVersion (list-all.json)."""
        return b"{" + self.body[self.head :] if self.head else self.body

    @property
    def object(self) -> dict[str, Any]:
        """Return the decoded object, a new one each time."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded

    def line_as(self, kind: ChangeType) -> bytes:
        """Return the watch line under another type: synthetic ADDED, or crossing a selector."""
        return self.line if kind is self.type else _PREFIX[kind] + self.body + _SUFFIX


class Collection:
    """Current objects, their history, and those who want to hear of changes."""

    def __init__(self, *, history: int, floor: int) -> None:
        """Keep at least the last ``history`` changes; ``floor`` is the revision compacted already."""
        self.current: dict[Key, Change] = {}
        self.floor = floor
        self.listeners: list[Callable[[], None]] = []
        self._history = history
        self._changes: list[Change] = []
        self._revisions: list[int] = []
        self._replaced: list[Change | None] = []
        self._forgotten = 0
        self._snapshots: dict[int, list[Change]] = {}

    @property
    def end(self) -> int:
        """Return the sequence number behind the last change."""
        return self._forgotten + len(self._changes)

    @property
    def latest(self) -> int:
        """Return the revision of the newest change, or the floor when there is none."""
        return self._revisions[-1] if self._revisions else self.floor

    def append(self, change: Change, *, announce: bool = True) -> None:
        """Apply ``change``; when not announced, lists show it and no watch ever will (a lost update)."""
        replaced = self.current.get(change.key)
        if change.type is ChangeType.DELETED:
            self.current.pop(change.key, None)
        else:
            self.current[change.key] = change
        if not announce:
            self._snapshots.clear()
            return
        self._changes.append(change)
        self._revisions.append(change.revision)
        self._replaced.append(replaced)
        if len(self._changes) >= 2 * self._history:
            self._forget(len(self._changes) - self._history)
        self.ring()

    def ring(self) -> None:
        """Tell the listeners that something changed."""
        for listener in self.listeners:
            listener()

    def after(self, revision: int) -> int:
        """Return the sequence number of the first change behind ``revision``; Expired if it is forgotten."""
        if revision < self.floor:
            message = f"revision {revision} is before {self.floor}"
            raise Expired(message)
        return self._forgotten + bisect_right(self._revisions, revision)

    def read(self, sequence: int, limit: int) -> list[Change]:
        """Return at most ``limit`` changes from ``sequence`` on; Expired if the reader fell behind."""
        start = sequence - self._forgotten
        if start < 0:
            message = f"change {sequence} is before {self._forgotten}"
            raise Expired(message)
        return self._changes[start : start + limit]

    def replaced(self, sequence: int, limit: int) -> list[Change | None]:
        """Return what each change of :meth:`read` replaced, for selectors that an object leaves or enters."""
        start = sequence - self._forgotten
        return self._replaced[start : start + limit]

    def snapshot(self, revision: int) -> list[Change]:
        """Return the objects as of ``revision``, in key order; Expired if its history is forgotten.

        The pages of one list share it: it stays the same while later changes arrive.
        """
        sequence = self.after(revision)
        if sequence not in self._snapshots:
            while len(self._snapshots) >= KEPT_SNAPSHOTS:
                self._snapshots.pop(next(iter(self._snapshots)))
            self._snapshots[sequence] = self._rolled_back(sequence - self._forgotten)
        return self._snapshots[sequence]

    def compact(self, revision: int) -> None:
        """Forget every change up to and including ``revision``."""
        self._forget(bisect_right(self._revisions, revision))
        self.floor = max(self.floor, revision)

    def rewind(self, revision: int) -> None:
        """Become again what was at ``revision``, as a restored etcd does; Expired if that is forgotten.

        Sequence numbers behind it are used anew, so whoever holds one has to begin again.
        """
        objects = self.snapshot(revision)
        first = self.after(revision) - self._forgotten
        self.current = {change.key: change for change in objects}
        del self._changes[first:], self._revisions[first:], self._replaced[first:]
        self._snapshots.clear()
        self.ring()

    def _rolled_back(self, first: int) -> list[Change]:
        objects: dict[Key, Change | None] = dict(self.current)
        changes = zip(self._changes[first:], self._replaced[first:], strict=True)
        for change, replaced in reversed(list(changes)):
            objects[change.key] = replaced
        return [change for _, change in sorted(objects.items(), key=_by_key) if change is not None]

    def _forget(self, count: int) -> None:
        if not count:
            return
        self.floor = max(self.floor, self._revisions[count - 1])
        del self._changes[:count], self._revisions[:count], self._replaced[:count]
        self._forgotten += count
        self._snapshots = {at: kept for at, kept in self._snapshots.items() if at >= self._forgotten}


def _by_key(item: tuple[Key, Change | None]) -> Key:
    return item[0]
