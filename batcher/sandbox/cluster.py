"""Handles on simulated clusters and workspaces: what a script or a test does to them, without HTTP.

Trusting: nothing is validated here, so that any Event can be delivered that a real server ever might. Call
from the event loop that runs the servers.
"""

from collections.abc import Mapping
from typing import Any

from batcher.sandbox.api import Api, Place
from batcher.sandbox.collection import Key
from batcher.sandbox.faults import Faults
from batcher.sandbox.identity import Identity
from batcher.sandbox.resources import EVENTS, NAMESPACES, Resource
from batcher.sandbox.server import ApiServer
from batcher.sandbox.shape import Object, merged


class Contents:
    """The Events and Namespaces of one cluster or workspace."""

    def __init__(self, name: str, server: ApiServer, logical: str = "") -> None:
        """Handle logical cluster ``logical`` of ``server`` ("": a cluster of its own)."""
        self.name = name
        self.logical = logical
        self._server = server

    @property
    def url(self) -> str:
        """Return where clients find it."""
        return f"{self._server.url}/clusters/{self.name}" if self.logical else self._server.url

    @property
    def uid(self) -> str:
        """Return its identity: the uid of its kube-system Namespace."""
        uid: str = self._api.get(Place(NAMESPACES, self.logical, "", "kube-system")).object["metadata"]["uid"]
        return uid

    @property
    def latest_revision(self) -> int:
        """Return the resourceVersion of the newest change of its server."""
        return self._server.store.revision

    @property
    def faults(self) -> Faults:
        """Return the switches of its server; assign ``dataclasses.replace(x.faults, ...)`` to change some."""
        return self._server.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._server.faults = faults

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Return method and path of the newest requests of its server, oldest first."""
        return list(self._server.requests)

    @property
    def identities(self) -> dict[str, Identity]:
        """Return who is known to its server, by token; change it to rotate or revoke."""
        return self._server.identities

    def create_event(self, event: Mapping[str, Any]) -> Object:
        """Store an Event and return it; its namespace (default: ``default``) is created when missing.

        Defaults are filled in as a server does; a uid and a creationTimestamp given are kept. Writing a name
        that exists replaces it, under its uid.
        """
        metadata = event["metadata"]
        namespace = metadata.get("namespace") or "default"
        if self._server.store.get(NAMESPACES, Key(self.logical, "", namespace)) is None:
            self.create_namespace(namespace)
        place = Place(EVENTS, self.logical, namespace, metadata["name"])
        current = self._server.store.get(EVENTS, place.key)
        content = {**event, "metadata": {**metadata, "namespace": namespace}}
        return self._api.write(place, content, current).object

    def update_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> Object:
        """Merge ``changes`` (RFC 7386: null removes) into an Event and return it; Refused 404 without one."""
        place = Place(EVENTS, self.logical, namespace, name)
        current = self._api.get(place)
        return self._api.write(place, merged(current.object, dict(changes)), current).object

    def delete_event(self, namespace: str, name: str) -> None:
        """Delete an Event; Refused 404 without one."""
        self._api.delete(Place(EVENTS, self.logical, namespace, name))

    def put_raw(self, resource: Resource, namespace: str, name: str, content: Mapping[str, Any]) -> Object:
        """Store ``content`` as it is, unknown fields and all; only resourceVersion is the server's."""
        body = {field: part for field, part in content.items() if field not in {"kind", "apiVersion"}}
        body = {**body, "metadata": dict(body.get("metadata") or {})}
        expires_at = self._server.now + self._api.event_ttl if resource is EVENTS else None
        key = Key(self.logical, namespace, name)
        return self._server.store.put(resource, key, body, expires_at=expires_at).object

    def create_namespace(
        self, name: str, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None
    ) -> Object:
        """Create a Namespace, or give an existing one these labels and annotations; return it."""
        place = Place(NAMESPACES, self.logical, "", name)
        metadata = {"name": name, "labels": dict(labels or {}), "annotations": dict(annotations or {})}
        return self._api.write(place, {"metadata": metadata}, self._server.store.get(NAMESPACES, place.key)).object

    def delete_namespace(self, name: str) -> None:
        """Delete a Namespace and what is in it; it stays Terminating while a finalizer inside holds it."""
        self._api.delete(Place(NAMESPACES, self.logical, "", name))

    def create_object(self, resource: Resource, namespace: str, content: Mapping[str, Any]) -> Object:
        """Store an object of any kind of :data:`.resources.RESOURCES`, without judging it; return it."""
        place = Place(resource, self.logical, namespace, content["metadata"]["name"])
        return self._api.write(place, dict(content), self._server.store.get(resource, place.key)).object

    def objects(self, resource: Resource) -> list[Object]:
        """Return the current objects of any kind in the order of lists."""
        return self._objects(resource, None)

    def events(self, namespace: str | None = None) -> list[Object]:
        """Return the current Events in the order of lists."""
        return self._objects(EVENTS, namespace)

    def namespaces(self) -> list[Object]:
        """Return the current Namespaces by name."""
        return self._objects(NAMESPACES, None)

    def expire(self) -> int:
        """Delete the Events that have outlived their time now; return how many."""
        return self._server.store.expire(self._server.now)

    def compact(self, revision: int | None = None) -> None:
        """Forget the history of the server up to ``revision`` (None: all of it)."""
        self._server.store.compact(revision)

    def lose(self, count: int) -> None:
        """Let no watch of the server see its next ``count`` changes."""
        self._server.store.lose(count)

    def restore(self, revision: int) -> None:
        """Restore the server from a backup of ``revision``; its streams end."""
        self._server.restore(revision)

    def replace(self) -> None:
        """Let another cluster answer at this address; the streams end."""
        self._server.replace()

    @property
    def _api(self) -> Api:
        return self._server.api

    def _objects(self, resource: Resource, namespace: str | None) -> list[Object]:
        page = self._server.store.page(resource, self.logical)
        return [change.object for change in page.changes if namespace in {None, change.key.namespace}]


