"""What people call an object on the command line, as kubectl takes it: ``pod/web``, ``po/web``, ``deploy.apps/web``.

A table, so that nobody has to be asked: Kubernetes' own kinds with their short and plural names, and any other by its
kind or an English plural of it. The group may follow the kind, and a version may stand between. Nothing here knows
which objects there are.
"""

import re
from typing import NamedTuple

import polars as pl

from batcher import kinds
from batcher.errors import UsageError
from batcher.stages.rule import glob
from batcher.text import safe

_OF_CLUSTERS = {
    "Namespace": ("", "namespaces"),
    "Node": ("", "nodes"),
    "PersistentVolume": ("", "persistentvolumes"),
    "StorageClass": ("storage.k8s.io", "storageclasses"),
    "CustomResourceDefinition": ("apiextensions.k8s.io", "customresourcedefinitions"),
    "APIService": ("apiregistration.k8s.io", "apiservices"),
    "Event": ("", "events"),
    "Secret": ("", "secrets"),
}
"""What Events are about besides :data:`batcher.kinds.BUILT_IN`."""
_SHORT = {
    "cm": "ConfigMap", "cj": "CronJob", "crd": "CustomResourceDefinition", "crds": "CustomResourceDefinition",
    "deploy": "Deployment", "ds": "DaemonSet", "ep": "Endpoints", "ev": "Event", "hpa": "HorizontalPodAutoscaler",
    "ing": "Ingress", "netpol": "NetworkPolicy", "no": "Node", "ns": "Namespace", "pdb": "PodDisruptionBudget",
    "po": "Pod", "pv": "PersistentVolume", "pvc": "PersistentVolumeClaim", "quota": "ResourceQuota",
    "rc": "ReplicationController", "rs": "ReplicaSet", "sa": "ServiceAccount", "sc": "StorageClass",
    "sts": "StatefulSet", "svc": "Service",
}  # fmt: skip
"""Short names as the API servers of Kubernetes 1.36 tell them."""
_KINDS = {**kinds.BUILT_IN, **_OF_CLUSTERS}
_NAMES = {
    **{kind.lower(): kind for kind in _KINDS},
    **{plural: kind for kind, (_, plural) in _KINDS.items()},
    **_SHORT,
}
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")
_RESOURCE = re.compile(r"[a-z][-a-z0-9]*(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Named(NamedTuple):
    """An object, or several: ``name`` is a glob."""

    kinds: tuple[str, ...]
    """In small letters: one of them."""
    group: str | None
    """Its API group, empty: core; None: any."""
    name: str


def named(flag: str, text: str) -> Named:
    """Return what ``text``, given to ``flag``, names. Raises :class:`UsageError` if it names nothing."""
    resource, slash, name = text.partition("/")
    if not slash or not name or "/" in name or not _RESOURCE.fullmatch(resource.lower()):
        message = f"{flag}: {safe(text)!r} is no KIND/NAME, such as pod/web-1, deployment.apps/web or po/web-*"
        raise UsageError(message)
    kind, dot, group = resource.lower().partition(".")
    version, _, rest = group.partition(".")
    return Named(_kinds_of(kind), (rest if _VERSION.fullmatch(version) else group) if dot else _group_of(kind), name)


def _kinds_of(said: str) -> tuple[str, ...]:
    """A kind that is known, or what may be one: the word, and what it may be the plural of."""
    if said in _NAMES:
        return (_NAMES[said].lower(),)
    endings = [("ies", "y"), ("es", ""), ("s", "")]
    return (said, *(said.removesuffix(end) + instead for end, instead in endings if said.endswith(end)))


def _group_of(said: str) -> str | None:
    """Kubernetes' own group of a short or plural name; a kind of others is one in whatever group."""
    return _KINDS[_NAMES[said]][0] if said in _NAMES else None


def is_about(object_: Named) -> pl.Expr:
    """Whether a row is about ``object_``. In: ``regarding_api_version, regarding_kind, regarding_name``.

    Some emitters leave the version out, and then nothing says of which group it is.
    """
    version = pl.col("regarding_api_version").fill_null("")
    conditions = [pl.col("regarding_kind").str.to_lowercase().is_in(object_.kinds), _is_called(object_.name)]
    if object_.group is not None:
        group = version.str.extract("^(.*)/").fill_null("")
        conditions.append((group == object_.group) | (version == ""))
    return pl.all_horizontal(conditions)


def _is_called(name: str) -> pl.Expr:
    is_glob = "*" in name or "?" in name
    return pl.col("regarding_name").str.contains(glob(name)) if is_glob else pl.col("regarding_name") == name
