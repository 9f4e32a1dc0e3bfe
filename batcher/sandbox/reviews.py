"""The reviews that clients ask an API server for: who am I, who is this, may they do that.

Pure: identities in, the answered review out. Nothing is stored, as on a real server (sar.json).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from batcher.sandbox.identity import Identity
from batcher.sandbox.resources import Resource
from batcher.sandbox.shape import Object

SELF_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "selfsubjectaccessreview",
    namespaced=False,
)  # fmt: skip
"""Of a workspace that one may not enter it is refused like anything else there."""

_SUBJECT = ("apis", "authorization.k8s.io", "v1", "subjectaccessreviews")
_SELF = ("apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews")
_TOKEN = ("apis", "authentication.k8s.io", "v1", "tokenreviews")


def is_review(path: Sequence[str]) -> bool:
    """Tell whether ``path`` is where reviews are posted to."""
    return tuple(path) in {_SUBJECT, _SELF, _TOKEN}


def answer(path: Sequence[str], review: Object, who: Identity, known: Mapping[str, Identity], cluster: str) -> Object:
    """Return ``review`` with its status."""
    spec: dict[str, Any] = review.get("spec") or {}
    if tuple(path) == _TOKEN:
        return _with_status(review, _token_status(known.get(spec.get("token", ""))))
    user = who
    if tuple(path) == _SUBJECT:
        named = [identity for identity in known.values() if identity.user == spec.get("user")]
        user = named[0] if named else Identity(spec.get("user", ""), verbs=frozenset())
    wanted = spec.get("resourceAttributes") or spec.get("nonResourceAttributes") or {}
    # The content of an APIExport is one permission here (see .exports), whatever the verb.
    verb = "content" if wanted.get("subresource") == "content" else wanted.get("verb", "")
    allowed = user.may(verb, cluster, wanted.get("resource", ""))
    return _with_status(review, {"allowed": allowed, **({} if allowed else {"reason": "access denied"})})


def _token_status(identity: Identity | None) -> Object:
    if identity is None:
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": {"username": identity.user, "groups": ["system:authenticated"]}}


def _with_status(review: Object, status: Object) -> Object:
    head: Object = {
        "kind": review.get("kind"),
        "apiVersion": review.get("apiVersion"),
        "metadata": {},
    }
    return {**head, "spec": review.get("spec") or {}, "status": status}
