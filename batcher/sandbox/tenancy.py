"""Workspace objects: creating one makes a logical cluster, deleting one ends it.

The objects live in the parent's logical cluster (ws-create.json, ws-get.json). Scheduling takes no time here:
an object appears as ``Scheduling`` and is ``Ready`` at the next revision.
"""

from batcher.sandbox.api import Api, Place, Writer
from batcher.sandbox.collection import Change
from batcher.sandbox.resources import NAMESPACES, WORKSPACES
from batcher.sandbox.shape import Object, timestamp
from batcher.sandbox.workspaces import ROOT, LogicalCluster, Workspaces

SYSTEM_NAMESPACES = ("default", "kube-system")
_OWNER = "experimental.tenancy.kcp.io/owner"
_FINALIZER = "core.kcp.io/logicalcluster"


class Tenancy:
    """The workspaces of one kcp, as objects and as logical clusters."""

    def __init__(self, api: Api, workspaces: Workspaces, url: str = "") -> None:
        """Keep the objects in ``api``'s store; ``url`` is the server's, known once it listens."""
        self.url = url
        self._api = api
        self._workspaces = workspaces
        open_namespaces(api, ROOT)

    def ensure(self, path: str) -> LogicalCluster:
        """Return the logical cluster at ``path``; it and its parents are created when missing."""
        found = self._workspaces.at(path)
        if found is not None and found.deleted_at is None:
            return found
        parent, _, name = path.rpartition(":")
        owner = self.ensure(parent or ROOT)
        content: Object = {"metadata": {"name": name}, "spec": {"type": {"name": "universal", "path": "root"}}}
        self.create(Place(WORKSPACES, owner.name), content)
        return self.ensure(path)

    def create(self, place: Place, content: Object, writer: Writer | None = None) -> Change:
        """Create a Workspace object and its logical cluster; the answer says ``Scheduling``."""
        given = content.get("metadata") or {}
        owned = {**(given.get("annotations") or {}), _OWNER: '{"username":"kcp-admin"}'}
        metadata = {**given, "annotations": owned, "generation": 1}
        scheduling = {**content, "metadata": metadata, "status": {"phase": "Scheduling"}}
        created = self._api.create(place, scheduling, writer=writer)
        parent = self._workspaces.by_name[place.cluster]
        cluster = self._workspaces.add(f"{parent.path}:{created.key.name}")
        open_namespaces(self._api, cluster.name)
        self._become_ready(created, cluster)
        return created

    def delete(self, place: Place) -> Change:
        """End the logical cluster; its object goes at once, its contents as :mod:`.workspaces` says."""
        current = self._api.get(place)
        cluster = self._workspaces.by_name[current.object["spec"]["cluster"]]
        now = self._api.now()
        cluster.deleted_at = now
        content = current.object
        marks = {"deletionTimestamp": timestamp(now), "deletionGracePeriodSeconds": 0, "generation": 3}
        content["metadata"] = {**content["metadata"], **marks}
        marked = self._api.write(place, content, current)
        self._api.store.delete(WORKSPACES, place.key)
        for resource in self._api.store.resources(cluster.name):
            self._api.store.collection(resource, cluster.name).ring()
        return marked

    def remove(self, path: str) -> None:
        """Delete the workspace at ``path``; Refused 404 without one."""
        parent, _, name = path.rpartition(":")
        owner = self._workspaces.at(parent)
        self.delete(Place(WORKSPACES, owner.name if owner else ROOT, "", name))

    def _become_ready(self, created: Change, cluster: LogicalCluster) -> None:
        content = created.object
        at = timestamp(self._api.now())
        content["metadata"]["generation"] = 2
        content["metadata"]["finalizers"] = [_FINALIZER]
        content["metadata"]["labels"] = {"tenancy.kcp.io/phase": "Ready"}
        content["metadata"]["annotations"] = {
            "core.kcp.io/shard": "root",
            **content["metadata"]["annotations"],
            "internal.tenancy.kcp.io/cluster": cluster.name,
            "internal.tenancy.kcp.io/shard": "sandbox",
        }
        content["spec"] = {"URL": f"{self.url}/clusters/{cluster.path}", "cluster": cluster.name, **content["spec"]}
        conditions = [
            {"lastTransitionTime": at, "status": "True", "type": kind}
            for kind in ("WorkspaceInitialized", "WorkspaceScheduled")
        ]
        content["status"] = {"conditions": conditions, "phase": "Ready"}
        self._api.write(Place(WORKSPACES, created.key.cluster, "", created.key.name), content, created)


def open_namespaces(api: Api, cluster: str) -> None:
    """Create the namespaces that every cluster has; the uid of kube-system is the cluster's identity."""
    for name in SYSTEM_NAMESPACES:
        api.create(Place(NAMESPACES, cluster), {"metadata": {"name": name}})
