"""What the verbs of a simulated API server do: create, replace, patch, apply, delete.

Synchronous: decoded objects in, the change that was made out, or :class:`Refused`. No HTTP, no waiting; who
may do what was decided before. Order of the judgements as recorded: decoding, namespace, validation, etcd,
existence.
"""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from batcher.clock import Now
from batcher.sandbox import admission
from batcher.sandbox.collection import Change, Key
from batcher.sandbox.resources import EVENTS, NAMESPACES, Resource
from batcher.sandbox.shape import Object, managed_fields, merged, stored, timestamp
from batcher.sandbox.status import Refused, Status, already_exists, bad_request, conflict, not_found, terminating
from batcher.sandbox.store import Store
from batcher.sandbox.workspaces import Workspaces

CLUSTER_ANNOTATION = "kcp.io/cluster"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Place:
    """What a request is about. ``cluster`` is a logical cluster's name, "" outside of kcp."""

    resource: Resource
    cluster: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def key(self) -> Key:
        """Return where the store has it."""
        return Key(self.cluster, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who managedFields say has written: the first word of the User-Agent, or ``fieldManager``."""

    manager: str = "sandbox"
    operation: str = "Update"


class Api:
    """The verbs of one server over its store."""

    def __init__(self, store: Store, *, now: Now, event_ttl: timedelta, workspaces: Workspaces | None) -> None:
        """Serve ``store``; with ``workspaces`` as kcp does, else as a plain cluster."""
        self.store = store
        self.now = now
        self.event_ttl = event_ttl
        self.workspaces = workspaces

    def get(self, place: Place) -> Change:
        """Return the current revision; Refused 404."""
        change = self.store.get(place.resource, place.key)
        if change is None:
            raise Refused(not_found(place.resource, place.name))
        return change

    def create(self, place: Place, content: Object, *, size: int = 0, writer: Writer | None = None) -> Change:
        """Create what ``content`` names; ``size`` is the request's, in bytes."""
        _refuse(admission.decodable(place.resource, content))
        metadata = _placed(place, content)
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
        place = Place(place.resource, place.cluster, place.namespace, metadata.get("name", ""))
        content = {**content, "metadata": metadata}
        self._refuse_namespace(place)
        self._refuse_content(place, content, size)
        if self.store.get(place.resource, place.key) is not None:
            raise Refused(already_exists(place.resource, place.name))
        return self.write(place, content, None, writer)

    def replace(self, place: Place, content: Object, *, size: int = 0, writer: Writer | None = None) -> Change:
        """Replace, or create when the kind allows it: an upsert, with or without a resourceVersion."""
        _refuse(admission.decodable(place.resource, content))
        metadata = _placed(place, content)
        if metadata.setdefault("name", place.name) != place.name:
            what = f"the name of the object ({metadata['name']}) does not match the name on the URL ({place.name})"
            raise Refused(bad_request(what))
        current = self.store.get(place.resource, place.key)
        if current is None:
            if not place.resource.upsert:
                raise Refused(not_found(place.resource, place.name))
            self._refuse_namespace(place)
        else:
            _refuse_stale(place, metadata, current)
        content = {**content, "metadata": metadata}
        self._refuse_content(place, content, size)
        return self.write(place, content, current, writer)

    def patch(self, place: Place, patch: Object, *, size: int = 0, writer: Writer | None = None) -> Change:
        """Apply a merge patch; Refused 404 when there is nothing to patch (patch-absent.json)."""
        current = self.get(place)
        return self.replace(place, merged(current.object, patch), size=size, writer=writer)

    def apply(self, place: Place, patch: Object, *, size: int = 0, writer: Writer | None = None) -> Change:
        """Apply server-side: creates what is absent (apply-absent.json), merges into what is there."""
        current = self.store.get(place.resource, place.key)
        if current is None:
            named = {**patch, "metadata": {**patch.get("metadata", {}), "name": place.name}}
            return self.create(place, named, size=size, writer=writer)
        return self.replace(place, merged(current.object, patch), size=size, writer=writer)

    def delete(self, place: Place) -> Change:
        """Delete; of a namespace the answer is the terminating object (ns-delete.json)."""
        current = self.get(place)
        if place.resource is NAMESPACES:
            return self._terminate(place, current)
        return self.store.delete(place.resource, place.key) or current

    def write(self, place: Place, content: Object, current: Change | None, writer: Writer | None = None) -> Change:
        """Store ``content`` without judging it; nothing happens when it changes nothing.

        A uid and a creation time in ``content`` are kept only where there is no object yet.
        """
        now = self.now()
        body = self._completed(place, content, current, writer or Writer(), now)
        if current is not None and _same(current.object, body):
            return current
        expires_at = now + self.event_ttl if place.resource is EVENTS else None
        return self.store.put(place.resource, place.key, body, expires_at=expires_at)

    def _completed(
        self, place: Place, content: Object, current: Change | None, writer: Writer, now: datetime
    ) -> Object:
        given = content["metadata"]
        known = current.object["metadata"] if current else given
        annotations = {
            name: text for name, text in (given.get("annotations") or {}).items() if name != CLUSTER_ANNOTATION
        }
        metadata = {**given, "name": place.name, "annotations": annotations, "resourceVersion": "?"}
        metadata["uid"] = known.get("uid") or str(uuid.uuid4())
        metadata["creationTimestamp"] = known.get("creationTimestamp") or timestamp(now)
        if place.namespace:
            metadata["namespace"] = place.namespace
        if place.resource is NAMESPACES:
            metadata["labels"] = {**(given.get("labels") or {}), NAMESPACE_LABEL: place.name}
        owned = {**content, "metadata": metadata}
        metadata["managedFields"] = managed_fields(place.resource, owned, writer.manager, writer.operation, now)
        if self.workspaces is not None:
            metadata["annotations"] = {**annotations, CLUSTER_ANNOTATION: place.cluster}
        return stored(place.resource, {**content, "metadata": metadata})

    def _refuse_content(self, place: Place, content: Object, size: int) -> None:
        _refuse(admission.acceptable(place.resource, content, place.namespace))
        _refuse(admission.storable(size))

    def _refuse_namespace(self, place: Place) -> None:
        """Refuse to create in a namespace that is not there or is going away (ns-*.json)."""
        if not place.namespace:
            return
        ending = self.workspaces is not None and self.workspaces.refuse_namespace(
            place.cluster, place.namespace, self.now()
        )
        found = self.store.get(NAMESPACES, Key(place.cluster, "", place.namespace))
        if found is None:
            raise Refused(not_found(NAMESPACES, place.namespace))
        if ending or found.object["status"]["phase"] == "Terminating":
            raise Refused(terminating(place.resource, place.name, place.namespace))

    def _terminate(self, place: Place, current: Change) -> Change:
        """Mark a namespace; empty and remove it unless something in it holds it back by a finalizer."""
        content = current.object
        content["metadata"]["deletionTimestamp"] = timestamp(self.now())
        marked = self.write(place, content, current)
        inside = list(self.store.inside(place.cluster, place.name))
        if not any(change.object["metadata"].get("finalizers") for _, change in inside):
            for resource, change in inside:
                self.store.delete(resource, change.key)
            self.store.delete(NAMESPACES, place.key)
        return marked


def _refuse(status: Status | None) -> None:
    if status is not None:
        raise Refused(status)


def _placed(place: Place, content: Object) -> dict[str, Any]:
    """Return a copy of the metadata, the namespace filled in from the URL; Refused 400 when they differ."""
    metadata = dict(content.get("metadata") or {})
    if place.namespace and (metadata.get("namespace") or place.namespace) != place.namespace:
        what = "the namespace of the provided object does not match the namespace sent on the request"
        raise Refused(bad_request(what))
    return metadata


def _refuse_stale(place: Place, metadata: dict[str, Any], current: Change) -> None:
    version = metadata.get("resourceVersion")
    if version and version != str(current.revision):
        raise Refused(conflict(place.resource, place.name))
    uid, known = metadata.get("uid"), current.object["metadata"]["uid"]
    if uid and uid != known:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {known}"
        raise Refused(conflict(place.resource, place.name, why))


def _same(current: Object, body: Object) -> bool:
    ignored = {"resourceVersion", "managedFields"}
    before = {field: part for field, part in current["metadata"].items() if field not in ignored}
    after = {field: part for field, part in body["metadata"].items() if field not in ignored}
    return (
        before == after
        and all(current.get(field) == body[field] for field in body if field != "metadata")
        and ({*current} - {"kind", "apiVersion"} == {*body})
    )
