"""What an object says of the workspace object that api-syncagent made it from: a claim, checked as far as it can be.

A claim is data: whoever can edit the object can write it. Whether it is trusted is for the configuration
(``mapping.trust``), and where it may lead is for ``kcp.workspaces``; neither is known here.

Only the copy of what a tenant made bears this metadata. What the agent makes besides it (related objects, the
namespace itself) and what others make of it (ReplicaSets, Pods) bears none; the Secrets in which it keeps its state
bear the labels without the annotations. Source: api-syncagent, ``internal/sync/{meta,types,object_syncer}.go``.
"""

import hashlib
import re
from typing import NamedTuple

from batcher.mapping.locator import Flaw

CLUSTER_LABEL = "syncagent.kcp.io/remote-object-cluster"
"""The logical cluster of the workspace; every object that is read here has it."""
_NAMESPACE, _NAME = "syncagent.kcp.io/remote-object-namespace", "syncagent.kcp.io/remote-object-name"
_HASHES = {
    _NAMESPACE: "syncagent.kcp.io/remote-object-namespace-hash",
    _NAME: "syncagent.kcp.io/remote-object-name-hash",
}
"""The label that each annotation is found by again: its SHA-1, because a label holds no more than 63 characters."""

NO_NAMESPACE = "default"
"""Where Events are of an object that has no namespace in its workspace."""

_LOGICAL = re.compile("[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
_LABEL = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_OBJECT = re.compile("[A-Za-z0-9]([-A-Za-z0-9_.:]{0,251}[A-Za-z0-9])?")


class ObjectClaim(NamedTuple):
    """A workspace (the name of its logical cluster) and the object in it that a downstream object claims to be of."""

    workspace: str
    namespace: str
    name: str
    flaw: Flaw


def read_object_claim(annotations: dict[str, str], labels: dict[str, str]) -> ObjectClaim | None:
    """Return what an object of these ``annotations`` and ``labels`` claims, None if it has no such label.

    Never raises: what is wrong with a claim is its ``flaw``.
    """
    if CLUSTER_LABEL not in labels:
        return None
    workspace, name = labels[CLUSTER_LABEL], annotations.get(_NAME, "")
    namespace = annotations.get(_NAMESPACE, "")
    flaw = _flaw(workspace, namespace, name) or _mismatch(annotations, labels)
    if flaw is not Flaw.NONE:
        return ObjectClaim("", "", "", flaw)
    return ObjectClaim(workspace, namespace or NO_NAMESPACE, name, flaw)


def _flaw(workspace: str, namespace: str, name: str) -> Flaw:
    if not name:
        return Flaw.INCOMPLETE
    there = _LABEL.fullmatch(namespace) is not None or not namespace
    readable = _LOGICAL.fullmatch(workspace) and there and _OBJECT.fullmatch(name)
    return Flaw.NONE if readable else Flaw.UNREADABLE


def _mismatch(annotations: dict[str, str], labels: dict[str, str]) -> Flaw:
    """Whether an annotation is another than the one that the agent would find the object by."""
    hashed = {label: _hash(annotations.get(annotation, "")) for annotation, label in _HASHES.items()}
    same = all(labels.get(label, expected) == expected for label, expected in hashed.items())
    return Flaw.NONE if same else Flaw.OTHER_HASH


def _hash(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
