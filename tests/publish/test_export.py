"""Targets by an APIExport: the bindings are what may be written to, on every shard, as of the last list."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from batcher.connect import Connection
from batcher.connect.access import Access
from batcher.errors import Unavailable
from batcher.publish import Delivery, Export, Publisher, Result
from batcher.publish.answers import Answer, Meaning
from batcher.publish.bindings import BINDINGS, SLICES
from batcher.publish.export import AGAIN_SECONDS, EVERY_SECONDS, NEW_SECONDS
from batcher.publish.targets import NOT_ALLOWED, NOT_BOUND, Target
from tests.publish.kcp import FORBIDDEN, NOW, SHOP, TEAM_A, Answered, Kcp, write
from tests.virtual_time import in_virtual_time

PROVIDER, ONE, TWO = "https://kcp", "https://one/services/apiexport/p/events", "https://two/services/apiexport/p/events"
SHOP_NAME, TEAM_NAME = "shoplogical", "teamlogical"


def binding(logical: str, path: str, **changes: Any) -> dict[str, Any]:
    said = {"state": "Accepted", "resource": "events", "group": "", "export": "events", "metadata": {}} | changes
    claim = {key: said[key] for key in ("state", "resource", "group")}
    annotations = {"kcp.io/cluster": logical, "kcp.io/path": path}
    return {
        "metadata": {"annotations": {key: value for key, value in annotations.items() if value}} | said["metadata"],
        "spec": {"reference": {"export": {"name": said["export"]}}, "permissionClaims": [claim]},
    }


@dataclass
class Shards:
    """What the provider's workspace and each endpoint answer; an exception is no answer."""

    slices: Any
    bindings: dict[str, Any]
    kcp: dict[str, Kcp] = field(default_factory=dict)
    lists: list[tuple[float, str, str]] = field(default_factory=list)
    page: int = 500


class Shard(Connection):
    """A connection whose server is in this process."""

    def __init__(self, server: str, shards: Shards) -> None:
        super().__init__(server, Access(server))
        self._shards = shards
        self.retired = 0

    def at(self, server: str) -> "Shard":  # type: ignore[explicit-override]  # typing.override came with 3.12
        return Shard(server, self._shards)

    async def retire(self) -> None:  # type: ignore[explicit-override]  # as above
        self.retired += 1

    @asynccontextmanager
    async def request(  # type: ignore[override, explicit-override]  # as above
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, **given: Any
    ) -> AsyncIterator[Answered]:
        shards = self._shards
        if path == SLICES:
            yield answered(shards.slices)
        elif path == BINDINGS:
            said = dict(params or {})
            start = int(said.get("continue", "0"))
            shards.lists.append((asyncio.get_running_loop().time(), self.server, str(start)))
            yield answered(shards.bindings[self.server], start, min(int(said["limit"]), shards.page))
        else:
            async with shards.kcp[self.server].request(method, path, **given) as response:
                yield response


def answered(found: Any, start: int = 0, limit: int = 500) -> Answered:
    if isinstance(found, Exception):
        raise found
    if isinstance(found, int):
        return Answered(found, b"{}")
    if isinstance(found, bytes):
        return Answered(200, found)
    more = {"continue": str(start + limit)} if start + limit < len(found) else {}
    return Answered(200, msgspec.json.encode({"metadata": more, "items": found[start : start + limit]}))


def slice_(*urls: str, export: str = "events") -> dict[str, Any]:
    return {"spec": {"export": {"name": export}}, "status": {"endpoints": [{"url": url} for url in urls]}}


def two_shards() -> Shards:
    return Shards(
        [slice_(ONE, TWO), slice_("https://three", export="others")],
        {ONE: [binding(SHOP_NAME, SHOP)], TWO: [binding(TEAM_NAME, TEAM_A)]},
        {ONE: Kcp(), TWO: Kcp()},
    )


@dataclass
class Running:
    export: Export
    appeared: list[set[str]]


@asynccontextmanager
async def listing(shards: Shards, *patterns: str) -> AsyncIterator[Running]:
    """Follow the bindings of ``shards`` until the block ends; it begins after the first list."""
    running = Running(Export(Shard(PROVIDER, shards), "events", patterns), [])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(running.export.run(lambda names: running.appeared.append(set(names))))
        await asyncio.sleep(0.01)
        yield running
        task.cancel()


