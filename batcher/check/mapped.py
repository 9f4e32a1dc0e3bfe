"""Which workspace each namespace of a cluster would have: the rules of a batch, asked of what is there now."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import polars as pl

from batcher.check.findings import About, Finding, Level, found
from batcher.claims import Claims
from batcher.clock import to_micros
from batcher.namespaces.known import source_names
from batcher.pipeline import Rules
from batcher.schema import TIME
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place as Position
from batcher.stages.locate import decide, with_claims

NAMED = 5
"""Namespaces that are named in a detail; the others are counted."""


class Namespace(NamedTuple):
    """What of a Namespace decides whose it is."""

    name: str
    uid: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Seen(NamedTuple):
    """The namespaces of a cluster, as far as they could be seen."""

    cluster: str
    uid: str
    namespaces: Sequence[Namespace]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace and its target; empty: none."""

    cluster: str
    namespace: str
    workspace: str
    target_namespace: str
    source: str
    """What decides: ``locator``, ``rules[0]``, ``cluster``, or nothing."""
    allowed: bool
    """Whether ``kcp.workspaces`` allows it."""
    flaw: str
    """What is wrong with its locator; empty where locators are not trusted."""


def places(seen: Seen, rules: Rules, now: datetime) -> list[Place]:
    """Return the places of ``seen`` by name, as a batch that heard of these Namespaces now would decide."""
    if not seen.namespaces:
        return []
    names = sorted({namespace.name for namespace in seen.namespaces})
    rows = pl.LazyFrame({"namespace": names}).with_columns(
        position=pl.lit(2**62),
        received_at=pl.lit(now).cast(TIME),
        cluster_uid=pl.lit(seen.uid),
        cluster=pl.lit(seen.cluster),
        regarding_namespace=pl.col("namespace"),
    )
    asked = with_claims(rows, _claims(seen, now).lazy())
    decided = decide(asked, rules.mapping, rules.trust).sort("namespace").collect(engine="in-memory")
    called = source_names(rules)
    return [_place(row, called, believes=rules.trust.locators) for row in decided.iter_rows(named=True)]


def _claims(seen: Seen, now: datetime) -> pl.DataFrame:
    lines = b"".join(msgspec.json.encode({"metadata": each._asdict()}) + b"\n" for each in seen.namespaces)
    stream = Stream(seen.uid, "namespaces")
    received = to_micros(now)
    section = Section(stream, seen.cluster, Kind.LISTED, lines=len(seen.namespaces), body=lines, received_at=received)
    claims = Claims()
    for _ in claims.passing([(Position(1, 0), [section])]):
        pass
    return claims.read


def _place(row: Mapping[str, Any], called: Mapping[int | None, str], *, believes: bool) -> Place:
    target = {name: row[name] or "" for name in ("cluster", "namespace", "workspace", "target_namespace")}
    allowed = row["is_allowed"] or not row["workspace"]
    flaw = (row["flaw"] or "") if believes else ""
    return Place(**target, source=called[row["decided_by"]], allowed=allowed, flaw=flaw)


def judged(about: About, places: Sequence[Place]) -> Finding:
    """Return how many of ``places`` have a workspace, and which have none."""
    mapped = [place for place in places if place.workspace and place.allowed]
    detail = f"{len(mapped):,} of {len(places):,} namespaces seen have a workspace"
    outside = _named(place.namespace for place in places if place.workspace and not place.allowed)
    flawed = _named(place.namespace for place in places if place.flaw)
    without = _named(place.namespace for place in places if not place.workspace and not place.flaw)
    if flawed:
        remedy = "see what to do: batcher mapping list --flawed, once it runs"
        return found(about, "mapping", Level.WARN, f"{detail}; not believed: {flawed}", remedy)
    if outside:
        return found(about, "mapping", Level.WARN, f"{detail}; not allowed: {outside}", "add them to kcp.workspaces")
    if places and not mapped:
        return found(
            about, "mapping", Level.WARN, f"{detail}; none: {without}", "add mapping.rules, or clusters[].workspace"
        )
    return found(about, "mapping", Level.OK, f"{detail}; none: {without}" if without else detail)


def _named(names: Iterable[str]) -> str:
    """The first of ``names``, and how many more there are; nothing if there are none."""
    ordered = sorted(names)
    more = f" and {len(ordered) - NAMED:,} more" if len(ordered) > NAMED else ""
    return ", ".join(ordered[:NAMED]) + more