class Cluster(Contents):
    """A source cluster on a port of its own."""


class Workspace(Contents):
    """A workspace of the kcp; ``name`` is its path, ``logical`` its logical cluster."""


class Kcp:
    """One kcp: a server with workspaces."""

    def __init__(self, server: ApiServer) -> None:
        """Handle ``server``, of personality kcp; TypeError for a plain cluster."""
        if server.tenancy is None or server.exports is None:
            raise TypeError(server)
        self.workspaces: dict[str, Workspace] = {}
        self._server = server
        self._tenancy = server.tenancy
        self._exports = server.exports

    @property
    def url(self) -> str:
        """Return the server's address, without a workspace."""
        return self._server.url

    @property
    def faults(self) -> Faults:
        """Return the switches of the server, which all workspaces share."""
        return self._server.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._server.faults = faults

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Return method and path of the newest requests, oldest first."""
        return list(self._server.requests)

    @property
    def identities(self) -> dict[str, Identity]:
        """Return who is known, by token."""
        return self._server.identities

    def add_workspace(self, path: str, namespaces: tuple[str, ...] = ()) -> Workspace:
        """Create the workspace at ``path``, its parents and its namespaces; return its handle."""
        workspace = Workspace(path, self._server, self._tenancy.ensure(path).name)
        for namespace in namespaces:
            workspace.create_namespace(namespace)
        self.workspaces[path] = workspace
        return workspace

    def publish_export(self, provider: str, name: str) -> None:
        """Offer an APIExport that claims Events, of the workspace at ``provider``; the server must listen."""
        self._exports.publish(self.workspaces[provider].logical, name)

    def bind(self, path: str, provider: str, name: str, *, accepted: bool = True) -> None:
        """Let the workspace at ``path`` bind the export ``name`` of ``provider``, and accept or reject its claim."""
        self._exports.bind(self.workspaces[path].logical, self.workspaces[provider].logical, name, accepted=accepted)

    def unbind(self, path: str, name: str) -> None:
        """Delete the binding of the workspace at ``path``."""
        self._exports.unbind(self.workspaces[path].logical, name)

    def delete_workspace(self, path: str) -> None:
        """Delete the workspace at ``path``: it terminates, is empty, is gone, as the clock goes on."""
        self._tenancy.remove(path)
        self.workspaces.pop(path, None)
