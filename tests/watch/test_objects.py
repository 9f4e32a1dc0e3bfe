"""Objects that say whose they are: only those, only their metadata, and no trouble to anybody else's watch."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from batcher.kinds import parse_watched
from batcher.sandbox import Cluster
from batcher.sandbox.faults import Answer
from batcher.sandbox.resources import RESOURCES
from batcher.spool import Kind, Stream
from tests.virtual_time import in_virtual_time
from tests.watch.watched import Watched, watched

LABEL = "syncagent.kcp.io/remote-object-cluster"
DEPLOYMENTS = parse_watched("Deployment").resource
CERTIFICATES = "Certificate.v1.cert-manager.io=certificates"
RESOURCE = next(resource for resource in RESOURCES if resource.kind == "Deployment")


def deployment(name: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": dict(labels or {})}, "spec": {"template": {"env": "a password"}}}


def lines(w: Watched, resource: str = DEPLOYMENTS) -> Iterator[tuple[str, dict[str, Any]]]:
    """(type, object) of every line of the stream."""
    for section in w.sink.sections:
        if section.stream == Stream(w.cluster.uid, resource) and section.kind in {Kind.LISTED, Kind.WATCHED}:
            for line in section.body.splitlines():
                decoded = msgspec.json.decode(line)
                yield decoded.get("type", "LISTED"), decoded.get("object", decoded)


def told(w: Watched) -> list[tuple[str, str]]:
    return [(kind, content["metadata"]["name"]) for kind, content in lines(w)]


@in_virtual_time
async def test_only_labelled_objects_are_listed_and_watched_and_of_them_the_metadata_alone(tmp_path: Path) -> None:
    def before(cluster: Cluster) -> None:
        cluster.create_object(RESOURCE, "web", deployment("listed", {LABEL: "1abc"}))
        cluster.create_object(RESOURCE, "web", deployment("unlabelled"))

    async with watched(tmp_path, before=before, resources=("events", DEPLOYMENTS)) as w:
        await w.connected()
        await w.until(lambda: ("LISTED", "listed") in told(w))
        w.cluster.create_object(RESOURCE, "web", deployment("other"))
        w.cluster.create_object(RESOURCE, "web", deployment("made", {LABEL: "1abc"}))
        w.cluster.create_object(RESOURCE, "web", deployment("unlabelled", {LABEL: "1abc"}))
        w.cluster.create_object(RESOURCE, "web", deployment("listed"))
        await w.until(lambda: len(told(w)) == 4)
        assert told(w) == [("LISTED", "listed"), ("ADDED", "made"), ("ADDED", "unlabelled"), ("DELETED", "listed")]
        assert {content["kind"] for _, content in lines(w)} == {"PartialObjectMetadata"}
        assert not any("spec" in content for _, content in lines(w))
        asked = [params for path, params in w.asked if path == "/apis/apps/v1/deployments"]
        assert {params["labelSelector"] for params in asked} == {LABEL}


@in_virtual_time
async def test_objects_are_watched_in_the_namespaces_of_a_limited_cluster(tmp_path: Path) -> None:
    async with watched(tmp_path, namespaces=("web",), resources=("events", DEPLOYMENTS)) as w:
        await w.connected()
        await w.until(lambda: any("deployments" in path for path, _ in w.asked))
        assert {path for path, _ in w.asked if "deployments" in path} == {"/apis/apps/v1/namespaces/web/deployments"}


@in_virtual_time
async def test_a_kind_that_a_cluster_lacks_is_told_of_and_disturbs_nothing(tmp_path: Path) -> None:
    async with watched(tmp_path, resources=("events", CERTIFICATES, DEPLOYMENTS)) as w:
        w.event("e")
        w.cluster.create_object(RESOURCE, "web", deployment("made", {LABEL: "1abc"}))
        await w.heard("e", "made")
        await w.until(lambda: "404" in w.status.last_error)
        assert w.status.last_error == f"HTTP 404 NotFound for a list of {CERTIFICATES}"
        assert (w.status.phase, w.status.restarts) == ("connected", 0)
        asked = len([path for path, _ in w.asked if path.endswith("certificates")])
        await asyncio.sleep(3600)
        assert len([path for path, _ in w.asked if path.endswith("certificates")]) - asked == 12
        w.event("later")
        await w.heard("later")


@in_virtual_time
async def test_a_kind_that_is_installed_later_is_found(tmp_path: Path) -> None:
    async with watched(tmp_path, resources=("events", DEPLOYMENTS)) as w:
        w.cluster.faults = replace(w.cluster.faults, answers=(Answer(404, "list", times=2),))
        w.cluster.create_object(RESOURCE, "web", deployment("made", {LABEL: "1abc"}))
        await w.heard("made")
        await w.connected()
        assert w.status.last_error == ""


@in_virtual_time
async def test_a_kind_that_is_forbidden_shows_while_events_go_on_until_it_is_allowed(tmp_path: Path) -> None:
    def before(cluster: Cluster) -> None:
        token, identity = next(iter(cluster.identities.items()))
        cluster.identities[token] = replace(identity, forbidden=frozenset({"deployments"}))

    async with watched(tmp_path, before=before, resources=("events", DEPLOYMENTS)) as w:
        w.event("e")
        w.cluster.create_object(RESOURCE, "web", deployment("made", {LABEL: "1abc"}))
        await w.heard("e")
        await w.until(lambda: w.status.phase == "waiting")
        assert w.status.last_error == f"HTTP 403 Forbidden for a list of {DEPLOYMENTS}"
        token, identity = next(iter(w.cluster.identities.items()))
        w.cluster.identities[token] = replace(identity, forbidden=frozenset())
        await w.heard("made", seconds=60)
        await w.connected()


@in_virtual_time
async def test_events_that_a_cluster_does_not_serve_are_no_small_matter(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.cluster.faults = replace(w.cluster.faults, answers=(Answer(404, "list", times=1),))
        await w.until(lambda: w.status.phase == "waiting")
        w.event("e")
        await w.heard("e", seconds=60)
