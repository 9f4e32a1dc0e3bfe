"""Lists and watch lines as kubectl asks for them: tables whose cells the server computes.

Columns as kube-apiserver prints Events and Namespaces; every other kind has name and age. Pure.
"""

from datetime import UTC, datetime
from typing import Any

from batcher.sandbox.forms import partial
from batcher.sandbox.resources import EVENTS, NAMESPACES, Resource
from batcher.sandbox.shape import Object

_UNKNOWN = "<unknown>"
_EVENT_COLUMNS = (
    ("Last Seen", 0), ("Type", 0), ("Reason", 0), ("Object", 0), ("Subobject", 1), ("Source", 1), ("Message", 0),
    ("First Seen", 1), ("Count", 1), ("Name", 1),
)  # fmt: skip
_NAMESPACE_COLUMNS = (("Name", 0), ("Status", 0), ("Age", 0))
_PLAIN_COLUMNS = (("Name", 0), ("Age", 0))
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def table(resource: Resource, objects: list[Object], metadata: Object, now: datetime) -> Object:
    """Return a meta.k8s.io/v1 Table with one row an object."""
    columns = {EVENTS: _EVENT_COLUMNS, NAMESPACES: _NAMESPACE_COLUMNS}.get(resource, _PLAIN_COLUMNS)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_column(name, priority) for name, priority in columns],
        "rows": [_row(resource, content, now) for content in objects],
    }


def human_duration(seconds: float) -> str:
    """Write a duration with two units at most, as kubectl does: 90s, 5m30s, 3h4m, 2d."""
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 3 * _HOUR:
        return _two(whole, _MINUTE, "m", 1, "s", below=10)
    if whole < 2 * _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "m", below=8)
    if whole < 2 * _YEAR:
        return _two(whole, _DAY, "d", _HOUR, "h", below=8)
    return _two(whole, _YEAR, "y", _DAY, "d", below=8)


def _two(whole: int, unit: int, name: str, small: int, small_name: str, *, below: int) -> str:
    """Write ``whole`` in ``unit``, with the rest in ``small`` while there are few of the first."""
    count, rest = whole // unit, whole % unit // small
    return f"{count}{name}{rest}{small_name}" if count < below and rest else f"{count}{name}"


def _column(name: str, priority: int) -> Object:
    kind = "name" if name == "Name" else ""
    return {"name": name, "type": "string", "format": kind, "description": name, "priority": priority}


def _row(resource: Resource, content: Object, now: datetime) -> Object:
    name, age = content["metadata"]["name"], _since(content["metadata"]["creationTimestamp"], now)
    if resource is EVENTS:
        cells: list[Any] = _event_cells(content, now)
    elif resource is NAMESPACES:
        cells = [name, content["status"]["phase"], age]
    else:
        cells = [name, age]
    return {"cells": cells, "object": partial(content)}


def _event_cells(content: Object, now: datetime) -> list[Any]:
    series = content.get("series") or {}
    regarding, source = content["involvedObject"], content["source"]
    first = _since(content["firstTimestamp"] or content["eventTime"], now)
    last = _since(content["lastTimestamp"], now) if content["lastTimestamp"] else first
    if series:
        last = _since(series.get("lastObservedTime"), now)
    component = source.get("component") or content["reportingComponent"]
    host = source.get("host") or content["reportingInstance"]
    return [
        last,
        content.get("type", ""),
        content.get("reason", ""),
        f"{regarding.get('kind', '').lower()}/{regarding.get('name', '')}",
        regarding.get("fieldPath", ""),
        ", ".join(part for part in (component, host) if part),
        content.get("message", "").strip(),
        first,
        series.get("count") or content.get("count") or 1,
        content["metadata"]["name"],
    ]


def _since(text: str | None, now: datetime) -> str:
    if not text:
        return _UNKNOWN
    return human_duration((now - datetime.fromisoformat(text).astimezone(UTC)).total_seconds())
