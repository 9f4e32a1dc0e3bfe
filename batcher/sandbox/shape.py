"""How an API server writes down what it was given: defaults, order of keys, whole seconds, managedFields.

Pure. Key order and defaults follow create.json and new-style-core.json: what a client left out of an Event
comes back as null, "" or {} for some fields and not at all for others.
"""

from datetime import UTC, datetime
from typing import Any

from batcher.sandbox.resources import EVENTS, NAMESPACES, Resource

Object = dict[str, Any]

_METADATA = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip
_EVENT = (
    "metadata", "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count",
    "type", "eventTime", "series", "action", "related", "reportingComponent", "reportingInstance",
)  # fmt: skip
_EVENT_DEFAULTS: Object = {
    "involvedObject": {}, "source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": None,
    "reportingComponent": "", "reportingInstance": "",
}  # fmt: skip
_ABSENT: tuple[Any, ...] = (None, "", {}, [])
"""What Go leaves out of an encoded object."""
_WHOLE = frozenset({"involvedObject", "related"})
"""Structures that managedFields treat as one value."""
_UNMANAGED = frozenset(
    {"name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields"}
)
BOOKMARK: Object = {
    "involvedObject": {}, "source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": None,
    "reportingComponent": "", "reportingInstance": "",
}  # fmt: skip
"""What an Event of a BOOKMARK line has behind its metadata (watch-lifecycle.ndjson)."""


def timestamp(at: datetime) -> str:
    """Write a time as metav1.Time does: UTC, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stored(resource: Resource, content: Object) -> Object:
    """Return ``content`` as the server keeps it, without kind and apiVersion, keys in its order.

    Of an Event unknown fields are dropped, missing ones become their zero value.
    """
    given = content["metadata"]
    metadata = {field: _sorted(given[field]) for field in _METADATA if given.get(field) not in _ABSENT}
    if resource is not EVENTS:
        rest = {field: part for field, part in content.items() if field not in {"kind", "apiVersion", "metadata"}}
        return {"metadata": metadata, **rest, **(_namespace(content) if resource is NAMESPACES else {})}
    filled = {**_EVENT_DEFAULTS, **content, "metadata": metadata}
    filled = {
        **filled,
        **{name: _whole_seconds(filled[name]) for name in ("firstTimestamp", "lastTimestamp")},
    }
    return {field: filled[field] for field in _EVENT if field in _EVENT_DEFAULTS or filled.get(field)}


def managed_fields(resource: Resource, content: Object, manager: str, operation: str, at: datetime) -> list[Object]:
    """Return one entry that owns every field: enough for real sizes, too little for conflicts."""
    owned = _owned({field: part for field, part in content.items() if field != "status"})
    return [
        {
            "manager": manager,
            "operation": operation,
            "apiVersion": resource.api_version,
            "time": timestamp(at),
            "fieldsType": "FieldsV1",
            "fieldsV1": owned,
        }
    ]


def merged(target: Object, patch: Object) -> Object:
    """Apply an RFC 7386 merge patch: null removes, objects merge, everything else replaces."""
    result = dict(target)
    for field, part in patch.items():
        if part is None:
            result.pop(field, None)
        elif isinstance(part, dict):
            known = result.get(field)
            result[field] = merged(known if isinstance(known, dict) else {}, part)
        else:
            result[field] = part
    return result


def _sorted(part: Any) -> Any:
    return dict(sorted(part.items())) if isinstance(part, dict) else part


def _namespace(content: Object) -> Object:
    phase = "Terminating" if content["metadata"].get("deletionTimestamp") else "Active"
    return {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": phase}}


def _whole_seconds(text: str | None) -> str | None:
    if text is None or (len(text) == len("2006-01-02T15:04:05Z") and text.endswith("Z")):
        return text
    return timestamp(datetime.fromisoformat(text))


def _owned(content: Object) -> Object:
    fields: Object = {}
    for field, part in sorted(content.items()):
        if field in {"kind", "apiVersion"} or part in _ABSENT:
            continue
        if field == "metadata":
            fields |= _owned_metadata(part)
        elif isinstance(part, dict) and field not in _WHOLE:
            dot: Object = {".": {}} if field == "series" else {}
            fields[f"f:{field}"] = {**dot, **{f"f:{name}": {} for name in sorted(part)}}
        else:
            fields[f"f:{field}"] = {}
    return fields


def _owned_metadata(metadata: Object) -> Object:
    owned: Object = {
        f"f:{field}": {".": {}, **{f"f:{name}": {} for name in sorted(part)}}
        for field, part in sorted(metadata.items())
        if field not in _UNMANAGED and isinstance(part, dict) and part
    }
    return {"f:metadata": owned} if owned else {}
