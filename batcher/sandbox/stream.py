"""What one watch says: its first lines, the lines of the changes, its bookmark.

Pure but for its own position: it neither waits nor sends (see :mod:`.watching`). Lines were encoded when they
were written; without a selector they are handed out as they are.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from batcher.sandbox.api import Place
from batcher.sandbox.collection import Change, ChangeType, Collection
from batcher.sandbox.faults import Faults, InitialEvents
from batcher.sandbox.forms import Form, partial
from batcher.sandbox.options import Options
from batcher.sandbox.resources import EVENTS
from batcher.sandbox.shape import BOOKMARK, Object
from batcher.sandbox.status import Refused, invalid
from batcher.sandbox.table import table

BATCH = 512
"""Lines read at once: at 1.3 kB a line enough for ten chunks."""


class Stream:
    """The lines of one watch."""

    def __init__(self, place: Place, options: Options, collection: Collection, *, kcp: bool, form: Form) -> None:
        """Stand at the revision that ``options`` name. Raises Refused for a refused sendInitialEvents."""
        self._place = place
        self._options = options
        self._collection = collection
        self._bookmarks = options.bookmarks and (kcp or options.initial_events)
        self._form = form
        self._after = options.revision or 0
        self._told = collection.latest
        self._sequence = collection.end

    def start(self, faults: Faults, now: datetime) -> list[bytes]:
        """Return the first lines: the objects as synthetic ADDED in name order, or none. Raises Expired."""
        initial = self._options.initial_events and faults.initial_events is not InitialEvents.IGNORED
        if initial and faults.initial_events is InitialEvents.REFUSED:
            what = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            raise Refused(invalid(self._place.resource, "", "sendInitialEvents", "FieldValueForbidden", what))
        if self._options.revision and not initial:
            self._sequence = self._collection.after(self._options.revision)
            return []
        self._after = 0
        objects = self._collection.snapshot(self._collection.latest)
        lines = [self._line(change, ChangeType.ADDED, now) for change in objects if self._wanted(change)]
        return [*lines, self._bookmark(initial=True)] if initial and self._bookmarks else lines

    def next(self, now: datetime) -> list[bytes]:
        """Return the lines of the next changes, [] when there are none. Raises Expired when overtaken."""
        while changes := self._collection.read(self._sequence, BATCH):
            if changes[0].revision > self._after:
                self._after = 0  # what the client has seen is behind us: nothing more to skip
            narrowed = self._place.namespace or self._options.predicates or self._after
            plain = not narrowed and self._form is Form.PLAIN
            lines = [change.line for change in changes] if plain else list(self._selected(changes, now))
            self._sequence += len(changes)
            if lines:
                return lines
        return []

    def bookmark(self) -> list[bytes]:
        """Return the late bookmark, when there is something to tell."""
        latest = self._collection.latest
        if not self._bookmarks or latest <= self._told:
            return []
        self._told = latest
        return [self._bookmark()]

    def _selected(self, changes: list[Change], now: datetime) -> Iterator[bytes]:
        replaced = self._collection.replaced(self._sequence, len(changes))
        for change, before in zip(changes, replaced, strict=True):
            kind = self._kind(change, before) if change.revision > self._after else None
            if kind is not None:
                yield self._line(change, kind, now, _left(change, kind, before))

    def _kind(self, change: Change, before: Change | None) -> ChangeType | None:
        """Return how a change looks through the selectors: objects may enter and leave them."""
        if change.type is ChangeType.DELETED:
            return ChangeType.DELETED if self._wanted(change) else None
        is_in, was_in = self._wanted(change), self._wanted(before)
        if is_in:
            return ChangeType.MODIFIED if was_in else ChangeType.ADDED
        return ChangeType.DELETED if was_in else None

    def _wanted(self, change: Change | None) -> bool:
        if change is None or (self._place.namespace and change.key.namespace != self._place.namespace):
            return False
        return self._options.selects(change)

    def _line(self, change: Change, kind: ChangeType, now: datetime, left: Object | None = None) -> bytes:
        if self._form is Form.PLAIN:
            return event_line(kind, left) if left else change.line_as(kind)
        content = left or change.object
        if self._form is Form.METADATA:
            return event_line(kind, partial(content))
        rows = table(self._place.resource, [content], {"resourceVersion": str(change.revision)}, now)
        return event_line(kind, rows)

    def _bookmark(self, *, initial: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(self._collection.latest)}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        resource = self._place.resource
        rest = BOOKMARK if resource is EVENTS else {}
        content = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata, **rest}
        if self._form is Form.METADATA:
            content = partial(content)
        if self._form is Form.TABLE:
            content = table(resource, [], metadata, datetime.min)  # noqa: DTZ901  a table without rows has no ages
        return event_line("BOOKMARK", content)


def _left(change: Change, kind: ChangeType, before: Change | None) -> Object | None:
    """Return what an object was before it left a selector, at the revision at which it did; None if it did not.

    Source: ``cacheWatcher.convertToWatchEvent`` of kube-apiserver.
    """
    if kind is not ChangeType.DELETED or change.type is ChangeType.DELETED or before is None:
        return None
    content = before.object
    content["metadata"]["resourceVersion"] = str(change.revision)
    return content


def event_line(kind: str, content: Any) -> bytes:
    """Return one watch line."""
    return msgspec.json.encode({"type": kind, "object": content}) + b"\n"
