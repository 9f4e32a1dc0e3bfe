"""A scripted outage: what happens in three clusters while somebody rolls out a bad image.

A scenario is a list of things that truly happen, each once, at a time; it is the ledger that the counts are
held against. :class:`Emitter` tells it to clusters the way client-go's recorder does: the first time as a
new Event, then in place with a growing count. Everything follows from the seed; nothing here waits.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

CLUSTERS = ("us-west1", "eu-central1", "ap-south1")
WORKSPACES: Mapping[str, Sequence[str]] = {"root:shop": ("web",), "root:team-a": ("jobs",)}
NAMESPACES = ("web", "jobs", "kube-system")
"""The clusters' namespaces; ``web`` belongs to root:shop, ``jobs`` to root:team-a, kube-system to nobody."""

_SAFE = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Regarding:
    """The object that something happens to."""

    kind: str
    name: str
    namespace: str = ""
    api_version: str = "v1"
    field_path: str = ""


@dataclass(frozen=True)
class Happening:
    """One thing that happens, ``times`` over, ``at`` after the start."""

    at: timedelta
    cluster: str
    regarding: Regarding
    type: str
    reason: str
    message: str
    component: str
    times: int = 1
    new_style: bool = False
    """Reported with eventTime and series, as the scheduler does, instead of the legacy fields."""


@dataclass(frozen=True)
class Source:
    """Something that goes on from ``begin`` to ``end`` (fractions of the duration), with a ``weight``."""

    clusters: tuple[str, ...]
    objects: tuple[Regarding, ...]
    type: str
    reason: str
    message: str
    component: str = "kubelet"
    begin: float = 0.0
    end: float = 1.0
    weight: float = 1.0
    new_style: bool = False


def _pods(owner: str, namespace: str, count: int, rng: random.Random, container: str = "app") -> tuple[Regarding, ...]:
    replica_set = "".join(rng.choices(_SAFE, k=9))
    names = (f"{owner}-{replica_set}-{''.join(rng.choices(_SAFE, k=5))}" for _ in range(count))
    return tuple(Regarding("Pod", name, namespace, field_path=f"spec.containers{{{container}}}") for name in names)


def _deployment(name: str, namespace: str) -> tuple[Regarding, ...]:
    return (Regarding("Deployment", name, namespace, "apps/v1"),)


def sources(rng: random.Random) -> list[Source]:
    """Return the outage and the ordinary noise around it: no other trouble is in two clusters of a workspace."""
    hit = CLUSTERS[:2]
    bad, web = _pods("web", "web", 4, rng), _pods("web", "web", 6, rng)
    api, crashing = _pods("report", "jobs", 4, rng), _pods("worker", "jobs", 3, rng)
    node = (Regarding("Node", "node-3"),)
    image = '"registry.example/web:1.9"'
    return [
        Source(CLUSTERS, web, "Normal", "Pulled", 'Container image "web:1.8" already present', weight=2),
        Source(CLUSTERS, web, "Normal", "Started", "Started container app", weight=2),
        Source(CLUSTERS, api, "Normal", "Scheduled", "Successfully assigned jobs/{name} to node-1", "default-scheduler",
               new_style=True),
        Source(CLUSTERS, _deployment("report", "jobs"), "Normal", "ScalingReplicaSet", "Scaled up replica set to 4",
               "deployment-controller", weight=0.3),
        Source(CLUSTERS[2:], api, "Warning", "Unhealthy",
               "Readiness probe failed: HTTP probe failed with statuscode: 503", weight=0.5),
        Source(CLUSTERS, _pods("coredns", "kube-system", 2, rng), "Warning", "Unhealthy", "Liveness probe: timeout",
               weight=0.4),
        Source(hit, _deployment("web", "web"), "Normal", "ScalingReplicaSet", "Scaled up replica set to 1 (web:1.9)",
               "deployment-controller", begin=0.12, end=0.17, weight=2),
        Source(hit, bad, "Warning", "Failed", f"Failed to pull image {image}: not found", begin=0.18, weight=5),
        Source(hit, bad, "Warning", "BackOff", f"Back-off pulling image {image}", begin=0.2, weight=6),
        Source(CLUSTERS[1:2], node, "Normal", "NodeNotReady", "Node node-3 status is now: NodeNotReady",
               "node-controller", begin=0.45, end=0.5),
        Source(CLUSTERS[1:2], web[:3], "Warning", "NodeNotReady", "Node is not ready", "node-controller", begin=0.46,
               end=0.7, weight=2),
        Source(CLUSTERS[2:], crashing, "Warning", "BackOff",
               "Back-off restarting failed container app in pod {name}_jobs", begin=0.6, weight=4),
    ]  # fmt: skip


