"""What the recordings do not show: the plain personality, selectors, identities, the end."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from batcher.sandbox import Cluster, Identity, Sandbox
from batcher.sandbox.manual_clock import ManualClock

EVENTS = "/api/v1/events"


@pytest.fixture
def cluster(sandbox: Sandbox) -> Cluster:
    return sandbox.clusters["us-west1"]


def event(name: str, namespace: str = "web", **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **fields}


async def lines(http: aiohttp.ClientSession, url: str, count: int, **options: str) -> list[tuple[str, str]]:
    """Return (type, name) of the first ``count`` lines of a watch."""
    params = {"watch": "true", "timeoutSeconds": "600", **options}
    async with http.get(url, params=params) as answer, asyncio.timeout(10):
        read = [json.loads(await answer.content.readline()) for _ in range(count)]
    return [(line["type"], line["object"]["metadata"].get("name", "")) for line in read]


async def test_every_server_has_its_own_identity(sandbox: Sandbox) -> None:
    everywhere = [*sandbox.clusters.values(), *sandbox.kcp.workspaces.values()]
    assert len({target.uid for target in everywhere}) == 4


async def test_a_plain_cluster_sends_no_bookmarks(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    params = {"watch": "true", "timeoutSeconds": "1", "allowWatchBookmarks": "true"}
    async with http.get(cluster.url + EVENTS, params=params) as answer:
        cluster.create_event(event("a"))
        read = (await answer.content.read()).splitlines()
    assert [json.loads(line)["type"] for line in read] == ["ADDED"]


async def test_a_plain_cluster_has_no_workspaces(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    async with http.get(cluster.url + "/clusters/root:shop/api/v1/events") as answer:
        assert (answer.status, (await answer.json())["reason"]) == (404, "NotFound")


async def test_no_token_and_a_revoked_token_are_refused(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.identities["second"] = Identity("second")
    del cluster.identities["sandbox-admin"]
    async with http.get(cluster.url + EVENTS) as answer:
        assert answer.status == 401
    async with http.get(cluster.url + EVENTS, headers={"Authorization": "Bearer second"}) as answer:
        assert answer.status == 200
    async with aiohttp.ClientSession() as nobody, nobody.get(cluster.url + EVENTS) as answer:
        assert answer.status == 401


async def test_a_writer_of_one_workspace_cannot_list_and_cannot_write_elsewhere(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    shop, team = sandbox.kcp.workspaces["root:shop"], sandbox.kcp.workspaces["root:team-a"]
    verbs = frozenset({"get", "create", "update"})
    sandbox.kcp.identities["writer"] = Identity("writer", verbs, frozenset({shop.logical}))
    headers = {"Authorization": "Bearer writer"}
    body = event("a", "default", involvedObject={"kind": "Node", "name": "n"})
    seen = []
    for method, url in (
        ("POST", f"{shop.url}/api/v1/namespaces/default/events"),
        ("PUT", f"{sandbox.kcp.url}/clusters/{shop.logical}/api/v1/namespaces/default/events/a"),
        ("GET", f"{shop.url}/api/v1/events"),
        ("POST", f"{team.url}/api/v1/namespaces/default/events"),
    ):
        async with http.request(method, url, json=body, headers=headers) as answer:
            seen.append(answer.status)
    assert seen == [201, 200, 403, 403]


async def test_a_workspace_sees_only_its_own_events(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    shop, team = sandbox.kcp.workspaces["root:shop"], sandbox.kcp.workspaces["root:team-a"]
    team.create_event(event("theirs"))
    shop.create_event(event("ours"))
    assert await lines(http, shop.url + EVENTS, 1, resourceVersion="1") == [("ADDED", "ours")]
    assert [found["metadata"]["name"] for found in shop.events()] == ["ours"]


async def test_a_namespaced_watch_and_list_leave_out_other_namespaces(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    for namespace in ("api", "web"):
        cluster.create_event(event("a", namespace))
    url = cluster.url + "/api/v1/namespaces/web/events"
    cluster.create_event(event("b", "web"))
    assert await lines(http, url, 2, resourceVersion="3") == [("ADDED", "a"), ("ADDED", "b")]
    async with http.get(url) as answer:
        assert [item["metadata"]["namespace"] for item in (await answer.json())["items"]] == ["web", "web"]


async def test_an_object_enters_and_leaves_the_selector_of_a_watch(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    before = str(cluster.latest_revision)
    cluster.create_event(event("a", type="Normal"))
    cluster.update_event("web", "a", {"type": "Warning"})
    cluster.update_event("web", "a", {"count": 2})
    cluster.update_event("web", "a", {"type": "Normal"})
    seen = await lines(http, cluster.url + EVENTS, 3, resourceVersion=before, fieldSelector="type=Warning")
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_labels_select_events(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    for name, labels in (("a", {"incident": "1"}), ("b", {"incident": "2"}), ("c", {})):
        cluster.create_event({"metadata": {"name": name, "namespace": "web", "labels": labels}})
    found = []
    for selector in ("incident=1", "incident!=1", "incident", "!incident"):
        async with http.get(cluster.url + EVENTS, params={"labelSelector": selector}) as answer:
            found.append([item["metadata"]["name"] for item in (await answer.json())["items"]])
    assert found == [["a"], ["b", "c"], ["a", "b"], ["c"]]


async def test_an_unknown_field_selector_is_a_bad_request(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    async with http.get(cluster.url + EVENTS, params={"fieldSelector": "spec.x=1"}) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (400, "BadRequest")


async def test_a_write_that_changes_nothing_makes_no_event(cluster: Cluster) -> None:
    first = cluster.create_event(event("a", count=1))
    same = cluster.update_event("web", "a", {"count": 1})
    assert same["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_version_from_the_future_is_silence_and_not_what_happens_meanwhile(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    params = {"watch": "true", "timeoutSeconds": "1", "resourceVersion": "99999"}
    async with http.get(cluster.url + EVENTS, params=params) as answer:
        cluster.create_event(event("a"))
        assert (answer.status, await answer.content.read()) == (200, b"")


async def test_what_is_no_json_is_a_bad_request(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    url = cluster.url + "/api/v1/namespaces/default/events"
    for body in (b"{", b"\xff", b"[]", b'{"metadata": 1}', b'{"count": 1e99}', b'{"reason": 1}'):
        async with http.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (400, "BadRequest")


async def test_unknown_fields_are_delivered_when_put_as_they_are(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    from batcher.sandbox.resources import EVENTS as RESOURCE  # noqa: PLC0415  the path has the better name here

    cluster.put_raw(RESOURCE, "web", "odd", {"metadata": {"name": "odd"}, "novel": {"deep": [1]}})
    async with http.get(cluster.url + EVENTS) as answer:
        assert (await answer.json())["items"][0]["novel"] == {"deep": [1]}


async def test_reviews_tell_who_may_do_what(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    base = sandbox.kcp.workspaces["root:shop"].url + "/apis/"
    attributes = {"resourceAttributes": {"verb": "list", "resource": "events"}}
    async with http.post(
        base + "authorization.k8s.io/v1/selfsubjectaccessreviews", json={"spec": attributes}
    ) as answer:
        assert (await answer.json())["status"] == {"allowed": True}
    token = {"spec": {"token": "sandbox-admin"}}
    async with http.post(base + "authentication.k8s.io/v1/tokenreviews", json=token) as answer:
        assert (await answer.json())["status"]["user"]["username"] == "kcp-admin"


async def test_leaving_ends_every_stream(clock: ManualClock) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {Sandbox.token}"}) as session:
        async with Sandbox(["one"], {}, now=clock) as running:
            answer = await session.get(running.clusters["one"].url + EVENTS, params={"watch": "true"})
        async with asyncio.timeout(10):
            assert await answer.content.read() == b""


async def test_streams_of_clients_that_went_away_are_forgotten(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    before = asyncio.all_tasks()
    for _ in range(5):
        answer = await http.get(cluster.url + EVENTS, params={"watch": "true"})
        answer.close()
    left = asyncio.all_tasks() - before
    assert left
    await asyncio.wait(left, timeout=10)
    assert asyncio.all_tasks() == before


METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def test_who_asks_for_metadata_alone_gets_nothing_else(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.create_event(event("a", labels={"team": "x"}, message="secret"))
    url = f"{cluster.url}/api/v1/namespaces/web/events"
    async with http.get(url, headers={"Accept": METADATA_LIST}, params={"limit": "1"}) as answer:
        found = await answer.json()
    async with http.get(f"{url}/a", headers={"Accept": METADATA}) as answer:
        one = await answer.json()
    params = {"watch": "true", "timeoutSeconds": "600"}
    async with http.get(url, headers={"Accept": METADATA}, params=params) as answer, asyncio.timeout(10):
        line = json.loads(await answer.content.readline())
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert int(found["metadata"]["resourceVersion"]) > 0
    assert found["items"] == [one] == [line["object"]]
    assert (set(one), one["kind"]) == ({"kind", "apiVersion", "metadata"}, "PartialObjectMetadata")


async def test_an_object_that_leaves_a_selector_is_deleted_as_it_was(
    cluster: Cluster, http: aiohttp.ClientSession
) -> None:
    cluster.create_namespace("web", labels={"team": "x"})
    params = {"watch": "true", "timeoutSeconds": "600", "labelSelector": "team"}
    url = f"{cluster.url}/api/v1/namespaces"
    async with http.get(url, headers={"Accept": METADATA}, params=params) as answer, asyncio.timeout(10):
        first = json.loads(await answer.content.readline())
        changed = cluster.create_namespace("web", annotations={"note": "new"})
        last = json.loads(await answer.content.readline())
    assert (first["type"], last["type"]) == ("ADDED", "DELETED")
    assert last["object"]["metadata"]["labels"]["team"] == "x"
    assert "annotations" not in last["object"]["metadata"]
    assert last["object"]["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]


async def test_who_may_not_use_a_resource_may_use_the_others(cluster: Cluster, http: aiohttp.ClientSession) -> None:
    cluster.identities["sandbox-admin"] = Identity("limited", forbidden=frozenset({"deployments"}))
    async with http.get(f"{cluster.url}/apis/apps/v1/deployments") as answer:
        assert (answer.status, (await answer.json())["reason"]) == (403, "Forbidden")
    async with http.get(f"{cluster.url}{EVENTS}") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-11-25T20:00:00.000000Z"}, 201),
        ({"leaseDurationSeconds": 0}, 422),
        ({"leaseTransitions": -1}, 422),
        ({"leaseDurationSeconds": 1.5}, 400),
        ({"renewTime": "2026-11-25T20:00:00Z"}, 400),
    ],
)
async def test_a_lease_is_judged_as_an_api_server_does(
    cluster: Cluster, http: aiohttp.ClientSession, spec: dict[str, object], status: int
) -> None:
    url = f"{cluster.url}/apis/coordination.k8s.io/v1/namespaces/default/leases"
    async with http.post(url, json={"metadata": {"name": "batcher"}, "spec": spec}) as answer:
        assert answer.status == status
