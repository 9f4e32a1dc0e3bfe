"""The promises of a watch, by the numbers of the list in tests/watch/README.md."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from batcher.sandbox import Answer, Chunking, Cluster, Compacted
from batcher.spool import Kind, Section, Stream
from tests.virtual_time import in_virtual_time
from tests.watch.watched import Sink, Watched, sandboxed, watched, watching


def heard(w: Watched, *names: str) -> bool:
    return set(names) <= {name for _, name, _ in w.sink.delivered()}


def error(code: int, reason: str) -> bytes:
    status = f'{{"kind":"Status","status":"Failure","reason":"{reason}","code":{code}}}'
    return f'{{"type":"ERROR","object":{status}}}\n'.encode()


@in_virtual_time
async def test_01_an_event_made_between_list_and_watch_appears_once(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.until(lambda: Kind.LIST_COMPLETE in w.sink.kinds())
        w.event("between")
        await w.until(lambda: heard(w, "between"))
        assert w.sink.delivered() == [("ADDED", "between", 1)]


@in_virtual_time
async def test_03_a_clean_end_resumes_and_delivers_nothing_twice(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("a")
        await w.until(lambda: heard(w, "a"))
        await asyncio.sleep(5)  # one that ends at once with nothing counts as expired
        w.cluster.faults = replace(w.cluster.faults, ends=1)
        await w.until(lambda: Kind.CONTACT in w.sink.kinds(), 5)
        w.event("b")
        await w.until(lambda: heard(w, "b"))
        assert [name for _, name, _ in w.sink.delivered()] == ["a", "b"]
        assert w.status.lists == 1


@in_virtual_time
async def test_what_comes_a_line_at_a_time_is_spooled_some_lines_at_a_time(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.cluster.faults = replace(w.cluster.faults, chunking=Chunking.LINE)
        await w.until(lambda: Kind.LIST_COMPLETE in w.sink.kinds())
        for number in range(50):
            w.event(f"e{number}")
            await asyncio.sleep(0.01)
        await w.until(lambda: heard(w, "e49"))
        assert [name for _, name, _ in w.sink.delivered()] == [f"e{number}" for number in range(50)]
        assert w.sink.kinds().count(Kind.WATCHED) < 15


@pytest.mark.parametrize("how", list(Compacted), ids=str)
def test_04_05_a_version_that_is_too_old_is_listed_again_and_nothing_is_lost(tmp_path: Path, how: Compacted) -> None:
    @in_virtual_time
    async def promise() -> None:
        async with watched(tmp_path) as w:
            w.event("a")
            await w.until(lambda: heard(w, "a"))
            w.cluster.faults = replace(w.cluster.faults, compacted=how, ends=1, drop=frozenset({"watch"}))
            await w.until(lambda: w.status.phase == "waiting")
            w.event("b")
            w.cluster.compact()
            w.cluster.faults = replace(w.cluster.faults, drop=frozenset())
            await w.until(lambda: heard(w, "b"))
            assert ("LISTED", "b", 1) in w.sink.delivered()
            w.event("c")
            await w.until(lambda: heard(w, "c"))

    promise()


@pytest.mark.parametrize("how", list(Compacted), ids=str)
def test_04_05_one_answer_that_says_expired_is_enough_for_a_list(tmp_path: Path, how: Compacted) -> None:
    @in_virtual_time
    async def promise() -> None:
        async with sandboxed(tmp_path) as cluster:
            cluster.faults = replace(cluster.faults, compacted=how)
            sink = Sink([Section(Stream(cluster.uid, "events"), "us-west1", Kind.CURSOR, "1")])
            cluster.compact()
            async with watching(cluster, tmp_path, sink=sink) as w:
                await w.until(lambda: w.status.lists == 1)
                assert w.status.restarts == 1

    promise()


@pytest.mark.parametrize(
    "line",
    [error(500, "InternalError"), b'{"type":"ERROR","object":{"kind":"Status"}}\n', b'{"type":"ERROR","object":{}}\n',
     b'{"kind":"Status","status":"Failure","message":"resourceVersion: Invalid value","code":500}\n'],
    ids=["500", "no-code", "empty", "not-wrapped"],
)  # fmt: skip
def test_06_07_an_error_in_the_stream_is_no_event_and_the_watch_goes_on(tmp_path: Path, line: bytes) -> None:
    @in_virtual_time
    async def promise() -> None:
        async with watched(tmp_path) as w:
            w.event("a")
            await w.until(lambda: heard(w, "a"))
            w.cluster.faults = replace(w.cluster.faults, inserts=(line,))
            w.event("b")
            w.event("c")
            await w.until(lambda: heard(w, "b", "c"))
            assert w.sink.refused() == []
            assert w.status.restarts == 1

    promise()


@in_virtual_time
async def test_08_a_server_that_refuses_for_minutes_is_asked_less_than_once_a_second_and_recovers(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path) as w:
        await w.until(lambda: w.status.phase == "connected")
        refusals = tuple(Answer(code, verb, times=1000) for code in (429, 503) for verb in ("watch", "list"))
        w.cluster.faults = replace(w.cluster.faults, answers=refusals, ends=1)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(600)
        assert 10 < w.status.restarts < asyncio.get_running_loop().time() - began
        w.cluster.faults = replace(w.cluster.faults, answers=())
        w.event("after")
        await w.until(lambda: heard(w, "after"), 120)


@in_virtual_time
async def test_08_retry_after_is_waited_for(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.until(lambda: w.status.phase == "connected")
        w.cluster.faults = replace(w.cluster.faults, answers=(Answer(429, "watch", retry_after=90),), ends=1)
        await w.until(lambda: w.status.phase == "waiting")
        began = asyncio.get_running_loop().time()
        await w.until(lambda: w.status.phase == "connected")
        assert asyncio.get_running_loop().time() - began >= 89


@in_virtual_time
async def test_09_a_token_that_was_rotated_is_read_again_and_nothing_is_lost(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.until(lambda: w.status.phase == "connected")
        old = next(iter(w.cluster.identities))
        w.cluster.identities["rotated"] = w.cluster.identities.pop(old)
        w.cluster.faults = replace(w.cluster.faults, ends=1)
        w.event("while-nobody-may-look")
        await w.until(lambda: "401" in w.status.last_error)
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(kubeconfig.read_text().replace(old, "rotated"))
        await w.until(lambda: heard(w, "while-nobody-may-look"), 120)


@in_virtual_time
async def test_10_what_is_forbidden_is_reported_tried_slowly_and_works_once_it_is_allowed(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.until(lambda: w.status.phase == "connected")
        w.cluster.faults = replace(w.cluster.faults, answers=(Answer(403, "watch", times=20),), ends=1)
        await w.until(lambda: "403" in w.status.last_error)
        before = w.status.restarts
        await asyncio.sleep(300)
        assert w.status.restarts - before <= 11
        w.cluster.faults = replace(w.cluster.faults, answers=())
        w.event("allowed")
        await w.until(lambda: heard(w, "allowed"), 120)


@in_virtual_time
async def test_11_a_half_open_connection_is_noticed_by_the_deadline(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("a")
        await w.heard("a")
        w.cluster.faults = replace(w.cluster.faults, stall=frozenset({"watch"}))
        w.event("b")
        await w.until(lambda: len(w.watches()) == 2, 290 + 15 + 1)
        w.cluster.faults = replace(w.cluster.faults, stall=frozenset())
        await w.heard("b", seconds=60)


@in_virtual_time
async def test_12_slow_headers_only_make_it_late(tmp_path: Path) -> None:
    def slow(cluster: Cluster) -> None:
        cluster.faults = replace(cluster.faults, slow_headers=timedelta(seconds=20))

    async with watched(tmp_path, before=slow) as w:
        w.event("late")
        await w.until(lambda: heard(w, "late"), 120)
        assert w.status.restarts == 0


@pytest.mark.parametrize("chunking", list(Chunking), ids=str)
def test_13_15_lines_are_whole_wherever_chunks_are_cut(tmp_path: Path, chunking: Chunking) -> None:
    @in_virtual_time
    async def promise() -> None:
        async with watched(tmp_path) as w:
            await w.until(lambda: w.status.phase == "connected")
            w.cluster.faults = replace(w.cluster.faults, chunking=chunking)
            for name in ("a", "ünïcödé-☃", "c"):
                w.event(name)
            await w.until(lambda: heard(w, "a", "ünïcödé-☃", "c"))
            assert [name for _, name, _ in w.sink.delivered()] == ["a", "ünïcödé-☃", "c"]

    promise()


@in_virtual_time
async def test_13_a_reset_in_the_middle_of_a_line_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("a")
        await w.until(lambda: heard(w, "a"))
        w.cluster.faults = replace(w.cluster.faults, resets=1)
        w.event("b")
        await w.until(lambda: heard(w, "b"))
        assert [name for _, name, _ in w.sink.delivered()] == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    [b"<html>bad gateway</html>\n", b'{"type":"ADDED","object":{"metadata":{"name":"x"}}}\n', b'{"type":"ADDED"\n',
     b"\xff\xfe\n"],
    ids=["html", "no-version", "cut", "not-utf8"],
)  # fmt: skip
def test_14_the_cursor_does_not_pass_a_corrupt_line_and_its_bytes_are_kept(tmp_path: Path, line: bytes) -> None:
    @in_virtual_time
    async def promise() -> None:
        async with watched(tmp_path) as w:
            w.event("a")
            await w.until(lambda: heard(w, "a"))
            good = w.sink.cursor()
            w.cluster.faults = replace(w.cluster.faults, inserts=(line,))
            w.event("b")
            await w.until(lambda: bool(w.sink.refused()))
            before = w.sink.sections[: w.sink.kinds().index(Kind.REFUSED)]
            assert max((s.cursor for s in before if s.cursor), key=int) in {good, str(w.cluster.latest_revision)}
            await w.until(lambda: ("LISTED", "b", 1) in w.sink.delivered())
            assert [body for body, _ in w.sink.refused()] == [line]

    promise()


@in_virtual_time
async def test_15_a_line_of_ten_mebibytes_is_refused_with_its_beginning_kept(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("a")
        await w.until(lambda: heard(w, "a"))
        w.cluster.faults = replace(w.cluster.faults, inserts=(b"x" * (10 * 2**20) + b"\n",))
        w.event("b")
        await w.until(lambda: bool(w.sink.refused()))
        ((body, note),) = w.sink.refused()
        assert (len(body), note) == (64 * 1024 + 1, "longer than 4194304 bytes")
        await w.until(lambda: heard(w, "b"))


@in_virtual_time
async def test_16_a_bookmark_moves_the_cursor(tmp_path: Path) -> None:
    bookmark = b'{"type":"BOOKMARK","object":{"kind":"Event","metadata":{"resourceVersion":"4711"}}}\n'
    async with watched(tmp_path) as w:
        await w.until(lambda: w.status.phase == "connected")
        w.cluster.faults = replace(w.cluster.faults, inserts=(bookmark,))
        await w.until(lambda: w.sink.cursor() == "4711")


@in_virtual_time
async def test_18_a_restart_resumes_from_its_cursor_without_a_list(tmp_path: Path) -> None:
    async with watched(tmp_path, cursors={"events": "2"}) as w:
        w.event("a")
        await w.until(lambda: heard(w, "a"))
        assert (w.status.lists, w.sink.delivered()) == (0, [("ADDED", "a", 1)])


@in_virtual_time
async def test_20_unknown_types_and_odd_objects_are_passed_on_and_stop_nothing(tmp_path: Path) -> None:
    odd = b'{"type":"SURPRISE","object":{"metadata":{"resourceVersion":"9"},"count":1e400,"new":{"field":[1]}}}\n'
    async with watched(tmp_path) as w:
        await w.until(lambda: w.status.phase == "connected")
        w.cluster.faults = replace(w.cluster.faults, inserts=(odd.replace(b"1e400", b"1"),))
        w.event("a")
        await w.until(lambda: heard(w, "a"))
        assert ("SURPRISE", "", 1) in w.sink.delivered()
        assert w.sink.refused() == []


@in_virtual_time
async def test_22_a_count_that_jumps_while_nobody_listens_comes_with_its_newest_value(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.event("a")
        await w.until(lambda: heard(w, "a"))
        w.cluster.faults = replace(w.cluster.faults, drop=frozenset({"watch"}), ends=1)
        await w.until(lambda: w.status.phase == "waiting")
        for count in range(2, 51):
            w.event("a", count)
        w.cluster.compact()
        w.cluster.faults = replace(w.cluster.faults, drop=frozenset())
        await w.until(lambda: ("LISTED", "a", 50) in w.sink.delivered())


@in_virtual_time
async def test_31_a_quiet_hour_is_contacts_and_not_a_gap(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.until(lambda: w.status.phase == "connected")
        await asyncio.sleep(3600)
        assert 50 <= w.sink.kinds().count(Kind.CONTACT) <= 90
        assert (w.status.phase, w.status.restarts) == ("connected", 0)
