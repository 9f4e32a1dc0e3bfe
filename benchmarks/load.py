"""A seeded load: watch lines of about 1.2 kB, most of them repeats of an Event with a higher count."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
_FIELDS = ("count", "firstTimestamp", "involvedObject", "lastTimestamp", "message", "reason", "source", "type")


def events(count: int, *, repeats: float = 0.7, seed: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (watch type, Event); a share of ``repeats`` raises the count of an Event that was there."""
    rng = random.Random(seed)
    known: list[dict[str, Any]] = []
    for version in range(1, count + 1):
        at = (START + timedelta(milliseconds=version)).strftime("%Y-%m-%dT%H:%M:%SZ")
        if known and rng.random() < repeats:
            event = known[rng.randrange(max(0, len(known) - 2000), len(known))]
            event["count"] += 1
            event["lastTimestamp"] = at
            delivered = "MODIFIED"
        else:
            event = _event(rng, len(known), at)
            known.append(event)
            delivered = "ADDED"
        event["metadata"]["resourceVersion"] = str(version)
        yield delivered, event


def _event(rng: random.Random, number: int, at: str) -> dict[str, Any]:
    namespace = f"team-{rng.randrange(40)}"
    pod = f"app-{rng.randrange(60)}-7c5d8f9b6d-{rng.choice('bcdfg')}x2{rng.choice('hjklm')}z"
    reason = rng.choice(("BackOff", "Failed", "Unhealthy", "Pulled", "Created", "Started", "FailedMount"))
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {
            "name": f"{pod}.{number:016x}",
            "namespace": namespace,
            "uid": f"{number:08x}-9f0b-4521-87db-7bc5ed098d60",
            "resourceVersion": "",
            "creationTimestamp": at,
            "managedFields": [
                {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": at, "fieldsType": "FieldsV1",
                 "fieldsV1": {f"f:{name}": {} for name in _FIELDS}},
            ],
        },
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "v1",
                           "uid": f"{number % 977:08x}-3587-433e-91fd-1d10ead72f88", "resourceVersion": "1231",
                           "fieldPath": "spec.containers{app}"},
        "reason": reason,
        "message": f"{reason} of container app in pod {pod}_{namespace}: " + "context deadline exceeded; " * 6,
        "source": {"component": "kubelet", "host": f"node-{rng.randrange(30)}"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "type": "Warning" if reason in {"BackOff", "Failed", "Unhealthy", "FailedMount"} else "Normal",
        "eventTime": None,
        "reportingComponent": "kubelet",
        "reportingInstance": "node-1",
    }  # fmt: skip


def lines(count: int, *, repeats: float = 0.7) -> list[bytes]:
    """Return watch lines, each ended by a newline, as an API server sends them."""
    return [
        json.dumps({"type": delivered, "object": event}, separators=(",", ":")).encode() + b"\n"
        for delivered, event in events(count, repeats=repeats)
    ]


def frames(raw: list[bytes], size: int = 256) -> list[tuple[Place, list[Section]]]:
    """Return ``raw`` as frames of ``size`` lines of one stream, one received every 100 ms."""
    stream = Stream("0c0ffee0-0000-4000-8000-000000000000", "events")
    micros = int(START.timestamp()) * 1_000_000
    made = []
    for number, first in enumerate(range(0, len(raw), size)):
        piece = raw[first : first + size]
        at = micros + number * 100_000
        section = Section(stream, "us-west1", Kind.WATCHED, str(first), len(piece), b"".join(piece), received_at=at)
        made.append((Place(1, number), [section]))
    return made