def play(*, duration: timedelta, rate: int, seed: int = 1) -> Iterator[Happening]:
    """Yield ``rate`` happenings a minute in order of time; the same for the same arguments, for ever."""
    rng = random.Random(seed)  # noqa: S311  a script, not a secret
    script = sources(rng)
    total = max(1, round(rate * duration.total_seconds() / 60))
    for index in range(total):
        moment = index / total
        active = [source for source in script if source.begin <= moment < source.end]
        source = rng.choices(active, weights=[s.weight for s in active])[0]
        regarding = rng.choice(source.objects)
        yield Happening(
            at=duration * moment,
            cluster=rng.choice(source.clusters),
            regarding=regarding,
            type=source.type,
            reason=source.reason,
            message=source.message.replace("{name}", regarding.name),
            component=source.component,
            times=rng.choice((1, 1, 1, 1, 2, 5)),
            new_style=source.new_style,
        )


class Recorder(Protocol):
    """What an emitter needs of a cluster: the in-process writes of a simulated one."""

    def create_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Store ``event`` as POST would, and return it as stored."""
        ...

    def update_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Merge ``changes`` into an Event as PATCH would, and return it as stored."""
        ...


@dataclass
class Emitter:
    """Tells clusters what happens, and keeps the ledger: ``occurrences`` is the truth."""

    clusters: Mapping[str, Recorder]
    occurrences: int = 0
    revisions: int = 0
    _told: dict[tuple[str, Regarding, str, str], tuple[str, int]] = field(default_factory=dict)

    def emit(self, happening: Happening, now: datetime) -> None:
        """Create the happening's Event, or raise the count of the one that tells it already."""
        key = (happening.cluster, happening.regarding, happening.reason, happening.message)
        cluster = self.clusters[happening.cluster]
        namespace = happening.regarding.namespace or "default"
        name, count = self._told.get(key, ("", 0))
        count += happening.times
        if name:
            cluster.update_event(namespace, name, _growth(happening, count, now))
        else:
            name = f"{happening.regarding.name}.{len(self._told) + 1:016x}"
            cluster.create_event(_event(happening, name, namespace, now))
        self._told[key] = (name, count)
        self.occurrences += happening.times
        self.revisions += 1


def _growth(happening: Happening, count: int, now: datetime) -> dict[str, Any]:
    if happening.new_style:
        return {"series": {"count": count, "lastObservedTime": _micros(now)}}
    return {"count": count, "lastTimestamp": _seconds(now)}


def _event(happening: Happening, name: str, namespace: str, now: datetime) -> dict[str, Any]:
    about = happening.regarding
    event: dict[str, Any] = {
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            **({"namespace": about.namespace} if about.namespace else {}),
            **({"fieldPath": about.field_path} if about.field_path else {}),
        },
        "type": happening.type,
        "reason": happening.reason,
        "message": happening.message,
    }
    if happening.new_style:
        return event | {
            "eventTime": _micros(now),
            "action": "Binding",
            "reportingComponent": happening.component,
            "reportingInstance": f"{happening.component}-0",
            **({"series": {"count": happening.times, "lastObservedTime": _micros(now)}} if happening.times > 1 else {}),
        }
    return event | {
        "source": {"component": happening.component, "host": "node-1"},
        "firstTimestamp": _seconds(now),
        "lastTimestamp": _seconds(now),
        "count": happening.times,
    }


def _seconds(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _micros(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
