"""Lists that are interrupted, too large, or not what they should be."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from batcher.sandbox import Answer, Cluster
from batcher.sandbox.resources import EVENTS
from batcher.spool import Kind
from batcher.watch import listing
from tests.virtual_time import in_virtual_time
from tests.watch.watched import sandboxed, watched, watching


def filled(number: int) -> list[str]:
    return [f"e{index:04}" for index in range(number)]


def fill(cluster: Cluster, number: int, size: int = 1) -> None:
    for name in filled(number):
        cluster.create_event({"metadata": {"name": name, "namespace": "web"}, "message": "x" * size})


@in_virtual_time
async def test_02_a_continue_token_that_expired_restarts_the_list_and_nothing_is_lost(tmp_path: Path) -> None:
    def compact_between_pages(_: str, params: Mapping[str, str]) -> None:
        if "continue" in params and not compacted:
            cluster.create_event({"metadata": {"name": "during", "namespace": "web"}})
            cluster.compact()
            compacted.append(True)

    compacted: list[bool] = []
    async with sandboxed(tmp_path, lambda cluster: fill(cluster, 1200)) as cluster:
        async with watching(cluster, tmp_path, on_ask=compact_between_pages) as w:
            await w.connected()
        assert w.status.restarts == 1
        assert set(w.sink.names()) == {"during", *filled(1200)}
        assert w.sink.kinds().count(Kind.LIST_COMPLETE) == 1
        assert w.status.lists == 2


@in_virtual_time
async def test_the_cursor_moves_behind_the_last_page_and_not_before(tmp_path: Path) -> None:
    async with watched(tmp_path, before=lambda cluster: fill(cluster, 1200)) as w:
        await w.connected()
        listed = [section for section in w.sink.sections if section.kind is Kind.LISTED]
        assert [section.cursor for section in listed] == [None] * len(listed)
        assert w.sink.sections[len(listed)].kind is Kind.LIST_COMPLETE
        assert int(w.sink.cursor()) == w.cluster.latest_revision


@in_virtual_time
async def test_a_page_that_is_too_large_is_asked_for_again_with_half_as_many_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_BYTES", 100_000)
    async with watched(tmp_path, before=lambda cluster: fill(cluster, 300, size=1000)) as w:
        await w.connected()
        limits = [int(params["limit"]) for path, params in w.asked if "limit" in params and path.endswith("/events")]
        assert limits[:4] == [500, 250, 125, 62]
        assert w.sink.names() == filled(300)
        assert w.status.restarts == 0


@in_virtual_time
async def test_an_object_that_is_too_large_is_refused_by_its_key_and_the_list_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LONGEST_LINE", 5000)

    def before(cluster: Cluster) -> None:
        fill(cluster, 3)
        cluster.put_raw(EVENTS, "web", "huge", {"metadata": {"name": "huge", "uid": "u"}, "message": "x" * 5000})

    async with watched(tmp_path, before=before) as w:
        await w.connected()
        assert w.sink.names() == filled(3)
        ((body, note),) = w.sink.refused()
        assert msgspec.json.decode(body)["metadata"]["name"] == "huge"
        assert note == "longer than 5000 bytes"
        assert w.status.restarts == 0


@in_virtual_time
async def test_a_list_that_is_refused_half_way_begins_again_and_nothing_is_lost(tmp_path: Path) -> None:
    def refuse_third(_: str, params: Mapping[str, str]) -> None:
        if "continue" in params and not refused:
            cluster.faults = replace(cluster.faults, answers=(Answer(500, "list"),))
            refused.append(True)

    refused: list[bool] = []
    async with sandboxed(tmp_path, lambda cluster: fill(cluster, 1200)) as cluster:
        async with watching(cluster, tmp_path, on_ask=refuse_third) as w:
            await w.connected()
        assert set(w.sink.names()) == set(filled(1200))
        assert w.status.restarts == 1