def address(found: Target | Answer) -> tuple[str, str]:
    assert isinstance(found, Target)
    assert isinstance(found.connection, Shard)
    return found.connection.server, found.cluster


@in_virtual_time
async def test_a_workspace_is_written_to_on_its_shard_by_its_logical_name_whatever_it_is_called() -> None:
    async with listing(two_shards()) as running:
        for name in (SHOP, SHOP_NAME):
            assert address(running.export.of(name)) == (ONE, SHOP_NAME)
        assert address(running.export.of(TEAM_A)) == (TWO, TEAM_NAME)
        assert running.export.name(TEAM_NAME) == TEAM_A
        assert running.appeared == [{SHOP, SHOP_NAME, TEAM_A, TEAM_NAME}]


@pytest.mark.parametrize(
    "odd",
    [
        binding("other", "root:other", state="Rejected"),
        binding("other", "root:other", state=""),
        binding("other", "root:other", resource="configmaps"),
        binding("other", "root:other", group="events.k8s.io"),
        binding("other", "root:other", export="others"),
        binding("other", "root:other", metadata={"deletionTimestamp": "2026-11-23T16:00:00Z"}),
        binding("", "root:other"),
        binding("a/../b", "root:other"),
    ],
)
@in_virtual_time
async def test_a_workspace_that_does_not_accept_the_claim_is_not_bound(odd: dict[str, Any]) -> None:
    shards = two_shards()
    shards.bindings[ONE].append(odd)
    async with listing(shards) as running:
        assert running.export.of("root:other") == NOT_BOUND
        assert running.export.of("other") == NOT_BOUND


@in_virtual_time
async def test_before_the_first_list_and_without_a_shards_list_an_unknown_workspace_waits() -> None:
    shards = two_shards()
    shards.bindings[TWO] = Unavailable("shard two is away")
    async with listing(shards) as running:
        found = running.export.of(TEAM_A)
        assert isinstance(found, Answer)
        assert found.meaning is Meaning.LATER
        assert found.reason.endswith("shard two is away")
        assert address(running.export.of(SHOP)) == (ONE, SHOP_NAME)
    before = Export(Shard(PROVIDER, shards), "events").of(SHOP)
    assert isinstance(before, Answer)
    assert before.meaning is Meaning.LATER


@pytest.mark.parametrize("broken", [Unavailable("away"), 403, 500, b"<html>", b"[" * 100_000])
@in_virtual_time
async def test_a_list_that_fails_keeps_what_the_shard_said_last_and_says_so(broken: Any) -> None:
    shards = two_shards()
    async with listing(shards) as running:
        shards.bindings[TWO] = broken
        await asyncio.sleep(EVERY_SECONDS + 1)
        assert address(running.export.of(TEAM_A)) == (TWO, TEAM_NAME)
        assert running.export.trouble
        shards.slices = broken
        await asyncio.sleep(EVERY_SECONDS + 1)
        assert address(running.export.of(SHOP)) == (ONE, SHOP_NAME)


@in_virtual_time
async def test_who_binds_later_appears_and_who_unbinds_is_written_to_no_more() -> None:
    shards = two_shards()
    shop = shards.bindings.pop(ONE)
    shards.bindings[ONE] = []
    async with listing(shards) as running:
        assert running.export.of(SHOP) == NOT_BOUND
        shards.bindings[ONE] = shop
        await asyncio.sleep(AGAIN_SECONDS + 1)
        assert address(running.export.of(SHOP)) == (ONE, SHOP_NAME)
        assert running.appeared[-1] == {SHOP, SHOP_NAME}
        shards.bindings[ONE] = []
        await asyncio.sleep(EVERY_SECONDS + 1)
        assert running.export.of(SHOP) == NOT_BOUND


@in_virtual_time
async def test_however_much_is_asked_for_the_bindings_are_listed_every_five_seconds_at_most() -> None:
    shards = two_shards()
    async with listing(shards) as running:
        for _ in range(600):
            running.export.of("root:unknown")
            await asyncio.sleep(0.1)
    times = [at for at, server, _ in shards.lists if server == ONE]
    assert 10 <= len(times) <= 14


