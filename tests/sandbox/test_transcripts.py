"""Every recording of a real kcp, asked again: the sandbox answers alike.

Requests are replayed against a world brought into the state they were recorded in, by replaying the recordings
that came before. Compared: HTTP status, Retry-After, and the whole body but for what differs from run to run
(uids, versions, times, tokens, names of logical clusters) and managedFields.
"""

import asyncio
import io
import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from batcher.sandbox import Sandbox
from batcher.sandbox.identity import SHARD_ADMIN_TOKEN
from batcher.sandbox.manual_clock import ManualClock

FOLDER = Path(__file__).parent.parent / "transcripts" / "kcp"
RECORDINGS = sorted(path.name for path in FOLDER.glob("*.json"))
STREAMS = sorted(path.name for path in FOLDER.glob("*.ndjson"))

EVENTS_WRITTEN = (
    "create", "update-in-place", "put-upsert-new", "put-upsert-existing-norv", "put-absent-with-rv", "merge-patch",
    "apply-absent", "apply-again", "involved-ns-empty-in-default", "hostile-name", "hostile-reason-message",
    "long-message-legacy", "type-weird", "count-negative", "count-int32max", "label-ok", "name-long",
    "name-dns-long", "new-style-core", "new-style-update-series", "new-style-update-message-core",
)  # fmt: skip
"""The successful writes in the order of watch-rv1.ndjson."""
BEFORE: dict[str, tuple[str, ...]] = {
    "apply-again": ("apply-absent",),
    "cm-finalizer": ("ns-create",),
    "create-conflict": ("create",),
    "list-all": EVENTS_WRITTEN,
    "list-page1": EVENTS_WRITTEN,
    "merge-patch": ("put-upsert-new",),
    "new-style-update-message-core": ("new-style-core", "new-style-update-series"),
    "new-style-update-series": ("new-style-core",),
    "ns-delete": ("ns-create", "cm-finalizer"),
    "ns-terminating-post": ("ns-create", "cm-finalizer", "ns-delete"),
    "ns-terminating-put": ("ns-create", "cm-finalizer", "ns-delete"),
    "put-upsert-existing-norv": ("put-upsert-new",),
    "put-wrong-rv": ("put-upsert-new",),
    "update-in-place": ("create",),
    "update-stale-rv": ("create", "update-in-place"),
    "wildcard-list-shardadmin": EVENTS_WRITTEN,
    "ws-get": ("ws-create",),
    "ws-post-by-logical-name": ("ws-create", "ws-get"),
    "ws-delete": ("ws-create", "ws-get"),
    "ws-post-after-delete-0": ("ws-create", "ws-get", "ws-delete"),
    "ws-post-after-delete-1": ("ws-create", "ws-get", "ws-delete"),
    "ws-post-after-delete-2": ("ws-create", "ws-get", "ws-delete"),
    "ws-list-after-delete": ("ws-create", "ws-get", "ws-delete"),
    "ws-list-path-after-delete": ("ws-create", "ws-get", "ws-delete"),
}
SECONDS_LATER = {
    "ws-post-after-delete-1": 3,
    "ws-post-after-delete-2": 5,
    "ws-list-after-delete": 5,
    "ws-list-path-after-delete": 5,
}
HEADERS = {
    "unauthorized": {"Authorization": "Bearer wrong"},
    "impersonate-nobody-post": {"Impersonate-User": "nobody"},
    "wildcard-list-shardadmin": {"Authorization": f"Bearer {SHARD_ADMIN_TOKEN}"},
}
NUMBERS_DIFFER = {
    "list-future-rv": "it names the server's current version",
    "body-2mb": "etcd measures its own encoding, the sandbox the request",
    "watch-expired-in-stream-410": "it names versions of its run",
}
WATCHES = {
    "watch-badrv": "/clusters/root:team-a/api/v1/events?watch=true&resourceVersion=abc",
    "watch-missingws": "/clusters/root:nope/api/v1/events?watch=true",
    "watch-expired-in-stream-410": "/clusters/root:team-a/api/v1/events?watch=true&resourceVersion=5",
    "watch-lifecycle": "/clusters/root:team-a/api/v1/events?watch=true&allowWatchBookmarks=true&timeoutSeconds=1"
    "&resourceVersion={now}",
    "watch-rv0": "/clusters/root:team-a/api/v1/namespaces/default/events?watch=true&resourceVersion=0&timeoutSeconds=1",
    "watch-rv1": "/clusters/root:team-a/api/v1/namespaces/default/events?watch=true&resourceVersion=1&timeoutSeconds=1",
    "watch-sendinitial": "/clusters/root:team-a/api/v1/namespaces/default/events?watch=true&sendInitialEvents=true"
    "&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1",
    "watch-workspace-deleted": "/clusters/root:gone/api/v1/events?watch=true&timeoutSeconds=600",
}
"""The query of each stream; ndjson files hold answers only."""
LIVE = "the life of w1"
BEFORE_WATCH = {
    "watch-rv0": EVENTS_WRITTEN,
    "watch-rv1": (*EVENTS_WRITTEN, LIVE),
    "watch-sendinitial": EVENTS_WRITTEN,
    "watch-workspace-deleted": ("ws-create", "ws-get", "ws-post-by-logical-name"),
}


