"""What an API server answers when it refuses: the Status objects, as recorded.

Wording and fields follow the transcripts (file names beside the builders). Pure: a builder knows nothing of
requests or stores.
"""

from dataclasses import dataclass
from typing import Any

from batcher.errors import BatcherError
from batcher.sandbox.resources import EVENTS, Resource


@dataclass(frozen=True, slots=True)
class Status:
    """One refusal. ``reason`` is absent from a 500, as recorded (watch-badrv.ndjson, body-2mb.json)."""

    code: int
    message: str
    reason: str | None = None
    details: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def retry_after(self) -> int | None:
        """Return the seconds of the Retry-After header, when the details have them."""
        seconds = (self.details or {}).get("retryAfterSeconds")
        return int(seconds) if seconds is not None else None

    def body(self) -> dict[str, Any]:
        """Return the JSON object, keys in the recorded order."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata or {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason is not None:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.code}


class Refused(BatcherError):  # noqa: N818  named by what happened to the request
    """The simulated server answers the request with ``status``."""

    def __init__(self, status: Status) -> None:
        """Keep the answer."""
        self.status = status
        super().__init__(status.message)


UNAUTHORIZED = Status(401, "Unauthorized", "Unauthorized")
TOO_LARGE = Status(413, "Request entity too large: limit is 3145728", "RequestEntityTooLarge")
NO_SUCH_PATH = Status(404, "the server could not find the requested resource", "NotFound", {})
NO_SUCH_METHOD = Status(405, "the server does not allow this method on the requested resource", "MethodNotAllowed", {})


def _details(resource: Resource, name: str) -> dict[str, Any]:
    group = {"group": resource.group} if resource.group else {}
    return {"name": name, **group, "kind": resource.plural}


def bad_request(message: str) -> Status:
    """Build 400 (count-overflow.json)."""
    return Status(400, message, "BadRequest")


def not_found(resource: Resource, name: str) -> Status:
    """Build 404 (patch-absent.json, ns-missing.json, get-workspace-missing.json)."""
    return Status(404, f'{resource.qualified} "{name}" not found', "NotFound", _details(resource, name))


def already_exists(resource: Resource, name: str) -> Status:
    """Build 409 for a POST (create-conflict.json)."""
    return Status(409, f'{resource.qualified} "{name}" already exists', "AlreadyExists", _details(resource, name))


def conflict(
    resource: Resource,
    name: str,
    why: str = "the object has been modified; please apply your changes to the latest version and try again",
) -> Status:
    """Build 409 for a PUT (update-stale-rv.json)."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return Status(409, message, "Conflict", _details(resource, name))


def invalid(resource: Resource, name: str, field: str, cause: str, what: str) -> Status:
    """Build 422 with one cause (label-bad.json); ``cause`` is the reason of the cause, ``what`` its message."""
    return Status(
        422,
        f'{resource.kind} "{name}" is invalid: {field}: {what}',
        "Invalid",
        {
            "name": name,
            **({"group": resource.group} if resource.group else {}),
            "kind": resource.kind,
            "causes": [{"reason": cause, "message": what, "field": field}],
        },
    )


def forbidden(user: str, verb: str, resource: Resource, namespace: str = "") -> Status:
    """Build 403 of a missing permission (wildcard-list.json, impersonate-nobody-post.json)."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{resource.qualified} is forbidden: User "{user}" cannot {verb} resource "{resource.plural}" '
        f'in API group "{resource.group}" {where}: access denied'
    )
    group = {"group": resource.group} if resource.group else {}
    return Status(403, message, "Forbidden", {**group, "kind": resource.plural})


def terminating(resource: Resource, name: str, namespace: str) -> Status:
    """Build 403 of a namespace that is going away (ns-terminating-post.json)."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    return Status(
        403,
        f'{resource.qualified} "{name}" is forbidden: {why}',
        "Forbidden",
        {**_details(resource, name), "causes": [cause]},
    )


def too_old(revision: int, oldest: int) -> Status:
    """Build 410 of a watch from before the history (watch-expired-in-stream-410.ndjson)."""
    return Status(410, f"too old resource version: {revision} ({oldest})", "Expired")


def continue_expired(fresh: str) -> Status:
    """Build 410 of a page token whose revision is compacted; ``fresh`` goes on inconsistently."""
    return Status(
        410,
        "the continue token is too old for a consistent list: start again, or go on inconsistently with the "
        "token of this answer",
        "Expired",
        metadata={"continue": fresh},
    )


def too_large_version(revision: int, current: int) -> Status:
    """Build 504 of a list from the future (list-future-rv.json)."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return Status(
        504,
        f"Timeout: Too large resource version: {revision}, current: {current}",
        "Timeout",
        {"causes": causes, "retryAfterSeconds": 1},
    )


def bad_version(text: str) -> Status:
    """Build the 500 of a malformed resourceVersion (watch-badrv.ndjson)."""
    message = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
    return Status(500, message)


def etcd_exhausted(size: int) -> Status:
    """Build the 500 of an object that etcd refuses (body-2mb.json)."""
    text = f"trying to send message larger than max ({size} vs. 2097152)"
    return Status(500, f"rpc error: code = ResourceExhausted desc = {text}")


_PRESET = {
    429: Status(429, "the server has received too many requests", "TooManyRequests"),
    401: UNAUTHORIZED,
    403: Status(403, "events is forbidden: access denied", "Forbidden", {"kind": EVENTS.plural}),
    500: Status(500, "Internal error occurred: etcdserver: no leader", "InternalError"),
    503: Status(503, "the server is currently unable to handle the request", "ServiceUnavailable"),
}


def refusal(code: int, retry_after: int | None) -> Status:
    """Build the answer of a fault switch: ``code`` with or without a Retry-After of so many seconds."""
    preset = _PRESET.get(code) or Status(code, f"answered {code} on purpose")
    if retry_after is None:
        return preset
    details = {**(preset.details or {}), "retryAfterSeconds": retry_after}
    return Status(preset.code, preset.message, preset.reason, details)
