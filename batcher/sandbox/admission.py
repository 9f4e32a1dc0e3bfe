"""What an API server refuses to store, as recorded from kcp.

Pure: an object and its place in, None or the Status that refuses it out. Syntax (``decodable``) is judged
before meaning (``acceptable``), as a server does; neither changes the object. Sources: the transcripts named
at each rule and the validation rules listed in docs "events-api".
"""

import re
from collections.abc import Iterator
from typing import Any

from batcher.sandbox.resources import EVENTS, LEASES, Resource
from batcher.sandbox.status import Status, bad_request, etcd_exhausted, invalid

BODY_LIMIT = 3 << 20
"""Bytes of a request (body-huge.json)."""
ETCD_LIMIT = 2 << 20
"""Bytes of a message to etcd (body-2mb.json)."""
ANNOTATIONS_LIMIT = 256 << 10
"""Bytes of all keys and values together (annotation-huge.json)."""
INT32 = range(-(2**31), 2**31)
EVENT_NOTE_LIMIT = 1024
EVENT_WORD_LIMIT = 128

_STRINGS = ("reason", "message", "type", "action", "reportingComponent", "reportingInstance")
_STRUCTS = ("metadata", "involvedObject", "source", "related", "series")
_WHOLE_SECONDS = (
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "2006-01-02T15:04:05Z07:00",
    "Z07:00",
)
_MICROSECONDS = (
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)"),
    "2006-01-02T15:04:05.000000Z07:00",
    ".000000",
)
_SECONDS_LENGTH = len("2006-01-02T15:04:05")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LABEL_VALUE_LIMIT = 63
_LABEL_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
    "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_LABEL_LIMIT = 63
_INVALID, _REQUIRED = "FieldValueInvalid", "FieldValueRequired"

Fault = tuple[str, str, str]
"""Field, reason of the cause, message of the cause."""


def decodable(resource: Resource, content: Any) -> Status | None:
    """Judge what a decoder of Go structures refuses: kind, types, int32, times. All are 400."""
    if not isinstance(content, dict):
        return bad_request(
            f"json: cannot unmarshal {_go_type(content)} into Go value of type map[string]interface {{}}"
        )
    if content.get("kind", resource.kind) != resource.kind:
        return bad_request(f'{content["kind"]} in version "v1" cannot be handled as a {resource.kind}')
    if not isinstance(content.get("metadata", {}), dict):
        return _undecodable(resource, "metadata", content["metadata"], "v1.ObjectMeta")
    parts = {EVENTS: _undecodable_parts, LEASES: _undecodable_lease}.get(resource)
    return next(parts(content), None) if parts else None


def acceptable(resource: Resource, content: dict[str, Any], namespace: str) -> Status | None:
    """Judge names, labels, annotations and the rules of Events; all are 422."""
    rules = [_metadata_faults(resource, content["metadata"])]
    if resource is EVENTS:
        rules.append(_event_faults(content, namespace))
    if resource is LEASES:
        rules.append(_lease_faults(content.get("spec") or {}))
    for faults in rules:
        for field, cause, what in faults:
            return invalid(resource, content["metadata"].get("name", ""), field, cause, what)
    return None


def storable(size: int) -> Status | None:
    """Judge the bytes of an encoded object: etcd answers a retryable-looking 500 (body-2mb.json)."""
    return etcd_exhausted(size) if size > ETCD_LIMIT else None


def _undecodable_parts(content: dict[str, Any]) -> Iterator[Status]:
    """Yield what of an Event cannot be decoded (count-overflow.json, new-style-eventtime-*.json)."""
    for fields, kind, wanted in ((_STRUCTS, dict, "v1.ObjectReference"), (_STRINGS, str, "string")):
        for field in fields:
            if not isinstance(content.get(field) or kind(), kind):
                yield _undecodable(EVENTS, field, content[field], wanted)
    series = content.get("series") or {}
    for field, count in (("count", content.get("count")), ("series.count", series.get("count"))):
        if count is not None and (type(count) is not int or count not in INT32):
            yield _undecodable(EVENTS, field, count, "int32")
    yield from _unparsable_times((content.get("firstTimestamp"), content.get("lastTimestamp")), _WHOLE_SECONDS)
    yield from _unparsable_times((content.get("eventTime"), series.get("lastObservedTime")), _MICROSECONDS)