@dataclass
class Replay:
    """Asks recorded requests, with what this run calls the recorded uids, versions and logical clusters."""

    url: str
    http: aiohttp.ClientSession
    renamed: dict[str, str] = field(default_factory=dict)

    async def ask(self, name: str) -> tuple[int, dict[str, Any], str | None]:
        recording = json.loads((FOLDER / f"{name}.json").read_text())
        request = recording["request"]
        text = json.dumps(uncut(request["body"]))
        path = request["path"]
        for recorded, actual in self.renamed.items():
            text, path = text.replace(f'"{recorded}"', f'"{actual}"'), path.replace(recorded, actual)
        headers = {**HEADERS.get(name, {}), **({"Content-Type": request["contentType"]} if request["body"] else {})}
        body = io.BytesIO(text.encode()) if request["body"] else None
        async with self.http.request(request["method"], self.url + path, data=body, headers=headers) as answer:
            content = await answer.json()
        self._learn(recording["response"]["body"], content)
        return answer.status, content, answer.headers.get("Retry-After")

    def _learn(self, recorded: dict[str, Any], actual: dict[str, Any]) -> None:
        if actual.get("kind") == "Event":
            for name in ("uid", "resourceVersion"):
                self.renamed[recorded["metadata"][name]] = actual["metadata"][name]
        if actual.get("kind") == "Workspace" and "cluster" in actual["spec"]:
            self.renamed[recorded["spec"]["cluster"]] = actual["spec"]["cluster"]


def uncut(value: Any) -> Any:
    """Make long texts long again: ``xxx...<100000 chars, cut>``."""
    if isinstance(value, dict):
        return {name: uncut(part) for name, part in value.items()}
    if isinstance(value, list):
        return [uncut(part) for part in value]
    found = re.fullmatch(r"(.)\1*\.\.\.<(\d+) chars, cut>", value) if isinstance(value, str) else None
    return found[1] * int(found[2]) if found else value


VOLATILE = {
    "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "continue", "lastTransitionTime", "cluster",
    "kcp.io/cluster", "internal.tenancy.kcp.io/cluster", "internal.tenancy.kcp.io/shard",
    "experimental.tenancy.kcp.io/owner", "URL",
}  # fmt: skip


def comparable(value: Any) -> Any:
    """Leave out managedFields, and the value of what differs from run to run unless a request gave it."""
    if isinstance(value, dict):
        return {
            name: "(differs)"
            if name in VOLATILE and part != "11111111-1111-1111-1111-111111111111"
            else comparable(part)
            for name, part in value.items()
            if name != "managedFields"
        }
    return [comparable(part) for part in value] if isinstance(value, list) else value


def without_numbers(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "message": re.sub(r"\d+", "N", body["message"])}


@pytest.mark.parametrize("file", RECORDINGS)
async def test_a_recorded_request_is_answered_alike(
    file: str, sandbox: Sandbox, http: aiohttp.ClientSession, clock: ManualClock
) -> None:
    name = file.removesuffix(".json")
    replay = Replay(sandbox.kcp.url, http)
    for earlier in BEFORE.get(name, ()):
        await replay.ask(earlier)
    clock.advance(timedelta(seconds=SECONDS_LATER.get(name, 0)))
    status, body, retry_after = await replay.ask(name)
    recorded = json.loads((FOLDER / file).read_text())["response"]
    expected = comparable(uncut(recorded["body"]))
    actual = comparable(body)
    if name in NUMBERS_DIFFER:
        expected, actual = without_numbers(expected), without_numbers(actual)
    assert (status, retry_after) == (recorded["status"], recorded["headers"].get("Retry-After"))
    assert actual == expected


@pytest.mark.parametrize("file", STREAMS)
async def test_a_recorded_stream_says_the_same(file: str, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    name = file.removesuffix(".ndjson")
    replay = Replay(sandbox.kcp.url, http)
    workspace = sandbox.kcp.workspaces["root:team-a"]
    for earlier in BEFORE_WATCH.get(name, ()):
        await (live(sandbox, http) if earlier == LIVE else replay.ask(earlier))
    if name == "watch-expired-in-stream-410":
        workspace.create_event({"metadata": {"name": "seen"}})
        workspace.compact()
    path = WATCHES[name].format(now=workspace.latest_revision)
    async with http.get(sandbox.kcp.url + path) as answer, asyncio.timeout(20):
        if name == "watch-lifecycle":
            await live(sandbox, http)
        lines = [json.loads(await answer.content.readline())]
        if name == "watch-workspace-deleted":
            await replay.ask("ws-delete")
        lines += [json.loads(line) async for line in answer.content]
    recorded = [comparable(uncut(json.loads(line))) for line in (FOLDER / file).read_text().splitlines()]
    actual = [comparable(line) for line in lines]
    if name in NUMBERS_DIFFER:
        recorded[0]["object"], actual[0]["object"] = (without_numbers(x[0]["object"]) for x in (recorded, actual))
    assert actual == recorded


async def live(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """Create, count up and delete w1, as watch-lifecycle.ndjson saw it."""
    url = f"{sandbox.kcp.url}/clusters/root:team-a/api/v1/namespaces/default/events"
    first = json.loads((FOLDER / "watch-lifecycle.ndjson").read_text().splitlines()[0])["object"]
    event = {**first, "metadata": {"name": "w1"}}
    async with http.post(url, json=event) as answer:
        assert answer.status == 201
    patch = {"Content-Type": "application/merge-patch+json"}
    async with http.patch(f"{url}/w1", data='{"count":2}', headers=patch) as answer:
        assert answer.status == 200
    async with http.delete(f"{url}/w1") as answer:
        assert answer.status == 200
