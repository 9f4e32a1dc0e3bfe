"""A seeded fleet: eight clusters whose workloads misbehave, roll out and recover, as watch lines of about 1.2 kB.

Nine of ten lines update an Event in place, of a Pod that is in trouble, every 10 to 20 seconds; five Pods of a workload
fail together, and a tenth of them are told of in the new style, with a series. The rest are rollouts of ten Pods, 51
Events each. A namespace has the same workspace in all clusters.
"""

import heapq
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from batcher.stages.rule import Rule

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLUSTERS, NAMESPACES, WORKLOADS, REPLICAS, FAIL_TOGETHER = 8, 40, 60, 10, 5
RULES = tuple(Rule("*", f"team-{number}", f"root:team-{number}", "{namespace}") for number in range(NAMESPACES))
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_STEPS = ("SuccessfulCreate", "Scheduled", "Pulled", "Created", "Started")
_TROUBLES = {
    "BackOff": "Back-off restarting failed container app in pod {pod}_{namespace}({uid})",
    "Failed": 'Failed to pull image "registry.example/{workload}:1.4.2": rpc error: code = NotFound desc = not found',
    "Unhealthy": 'Readiness probe failed: Get "http://10.8.{a}.{b}:8080/healthz": context deadline exceeded',
    "FailedScheduling": "0/{a} nodes are available: {b} Insufficient cpu. preemption: 0/{a} nodes are available",
    "FailedMount": 'MountVolume.SetUp failed for volume "config" : configmap "{workload}-config" not found',
}  # fmt: skip
_TELLS = {
    "Scheduled": "Successfully assigned {namespace}/{pod} to node-{a}",
    "Pulled": 'Successfully pulled image "registry.example/{workload}:1.4.2" in {a}.{b}s',
    "Created": "Created container app",
    "Started": "Started container app",
    "SuccessfulCreate": "Created pod: {pod}",
    "ScalingReplicaSet": "Scaled up replica set {workload}-7c5d8f9b6d to 10",
}
_LINE = (
    '{{"type":"{delivered}","object":{{"kind":"Event","apiVersion":"v1","metadata":{{"name":"{name}.{number:016x}",'
    '"namespace":"{namespace}","uid":"{number:08x}-9f0b-4521-87db-7bc5ed098d60","resourceVersion":"{version}",'
    '"creationTimestamp":"{first}","managedFields":[{{"manager":"kubelet","operation":"Update","apiVersion":"v1",'
    '"time":"{last}","fieldsType":"FieldsV1","fieldsV1":{{"f:count":{{}},"f:firstTimestamp":{{}},'
    '"f:involvedObject":{{}},"f:lastTimestamp":{{}},"f:message":{{}},"f:reason":{{}},"f:source":{{"f:component":{{}},'
    '"f:host":{{}}}},"f:type":{{}}}}}}]}},"involvedObject":{{"kind":"{kind}","namespace":"{namespace}",'
    '"name":"{name}","apiVersion":"{api}","uid":"{uid}","resourceVersion":"1231","fieldPath":"{path}"}},'
    '"reason":"{reason}","message":"{message}","source":{{"component":"{component}","host":"{host}"}},{counted},'
    '"type":"{type}","reportingComponent":"{component}","reportingInstance":"{host}"}}}}\n'
)
_LEGACY = '"firstTimestamp":"{first}","lastTimestamp":"{last}","count":{count},"eventTime":null'
_SERIES = (
    '"firstTimestamp":null,"lastTimestamp":null,"eventTime":"{first_micros}",'
    '"series":{{"count":{count},"lastObservedTime":"{last_micros}"}}'
)


class Line(NamedTuple):
    """A watch line of a cluster, and how many seconds after the start it came."""

    at: float
    cluster: int
    raw: bytes


