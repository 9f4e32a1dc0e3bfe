"""Scripted incidents and quiet days, told to the pipeline as clusters would tell them.

A scenario says what truly happens, and which incidents that is. Around it there is noise: rollouts, single warnings, a
probe that fails now and then in each cluster for itself. Clocks of clusters may differ, lines may come late and twice.
Everything follows from the seed.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from batcher.settings import parse_duration
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
CLUSTERS = ("us", "eu", "ap")
BATCH = timedelta(seconds=30)
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_API = {
    "Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1",
    "Job": "batch/v1", "CronJob": "batch/v1", "HorizontalPodAutoscaler": "autoscaling/v2",
}  # fmt: skip


class Expected(NamedTuple):
    """An incident that there is: any of ``reasons`` tells it; ``cause`` is the reason of its root, if it has one."""

    workspace: str
    reasons: frozenset[str]
    clusters: frozenset[str]
    cause: str


@dataclass(frozen=True)
class Scenario:
    """What happens, how it is delivered, and what it is."""

    name: str
    happens: Sequence[dict[str, Any]]
    incidents: Sequence[Expected] = ()
    skew: dict[str, timedelta] = field(default_factory=dict)
    late: timedelta = timedelta(0)
    twice: float = 0.0


class _Told(NamedTuple):
    """An Event as a cluster tells it: when it happened by the true clock, and its fields."""

    at: timedelta
    cluster: str
    namespace: str
    api_version: str
    kind: str
    name: str
    type: str
    reason: str
    message: str
    component: str
    host: str


def scenarios() -> list[Scenario]:
    """Return all of this folder, in the order of files and lines."""
    paths = sorted(Path(__file__).parent.glob("*.yaml"))
    return [_scenario(said) for path in paths for said in yaml.safe_load(path.read_text(encoding="utf-8"))]


def _scenario(said: dict[str, Any]) -> Scenario:
    delivery = said.get("delivery", {})
    incidents = [
        Expected(each["workspace"], frozenset(each["reasons"]), frozenset(each["clusters"]), each.get("cause", ""))
        for each in said.get("incidents", [])
    ]
    return Scenario(
        said["name"],
        said["happens"],
        incidents,
        {cluster: _signed(by) for cluster, by in said.get("skew", {}).items()},
        parse_duration(delivery.get("late", "0s")),
        delivery.get("twice", 0.0),
    )


def _signed(text: str) -> timedelta:
    return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text)


def _chance(*seed: object) -> random.Random:
    return random.Random(repr(seed))  # noqa: S311  a script, not a secret


def told(scenario: Scenario, *, seed: int, noise: bool) -> list[_Told]:
    """Return what the clusters tell of ``scenario``, by time; with ``noise``, of other things too."""
    rng = _chance(scenario.name, seed)
    rows = [row for happens in scenario.happens for row in _happenings(happens, rng)]
    if noise:
        until = max(row.at for row in rows) + timedelta(minutes=5)
        rows += _noise(until, rng)
    return sorted(rows)


def _happenings(said: dict[str, Any], rng: random.Random) -> Iterator[_Told]:
    kind, _, owner = said["object"].partition("/")
    begin, lasts = parse_duration(said["at"]), parse_duration(said.get("for", "0s"))
    every = parse_duration(said["every"]) if "every" in said else None
    times = 1 + (lasts // every if every else 0)
    for cluster in said["in"]:
        for pod in range(said.get("pods", 1)):
            name = _pod_name(owner, cluster, pod) if kind == "Pod" and not owner[-1].isdigit() else owner
            node = said.get("node") or f"n{_number(cluster, pod) % 5 + 3}"
            for time in range(times):
                wobble = timedelta(milliseconds=rng.randrange(900))
                at = begin + time * (every or timedelta(0)) + wobble
                yield _Told(
                    at, cluster, said.get("namespace", "shop") if kind != "Node" else "",
                    said.get("api") or _API.get(kind, "v1"), kind,
                    f"{cluster}-{name}" if kind == "Node" else name, said.get("type", "Warning"), said["reason"],
                    said["message"].replace("{name}", name).replace("{node}", f"{cluster}-{node}"),
                    said.get("component", "kubelet"),
                    f"{cluster}-{node}",
                )  # fmt: skip


def _number(cluster: str, pod: int) -> int:
    return CLUSTERS.index(cluster) * 7 + pod


def _pod_name(owner: str, cluster: str, pod: int) -> str:
    suffix = "".join(_chance(owner, cluster, pod).choices(_SAFE, k=5))
    return f"{owner}-64bf99cd7d-{suffix}"


def _noise(until: timedelta, rng: random.Random) -> Iterator[_Told]:
    """What happens in each cluster for itself: no object of it is in two clusters."""
    for cluster in CLUSTERS:
        for index in range(int(until / timedelta(seconds=20)) + 1):
            at = timedelta(seconds=20 * index + rng.random() * 20)
            own = f"{cluster}-{rng.choice(['job', 'tool', 'site'])}"
            pod = f"{own}-7c5d8f9b6d-{''.join(rng.choices(_SAFE, k=5))}"
            type_, reason, message = rng.choice(
                [
                    ("Normal", "Pulled", f'Container image "acme/{own}:1.0" already present on machine'),
                    ("Normal", "Started", "Started container app"),
                    ("Warning", "Unhealthy", "Readiness probe failed: context deadline exceeded"),
                    ("Normal", "Killing", "Stopping container app"),
                    ("Warning", "BackOff", f"Back-off restarting failed container app in pod {pod}_shop(0f6b8526)"),
                    ("Warning", "FailedMount", f'MountVolume.SetUp failed for volume "{own}" : timed out'),
                ]
            )
            host = f"{cluster}-n{rng.randrange(3, 8)}"
            yield _Told(at, cluster, "shop", "v1", "Pod", pod, type_, reason, message, "kubelet", host)


def sections(scenario: Scenario, rows: Sequence[_Told], *, seed: int) -> list[tuple[timedelta, Section]]:
    """Return a section for each delivered line, by the time of its receipt."""
    rng = _chance(scenario.name, "delivery", seed)
    delivered: list[tuple[timedelta, int, Section]] = []
    for version, row in enumerate(rows, 1):
        section = _section(row, version, scenario.skew.get(row.cluster, timedelta(0)))
        late = rng.random() * scenario.late + timedelta(seconds=0.2 * rng.random())
        delivered.append((row.at + late, version, section))
        if rng.random() < scenario.twice:
            delivered.append((row.at + late + rng.random() * scenario.late, version, section))
    return [(at, section) for at, _, section in sorted(delivered, key=lambda each: each[:2])]


def _section(row: _Told, version: int, skew: timedelta) -> Section:
    at = (START + row.at + skew).strftime("%Y-%m-%dT%H:%M:%SZ")
    namespace = row.namespace or "default"
    event = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {
            "name": f"{row.name}.{version:x}", "namespace": namespace, "uid": f"{row.cluster}-{version}",
            "resourceVersion": str(version), "creationTimestamp": at,
        },
        "involvedObject": {
            "apiVersion": row.api_version, "kind": row.kind, "namespace": row.namespace, "name": row.name,
        },
        "reason": row.reason,
        "message": row.message,
        "source": {"component": row.component, "host": row.host if row.component == "kubelet" else ""},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "type": row.type,
    }  # fmt: skip
    body = b'{"type":"ADDED","object":' + msgspec.json.encode(event) + b"}\n"
    return Section(Stream(f"uid-{row.cluster}", "events"), row.cluster, Kind.WATCHED, str(version), 1, body)


def batches(
    lines: Sequence[tuple[timedelta, Section]], *, silence: timedelta
) -> Iterator[tuple[datetime, list[tuple[Place, list[Section]]]]]:
    """Yield ``now`` and the frames of each batch, at multiples of :data:`BATCH`, and one ``silence`` after the last."""
    place, index, end = 0, 0, timedelta(0)
    while index < len(lines):
        end = (lines[index][0] // BATCH + 1) * BATCH
        frames = []
        while index < len(lines) and lines[index][0] < end:
            at, section = lines[index]
            received_at = int((START + at).timestamp() * 1_000_000)
            place += 1
            frames.append((Place(1, place), [msgspec.structs.replace(section, received_at=received_at)]))
            index += 1
        yield START + end, frames
    yield START + end + silence, []
