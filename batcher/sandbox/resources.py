"""The kinds of object that the simulated servers know, and how their paths and lists are written.

A table, nothing else: the store and the API treat every row alike, so that adding a kind is adding a row.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource: its API group and version, the plural of its paths, its kind."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    custom: bool = False
    """Defined by a CRD: list items then carry kind and apiVersion, as in transcript ws-get.json."""
    upsert: bool = False
    """A PUT of an absent name creates it (put-upsert-new.json)."""
    in_kcp: bool = True
    """A universal workspace has no Nodes; Pods and the like are there once an APIBinding brings them."""
    in_cluster: bool = True
    """A cluster has neither workspaces nor APIBindings."""

    @property
    def api_version(self) -> str:
        """Return ``v1`` or ``group/version``, as in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Return the plural with its group, as Status messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def head(self) -> bytes:
        """Return the bytes that begin every encoded object of this kind."""
        kind, version = f'"kind":"{self.kind}"', f'"apiVersion":"{self.api_version}"'
        first, second = (version, kind) if self.custom else (kind, version)
        return f"{{{first},{second},".encode()


EVENTS = Resource("", "v1", "events", "Event", "event", short_names=("ev",), upsert=True)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", "namespace", namespaced=False, short_names=("ns",))
WORKSPACES = Resource(
    "tenancy.kcp.io", "v1alpha1", "workspaces", "Workspace", "workspace",
    namespaced=False, short_names=("ws",), custom=True, in_cluster=False,
)  # fmt: skip
BINDINGS = Resource(
    "apis.kcp.io", "v1alpha2", "apibindings", "APIBinding", "apibinding",
    namespaced=False, custom=True, in_cluster=False,
)  # fmt: skip
ENDPOINT_SLICES = Resource(
    "apis.kcp.io", "v1alpha1", "apiexportendpointslices", "APIExportEndpointSlice", "apiexportendpointslice",
    namespaced=False, custom=True, in_cluster=False,
)  # fmt: skip
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", "lease", upsert=True)

RESOURCES: tuple[Resource, ...] = (
    EVENTS,
    NAMESPACES,
    WORKSPACES,
    BINDINGS,
    ENDPOINT_SLICES,
    Resource("", "v1", "configmaps", "ConfigMap", "configmap", short_names=("cm",)),
    Resource("", "v1", "services", "Service", "service", short_names=("svc",)),
    Resource("", "v1", "pods", "Pod", "pod", short_names=("po",)),
    Resource("", "v1", "nodes", "Node", "node", namespaced=False, short_names=("no",), in_kcp=False),
    Resource("apps", "v1", "deployments", "Deployment", "deployment", short_names=("deploy",)),
    Resource("apps", "v1", "replicasets", "ReplicaSet", "replicaset", short_names=("rs",), in_kcp=False),
    Resource("apps", "v1", "statefulsets", "StatefulSet", "statefulset", short_names=("sts",)),
    Resource("apps", "v1", "daemonsets", "DaemonSet", "daemonset", short_names=("ds",), in_kcp=False),
    Resource("batch", "v1", "jobs", "Job", "job"),
    LEASES,
)


def served(*, kcp: bool) -> dict[tuple[str, str, str], Resource]:
    """Return the resources of one personality by (group, version, plural)."""
    rows = (row for row in RESOURCES if (row.in_kcp if kcp else row.in_cluster))
    return {(row.group, row.version, row.plural): row for row in rows}
