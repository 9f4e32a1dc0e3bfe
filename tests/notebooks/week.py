"""A week of three clusters, as the pipeline archives it; every figure that the tests assert follows from here.

Monday is 2026-11-23, and things happen from 08:00 on:

=========  ================================================================================
each day   ``us`` and ``eu``: a probe of ``site`` fails 50 times (2 revisions); ``ap``: 1 Pulled
Wednesday  a bad image: 63 Failed in ``us`` from 08:10, 39 in ``eu`` four minutes later, each after a
           ScalingReplicaSet; 15 Killing in ``us``; ``ap`` does not roll out, and has 1 Pulled
Thursday   nobody listens to ``ap`` from 10:00 to 18:00, nothing is lost in ``us`` and ``eu``
=========  ================================================================================
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from batcher.archive import Deliverer, check_owner
from batcher.batch import OutcomeRecord, Work
from batcher.clock import to_micros
from batcher.pipeline import Rules
from batcher.spool import Kind, Section, Stream
from batcher.stages.rule import Rule
from batcher.stages.settle import due
from tests.history import History, history
from tests.scenarios.player import CLUSTERS, START, Scenario, sections, told
from tests.sections import event

RULES = Rules(
    mapping=(Rule("*", "shop", "root:shop"), Rule("*", "site", "root:site")),
    event_ttl=timedelta(hours=2),
    window=timedelta(minutes=5),
    longest=timedelta(hours=1),
    prefix=True,
    owner=True,
    correlation_window=timedelta(minutes=10),
)
BATCH = timedelta(minutes=5)
IMAGE = 'Failed to pull image "ghcr.io/acme/web:1.43": not found'
ROLLOUT: list[dict[str, Any]] = [
    {"in": ["us"], "at": "10m", "object": "Deployment/web", "type": "Normal", "reason": "ScalingReplicaSet",
     "message": "Scaled up replica set web-64bf99cd7d to 3", "component": "deployment-controller"},
    {"in": ["us"], "at": "605s", "every": "30s", "for": "10m", "object": "Pod/web", "pods": 3, "reason": "Failed",
     "message": IMAGE},
    {"in": ["us"], "at": "620s", "every": "2m", "for": "8m", "object": "Pod/web", "pods": 3, "type": "Normal",
     "reason": "Killing", "message": "Stopping container app"},
    {"in": ["eu"], "at": "14m", "object": "Deployment/web", "type": "Normal", "reason": "ScalingReplicaSet",
     "message": "Scaled up replica set web-64bf99cd7d to 3", "component": "deployment-controller"},
    {"in": ["eu"], "at": "845s", "every": "30s", "for": "6m", "object": "Pod/web", "pods": 3, "reason": "Failed",
     "message": IMAGE},
    {"in": ["ap"], "at": "15m", "object": "Pod/web", "type": "Normal", "reason": "Pulled",
     "message": "Container image already present on machine", "component": "kubelet"},
]  # fmt: skip


class Line(NamedTuple):
    """A section, and when it is received."""

    at: datetime
    section: Section


def week(
    *, reason: str = "Unhealthy", message: str = "Readiness probe failed: HTTP probe failed", trouble: str = "Failed"
) -> list[Line]:
    """Return all that the clusters tell in a week.

    ``reason`` and ``message`` are those of the probe, ``trouble`` is the reason of the bad image's Events.
    """
    happens = [said | {"reason": trouble} if said["reason"] == "Failed" else said for said in ROLLOUT]
    rollout = Scenario("rollout", happens)
    wednesday = sections(rollout, told(rollout, seed=1, noise=False), seed=1)
    lines = [Line(START + timedelta(days=2) + at, section) for at, section in _on(wednesday, timedelta(days=2))]
    for day in range(7):
        lines += [*_probes(day, reason, message), *_contacts(day)]
    return sorted(lines, key=lambda line: line.at)


def _on(lines: Iterable[tuple[timedelta, Section]], later: timedelta) -> Iterator[tuple[timedelta, Section]]:
    """The same, with Events of another day."""
    date, moved = f"{START:%Y-%m-%d}".encode(), f"{START + later:%Y-%m-%d}".encode()
    for at, section in lines:
        yield at, msgspec.structs.replace(section, body=section.body.replace(date, moved))


def _probes(day: int, reason: str, message: str) -> Iterator[Line]:
    begin = START + timedelta(days=day)
    for cluster in ("us", "eu"):
        for version, (minute, count) in enumerate(((1, 20), (4, 50)), 10 * day + 1):
            at = begin + timedelta(minutes=minute)
            yield _line(cluster, f"site-{cluster}", at, begin, version, count=count, reason=reason, message=message)
    pulled = {"reason": "Pulled", "type": "Normal", "message": "Container image already present"}
    yield _line("ap", "site-ap", begin + timedelta(minutes=1), begin, 10 * day + 1, count=1, **pulled)


def _line(cluster: str, name: str, at: datetime, first: datetime, version: int, *, count: int, **changes: Any) -> Line:
    began, last = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (first, at - timedelta(seconds=2)))
    metadata = {
        "name": f"{name}-{first:%d}.1", "namespace": "site", "uid": f"uid-{name}-{first:%d}",
        "resourceVersion": str(1_000_000 + version), "creationTimestamp": began,
    }  # fmt: skip
    times: dict[str, Any] = {"firstTimestamp": began, "lastTimestamp": last}
    content = event(name, 0, count=count, namespace="site", metadata=metadata, **times, **changes)
    body = b'{"type":"MODIFIED","object":' + content + b"}\n"
    return Line(at, Section(_stream(cluster), cluster, Kind.WATCHED, str(1_000_000 + version), 1, body))


def _contacts(day: int) -> Iterator[Line]:
    for hour in range(24):
        at = START + timedelta(days=day, hours=hour)
        for cluster in CLUSTERS:
            if not (cluster == "ap" and day == 3 and 2 < hour < 10):
                yield Line(at, Section(_stream(cluster), cluster, Kind.CONTACT, None, 0, b""))


def _stream(cluster: str) -> Stream:
    return Stream(f"uid-{cluster}", "events")


def archived(folder: Path, lines: list[Line], *, deliver: bool = True) -> Path:
    """Play ``lines`` and return the data directory; its archive is ``folder / "archive"``."""
    with history(folder / "data", rules=RULES) as h:
        for received in _batches(lines):
            for at, together in groupby(received, key=lambda line: line.at):
                stamp = to_micros(at)
                h.log.append([msgspec.structs.replace(line.section, received_at=stamp) for line in together])
            now = START + ((received[-1].at - START) // BATCH + 1) * BATCH
            h.batches.next(Work(h.log.end, to_micros(now), _written(h, now)))
        if deliver:
            archive = folder / "archive"
            check_owner(archive, h.directory.id)
            h.batches.delivered(Deliverer(archive, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))
    return folder / "data"


def _batches(lines: list[Line]) -> Iterator[list[Line]]:
    """Lines of one batch each: those of five minutes in which something is told, with the quiet time before them."""
    quiet: list[Line] = []
    for _, together in groupby(lines, key=lambda line: (line.at - START) // BATCH):
        quiet += together
        if any(line.section.lines for line in quiet):
            yield quiet
            quiet = []
    if quiet:
        yield quiet


def _written(h: History, now: datetime) -> list[OutcomeRecord]:
    """What a publisher would say that writes all that is due at once."""
    summaries = h.batches.state["open_summaries"].lazy()
    chosen = due(summaries, now=now, rewrite_after=timedelta(seconds=30), rewrite_most=timedelta(minutes=10)).collect()
    return [
        OutcomeRecord(summary, version, "1", written=True, refusal="", at=to_micros(now))
        for summary, version in chosen.select("summary", "version").iter_rows()
    ]
