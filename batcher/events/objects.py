"""An Event as its API server would show it: what ``kubectl events -o json`` prints, so that what reads that reads this.

What only batcher knows is in annotations. Texts are as they came: JSON and YAML escape what a terminal must not get.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

_CLUSTER = "kcp.io/source-cluster"
_OURS = {
    "batcher.kcp.io/cluster-uid": "cluster_uid",
    "batcher.kcp.io/verdict": "verdict",
    "batcher.kcp.io/workspace": "workspace",
    "batcher.kcp.io/target-namespace": "target_namespace",
    "batcher.kcp.io/routes": "routes",
    "batcher.kcp.io/shadowed": "shadowed",
    "batcher.kcp.io/kept-by": "kept_by",
}
"""Annotations, and the columns of ``occurrences`` that they show where those are not empty."""
_PARTS = {
    "kind": "kind", "namespace": "namespace", "name": "name", "uid": "uid", "apiVersion": "api_version",
    "fieldPath": "field_path",
}  # fmt: skip


def as_list(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the List that kubectl prints of ``events``, rows of ``occurrences``."""
    items = [as_object(event) for event in events]
    return {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": ""}, "items": items}


def as_object(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``occurrences`` as a core/v1 Event; fields that are empty are left out, as API servers do."""
    source = {"component": event["component"], "host": event["host"]}
    fields = {
        "involvedObject": _reference(event, "regarding"),
        "related": _reference(event, "related"),
        "reason": event["reason"],
        "message": event["message"],
        "source": {name: value for name, value in source.items() if value},
        "firstTimestamp": _seconds(event["first_at"]),
        "lastTimestamp": _seconds(event["last_at"]),
        "count": event["count"],
        "type": event["type"],
        "action": event["action"],
        "reportingComponent": event["reporting_controller"],
        "reportingInstance": event["reporting_instance"],
    }
    present = {name: value for name, value in fields.items() if value not in (None, "", {}) or name == "source"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": _metadata(event), **present}


def _metadata(event: Mapping[str, Any]) -> dict[str, Any]:
    ours = {name: event[column] for name, column in _OURS.items() if event[column]}
    return {
        "name": event["name"],
        "namespace": event["namespace"],
        "uid": event["uid"],
        "resourceVersion": str(event["resource_version"]),
        "creationTimestamp": _seconds(event["created_at"]),
        "annotations": {
            _CLUSTER: event["cluster"],
            "batcher.kcp.io/received-at": f"{event['received_at']:%Y-%m-%dT%H:%M:%S.%fZ}",
            **ours,
        },
    }


def _reference(event: Mapping[str, Any], prefix: str) -> dict[str, str]:
    columns = {part: event.get(f"{prefix}_{name}") for part, name in _PARTS.items()}
    return {part: value for part, value in columns.items() if value}


def _seconds(at: datetime | None) -> str | None:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None
