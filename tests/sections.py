"""Small sections of the spool, and Events to put into them."""

from typing import Any

import msgspec

from batcher.spool import Kind, Section, Stream

STREAM = Stream("uid-us", "events")


def event(name: str, version: int, *, count: int = 1, minute: int = 0, namespace: str = "web", **changes: Any) -> bytes:
    """Return the JSON of a BackOff of Pod ``name``, at ``resourceVersion`` ``version``, with top-level ``changes``."""
    at = f"2026-11-23T16:{minute:02}:00Z"
    content = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {
            "name": f"{name}.1",
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": at,
        },
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name},
        "reason": "BackOff",
        "message": "Back-off restarting failed container",
        "source": {"component": "kubelet"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": count,
        "type": "Warning",
    }
    return msgspec.json.encode(content | changes)


def watched(*events: bytes, stream: Stream = STREAM, cursor: str = "1", at: int = 0) -> Section:
    """Return a section of watch lines that delivered ``events``, the ``cursor`` behind them."""
    return lines(*(b'{"type":"MODIFIED","object":' + e + b"}" for e in events), stream=stream, cursor=cursor, at=at)


def misplaced(*events: bytes, at: int = 0) -> Section:
    """Return a section of a list that holds watch lines: quarantined as they come, readable when they are retried."""
    return msgspec.structs.replace(watched(*events, at=at), kind=Kind.LISTED, cursor=None)


def lines(*raw: bytes, stream: Stream = STREAM, cursor: str | None = None, at: int = 0) -> Section:
    """Return a section of ``raw`` lines, received ``at`` microseconds since the epoch."""
    body = b"".join(line + b"\n" for line in raw)
    return Section(stream, "us-west1", Kind.WATCHED, cursor, len(raw), body, received_at=at)
