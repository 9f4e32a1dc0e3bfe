"""Which kinds of object are looked up in a workspace or watched in a cluster, and where: a table, so that nothing
has to be discovered.

``transform.lookup`` names kinds: ``Deployment`` for one that Kubernetes has, and for any other its kind, group and
plural, as in ``Certificate.cert-manager.io=certificates``. Objects of a namespace only. What is watched
(``mapping.syncagent.kinds``) has no Event to tell its version, and names it:
``Certificate.v1.cert-manager.io=certificates``. Secrets are none of the table: nothing of ours asks for permission
to read them.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

BUILT_IN: Mapping[str, tuple[str, str]] = {
    "ConfigMap": ("", "configmaps"),
    "CronJob": ("batch", "cronjobs"),
    "DaemonSet": ("apps", "daemonsets"),
    "Deployment": ("apps", "deployments"),
    "Endpoints": ("", "endpoints"),
    "HorizontalPodAutoscaler": ("autoscaling", "horizontalpodautoscalers"),
    "Ingress": ("networking.k8s.io", "ingresses"),
    "Job": ("batch", "jobs"),
    "Lease": ("coordination.k8s.io", "leases"),
    "NetworkPolicy": ("networking.k8s.io", "networkpolicies"),
    "PersistentVolumeClaim": ("", "persistentvolumeclaims"),
    "Pod": ("", "pods"),
    "PodDisruptionBudget": ("policy", "poddisruptionbudgets"),
    "ReplicaSet": ("apps", "replicasets"),
    "ReplicationController": ("", "replicationcontrollers"),
    "ResourceQuota": ("", "resourcequotas"),
    "Role": ("rbac.authorization.k8s.io", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io", "rolebindings"),
    "Service": ("", "services"),
    "ServiceAccount": ("", "serviceaccounts"),
    "StatefulSet": ("apps", "statefulsets"),
}
"""Group and plural of the kinds of Kubernetes 1.36 that live in a namespace, by kind."""
DEFAULT = (
    "Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "Service", "ConfigMap",
    "PersistentVolumeClaim", "Ingress", "HorizontalPodAutoscaler",
)  # fmt: skip
"""What people describe when something is wrong."""
WATCHED = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
"""What of Kubernetes' own kinds people run in a workspace; what an agent publishes besides has to be named."""

_CUSTOM = re.compile(
    r"(?P<kind>[A-Za-z][A-Za-z0-9]*)\.(?P<group>[a-z0-9]([-.a-z0-9]*[a-z0-9])?)=(?P<plural>[a-z][a-z0-9]*)"
)
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")
_WATCHED = re.compile(
    rf"(?P<kind>[A-Za-z][A-Za-z0-9]*)\.(?P<version>{_VERSION.pattern})"
    r"(\.(?P<group>[a-z0-9]([-.a-z0-9]*[a-z0-9])?))?=(?P<plural>[a-z][a-z0-9]*)"
)


class Kind(NamedTuple):
    """A kind of object: its API group (empty: core) and the plural of its paths."""

    kind: str
    group: str
    plural: str


def parse(entry: str) -> Kind:
    """Return the kind that an ``entry`` of ``transform.lookup`` names; raise ``ValueError`` if it names none."""
    if entry in BUILT_IN:
        return Kind(entry, *BUILT_IN[entry])
    custom = _CUSTOM.fullmatch(entry)
    if custom is None:
        message = f"{entry!r} is neither a kind that is known nor Kind.group=plural; known: {', '.join(BUILT_IN)}"
        raise ValueError(message)
    return Kind(custom["kind"], custom["group"], custom["plural"])


def api(kind: Kind, api_version: str) -> str:
    """Return the root of ``kind``'s paths; empty when an Event's ``apiVersion`` names another API of that kind.

    What Kubernetes has is ``v1`` whatever the Event says (the uid is the same in each version), and also where
    it says nothing, as some emitters do. A kind of others is asked for in the version of the Event.
    """
    if BUILT_IN.get(kind.kind) == (kind.group, kind.plural):
        same = not api_version or api_version.rpartition("/")[0] == kind.group
        return (f"/apis/{kind.group}/v1" if kind.group else "/api/v1") if same else ""
    group, _, version = api_version.rpartition("/")
    return f"/apis/{group}/{version}" if group == kind.group and _VERSION.fullmatch(version) else ""


class Watched(NamedTuple):
    """A kind of object that is watched: its API group (empty: core) and version, and the plural of its paths."""

    kind: str
    group: str
    version: str
    plural: str

    @property
    def resource(self) -> str:
        """What its streams are called in the spool; :func:`watched` reads it back."""
        return f"{self.kind}.{self.version}{'.' if self.group else ''}{self.group}={self.plural}"

    @property
    def root(self) -> str:
        """The root of its paths."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


def watched(resource: str) -> Watched | None:
    """Return the kind whose streams are called ``resource``; None for what is no kind of :attr:`Watched.resource`."""
    found = _WATCHED.fullmatch(resource)
    return Watched(found["kind"], found["group"] or "", found["version"], found["plural"]) if found else None


def parse_watched(entry: str) -> Watched:
    """Return the kind that an ``entry`` of ``mapping.syncagent.kinds`` names; raise ``ValueError`` if it names none."""
    if entry in BUILT_IN:
        group, plural = BUILT_IN[entry]
        return Watched(entry, group, "v1", plural)
    custom = watched(entry)
    if custom is None or not custom.group:
        known = ", ".join(BUILT_IN)
        message = f"{entry!r} is neither a kind that is known nor Kind.version.group=plural; known: {known}"
        raise ValueError(message)
    return custom