class _Event:
    """One Event object, from its first revision on."""

    def __init__(self, rng: random.Random, number: int, at: float, reason: str, place: tuple[int, int, str]) -> None:
        self.cluster, workload, suffix = place
        self.count, self._first = 0, at
        name = f"app-{workload % WORKLOADS}"
        pod = f"{name}-7c5d8f9b6d-{suffix}"
        kind, api, about = {
            "SuccessfulCreate": ("ReplicaSet", "apps/v1", f"{name}-7c5d8f9b6d"),
            "ScalingReplicaSet": ("Deployment", "apps/v1", name),
        }.get(reason, ("Pod", "v1", pod))
        controller = {"Scheduled": "default-scheduler", "FailedScheduling": "default-scheduler"}.get(reason, "kubelet")
        said = {
            "pod": pod,
            "workload": name,
            "namespace": f"team-{workload // WORKLOADS}",
            "uid": f"{number:08x}-3587-433e-91fd-1d10ead72f88",
            "a": rng.randrange(1, 99),
            "b": rng.randrange(1, 99),
        }
        message = (_TROUBLES.get(reason) or _TELLS[reason]).format(**said)
        fields = said | {
            "name": about, "kind": kind, "api": api, "reason": reason, "number": number,
            "message": message.replace('"', '\\"'), "type": "Warning" if reason in _TROUBLES else "Normal",
            "component": controller if kind == "Pod" else "deployment-controller",
            "host": f"node-{said['a']}" if controller == "kubelet" and kind == "Pod" else "",
            "path": "spec.containers{app}" if controller == "kubelet" and kind == "Pod" else "",
        }  # fmt: skip
        counted = _SERIES if reason in _TROUBLES and rng.random() < 0.1 else _LEGACY
        self._text, self._fields = _LINE.replace("{counted}", counted), fields

    def line(self, version: int, at: float, start: datetime) -> Line:
        """Return the next revision."""
        self.count += 1
        first, last = start + timedelta(seconds=self._first), start + timedelta(seconds=at)
        text = self._text.format(
            **self._fields,
            delivered="ADDED" if self.count == 1 else "MODIFIED",
            version=version,
            count=self.count,
            first=f"{first:%Y-%m-%dT%H:%M:%SZ}",
            last=f"{last:%Y-%m-%dT%H:%M:%SZ}",
            first_micros=f"{first:%Y-%m-%dT%H:%M:%S.%fZ}",
            last_micros=f"{last:%Y-%m-%dT%H:%M:%S.%fZ}",
        )
        return Line(at, self.cluster, text.encode())


def lines(count: int, *, per_minute: float = 60_000, seed: int = 1, start: datetime = START) -> Iterator[Line]:
    """Yield ``count`` lines in the order in which they come, the first of them about ``start``."""
    rng = random.Random(seed)
    number = iter(range(1, 2**32))
    troubled = round(per_minute / 60 * 0.9 * 15)
    comes = [(rng.uniform(0, 15), next(number), event) for event in islice(_in_trouble(rng, number), troubled)]
    heapq.heapify(comes)
    rollouts = _rollouts(rng, number, every=51 * 60 / (per_minute * 0.1))
    for version, (at, event) in enumerate(islice(heapq.merge(_updates(rng, comes), rollouts, key=_at), count), 1):
        yield event.line(version, at, start)


def _at(said: tuple[float, _Event]) -> float:
    return said[0]


def _in_trouble(rng: random.Random, number: Iterator[int]) -> Iterator[_Event]:
    while True:
        reason, (cluster, workload, _) = rng.choice(tuple(_TROUBLES)), _place(rng)
        for _ in range(FAIL_TOGETHER):
            yield _Event(rng, next(number), 0, reason, (cluster, workload, _place(rng)[2]))


def _place(rng: random.Random) -> tuple[int, int, str]:
    """A cluster, a workload, and what tells one Pod of it from another; a tenth are where most of theirs are not."""
    workload, elsewhere = rng.randrange(NAMESPACES * WORKLOADS), rng.random() < 0.1
    return (workload + elsewhere) % CLUSTERS, workload, "".join(rng.choices(_SAFE, k=5))


def _updates(rng: random.Random, comes: list[tuple[float, int, _Event]]) -> Iterator[tuple[float, _Event]]:
    while True:
        at, number, event = comes[0]
        yield at, event
        heapq.heapreplace(comes, (at + rng.uniform(10, 20), number, event))


def _rollouts(rng: random.Random, number: Iterator[int], *, every: float) -> Iterator[tuple[float, _Event]]:
    """Rollouts one after the other, each within ``every`` seconds; a Pod's lines come in their order."""
    at = 0.0
    while True:
        cluster, workload, suffix = _place(rng)
        pods = [(cluster, workload, _place(rng)[2]) for _ in range(REPLICAS)]
        told = [
            ("ScalingReplicaSet", (cluster, workload, suffix)),
            *((reason, pod) for reason in _STEPS for pod in pods),
        ]
        for nth, (reason, place) in enumerate(told):
            when = at + every * nth / len(told)
            yield when, _Event(rng, 2**24 + next(number), when, reason, place)
        at += every


def frames(told: Iterator[Line], *, first: int = 1, size: int = 256) -> Iterator[tuple[Place, list[Section]]]:
    """Yield the lines as frames of ``size``, numbered from ``first`` on, with a section a cluster."""
    begin = int(START.timestamp() * 1_000_000)
    number = first
    while piece := list(islice(told, size)):
        at = begin + int(piece[-1].at * 1_000_000)
        sections = []
        for cluster in range(CLUSTERS):
            raw = [line.raw for line in piece if line.cluster == cluster]
            if raw:
                stream = Stream(f"{cluster:08x}-0000-4000-8000-000000000000", "events")
                sections.append(
                    Section(
                        stream, f"cluster-{cluster}", Kind.WATCHED, str(number), len(raw), b"".join(raw), received_at=at
                    )
                )
        yield Place(1, number), sections
        number += 1