@in_virtual_time
async def test_without_questions_the_bindings_are_listed_every_minute() -> None:
    shards = two_shards()
    async with listing(shards):
        await asyncio.sleep(600)
    assert len([at for at, server, _ in shards.lists if server == ONE]) == 11


@in_virtual_time
async def test_a_shard_that_is_gone_is_not_asked_and_nothing_there_is_written_to() -> None:
    shards = two_shards()
    async with listing(shards) as running:
        shards.slices = [slice_(ONE)]
        await asyncio.sleep(EVERY_SECONDS + 1)
        assert running.export.of(TEAM_A) == NOT_BOUND


@in_virtual_time
async def test_every_page_of_the_bindings_is_read() -> None:
    shards = two_shards()
    shards.page = 2
    shards.bindings[ONE] = [binding(f"w{number}", f"root:w{number}") for number in range(5)]
    async with listing(shards) as running:
        assert address(running.export.of("root:w4")) == (ONE, "w4")
    assert [start for _, server, start in shards.lists if server == ONE] == ["0", "2", "4"]


@in_virtual_time
async def test_a_path_that_two_workspaces_have_leads_to_neither() -> None:
    shards = two_shards()
    shards.bindings[TWO].append(binding("another", SHOP))
    async with listing(shards) as running:
        assert running.export.of(SHOP) == NOT_BOUND
        assert address(running.export.of(SHOP_NAME)) == (ONE, SHOP_NAME)


@in_virtual_time
async def test_patterns_narrow_what_is_bound_by_path_or_logical_name() -> None:
    async with listing(two_shards(), SHOP) as running:
        assert address(running.export.of(SHOP_NAME)) == (ONE, SHOP_NAME)
        assert running.export.of(TEAM_A) == NOT_ALLOWED
        assert running.export.of(TEAM_NAME) == NOT_ALLOWED
        running.export.apply([TEAM_NAME])
        assert running.export.of(SHOP) == NOT_ALLOWED
        assert address(running.export.of(TEAM_NAME)) == (TWO, TEAM_NAME)


@in_virtual_time
async def test_an_endpoint_without_tls_is_given_no_token() -> None:
    shards = two_shards()
    shards.slices = [slice_("http://one")]
    async with listing(shards) as running:
        found = running.export.of(SHOP)
        assert isinstance(found, Answer)
        assert "http://one is not served as https://kcp is" in found.reason


@asynccontextmanager
async def publishing(running: Running) -> AsyncIterator[Publisher]:
    publisher = Publisher(Delivery(running.export), now=lambda: NOW)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(publisher.run())
        yield publisher
        task.cancel()


@in_virtual_time
async def test_a_403_just_after_binding_is_tried_again_soon_and_later_is_a_refusal() -> None:
    shards = two_shards()
    refused = shards.kcp[ONE]
    refused.faults.extend([FORBIDDEN] * 3)
    async with listing(shards) as running, publishing(running) as publisher:
        publisher.offer([write()])
        assert await publisher.drain()
        assert asyncio.get_running_loop().time() < AGAIN_SECONDS
        await asyncio.sleep(NEW_SECONDS)
        refused.faults.append(FORBIDDEN)
        publisher.offer([write(total=2)])
        assert await publisher.drain()
        assert [outcome.version for outcome in publisher.take_outcomes()] == [1]


@in_virtual_time
async def test_what_waits_for_a_binding_is_written_as_soon_as_it_is_there() -> None:
    shards = two_shards()
    shop = shards.bindings[ONE]
    shards.bindings[ONE] = []
    export = Export(Shard(PROVIDER, shards), "events")
    publisher = Publisher(Delivery(export), now=lambda: NOW)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in (publisher.run(), export.run(publisher.appeared))]
        publisher.offer([write()])
        await asyncio.sleep(1)
        shards.bindings[ONE] = shop
        await asyncio.sleep(2 * AGAIN_SECONDS)
        assert [outcome.result for outcome in publisher.take_outcomes()] == [Result.WRITTEN]
        for task in tasks:
            task.cancel()
    assert [path.split("/")[2] for path in shards.kcp[ONE].objects] == [SHOP_NAME]