def _undecodable_lease(content: dict[str, Any]) -> Iterator[Status]:
    """Yield what of a Lease cannot be decoded: its times are of microseconds, its numbers int32."""
    spec = content.get("spec") or {}
    for field in ("leaseDurationSeconds", "leaseTransitions"):
        number = spec.get(field)
        if number is not None and (type(number) is not int or number not in INT32):
            yield _undecodable(LEASES, f"spec.{field}", number, "int32")
    times = (spec.get("acquireTime"), spec.get("renewTime"))
    yield from _unparsable_times(times, _MICROSECONDS, LEASES)


def _lease_faults(spec: dict[str, Any]) -> Iterator[Fault]:
    """Yield the faults of a Lease (apimachinery's ValidateLeaseSpec)."""
    for field, least, what in (
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ):
        number = spec.get(field)
        if number is not None and number < least:
            yield f"spec.{field}", _INVALID, f"Invalid value: {number}: {what}"


def _unparsable_times(
    texts: tuple[Any, Any], form: tuple[re.Pattern[str], str, str], resource: Resource = EVENTS
) -> Iterator[Status]:
    pattern, layout, element = form
    for text in texts:
        if text is not None and not pattern.fullmatch(str(text)):
            rest = str(text)[_SECONDS_LENGTH:]
            what = f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{element}"'
            yield bad_request(f'{resource.kind} in version "v1" cannot be handled as a {resource.kind}: {what}')


def _undecodable(resource: Resource, field: str, value: Any, wanted: str) -> Status:
    what = f"json: cannot unmarshal {_go_type(value)} into Go struct field {resource.kind}.{field} of type {wanted}"
    return bad_request(f'{resource.kind} in version "v1" cannot be handled as a {resource.kind}: {what}')


def _go_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _metadata_faults(resource: Resource, metadata: dict[str, Any]) -> Iterator[Fault]:
    yield from _name_faults(resource, metadata.get("name", ""))
    for value in (metadata.get("labels") or {}).values():
        if len(value) > _LABEL_VALUE_LIMIT:
            yield "metadata.labels", _INVALID, f'Invalid value: "{value}": must be no more than 63 bytes'
        if not _LABEL_VALUE.fullmatch(value):
            yield "metadata.labels", _INVALID, f'Invalid value: "{value}": {_LABEL_RULE}'
    annotations = metadata.get("annotations") or {}
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_LIMIT:
        yield "metadata.annotations", "FieldValueTooLong", "Too long: may not be more than 262144 bytes"


def _name_faults(resource: Resource, name: str) -> Iterator[Fault]:
    """Yield what is wrong with a name: an Event's may hold almost anything (hostile-name*.json)."""
    if not name:
        yield "metadata.name", _REQUIRED, "Required value: name or generateName is required"
    if name in {".", ".."}:
        yield "metadata.name", _INVALID, f"Invalid value: \"{name}\": may not be '{name}'"
    for character in "/%":
        if character in name:
            yield "metadata.name", _INVALID, f"Invalid value: \"{name}\": may not contain '{character}'"
    if not resource.namespaced and (len(name) > _DNS_LABEL_LIMIT or not _DNS_LABEL.fullmatch(name)):
        yield "metadata.name", _INVALID, f'Invalid value: "{name}": a lowercase RFC 1123 label is required'


def _event_faults(content: dict[str, Any], namespace: str) -> Iterator[Fault]:
    """Yield the faults of an Event; only those with eventTime are judged in full (new-style-*.json)."""
    regarding = (content.get("involvedObject") or {}).get("namespace", "")
    cluster_scoped = not regarding and namespace == "default"
    if regarding != namespace and not cluster_scoped:
        what = f'Invalid value: "{regarding}": does not match event.namespace'
        yield "involvedObject.namespace", _INVALID, what
    if content.get("eventTime") is not None:
        yield from _new_style_faults(content)


def _new_style_faults(content: dict[str, Any]) -> Iterator[Fault]:
    words = {
        "reportingController": content.get("reportingComponent"),
        "reportingInstance": content.get("reportingInstance"),
        "action": content.get("action"),
        "reason": content.get("reason"),
    }
    for field, word in words.items():
        if not word:
            yield field, _REQUIRED, "Required value"
        elif field != "reportingController" and len(word) > EVENT_WORD_LIMIT:
            yield field, _INVALID, 'Invalid value: "": can have at most 128 characters'
    if len(content.get("message") or "") > EVENT_NOTE_LIMIT:
        yield "message", _INVALID, 'Invalid value: "": can have at most 1024 characters'
