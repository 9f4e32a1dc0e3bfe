"""When writes are sent, what becomes of them, and who waits for whom. In virtual time."""

import asyncio

import msgspec
import pytest

from batcher.publish import Outcome, Result
from batcher.publish.publisher import Publisher
from tests.publish.kcp import (
    AWAY,
    FORBIDDEN,
    INVALID,
    LOST,
    SHOP,
    TEAM_A,
    UNREACHED,
    Fault,
    Kcp,
    publishing,
    where,
    write,
)
from tests.virtual_time import in_virtual_time

AT = 1_795_449_600_000_000
"""2026-11-23T16:00Z in microseconds."""


def ends(publisher: Publisher) -> list[tuple[str, int, Result, str]]:
    return [(o.summary, o.version, o.result, o.reason) for o in publisher.take_outcomes()]


def written(name: str = "web.1", version: int = 1, workspace: str = SHOP) -> tuple[str, int, Result, str]:
    return (f"{workspace}/{name}", version, Result.WRITTEN, "")


@in_virtual_time
async def test_an_outcome_says_which_version_was_written_as_what_and_when() -> None:
    async with publishing(Kcp()) as publisher:
        publisher.offer([write(total=3, version=7)])
        assert await publisher.drain()
        assert publisher.take_outcomes() == [Outcome("root:shop/web.1", 7, Result.WRITTEN, "101", "", AT)]
        assert publisher.take_outcomes() == []


@in_virtual_time
async def test_an_update_uses_the_last_outcomes_resource_version_before_the_state_has_it() -> None:
    kcp = Kcp()
    async with publishing(kcp) as publisher:
        for total in (1, 2, 3):
            publisher.offer([write(total=total, known="7" if total == 3 else None)])
            await publisher.drain()
    assert kcp.sent() == [("POST", None), ("PUT", "101"), ("PUT", "102")]


@in_virtual_time
async def test_a_restarted_publisher_uses_the_resource_version_of_the_state() -> None:
    kcp = Kcp()
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=1)])
        await publisher.drain()
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=2, known="101")])
        await publisher.drain()
    assert kcp.sent() == [("POST", None), ("PUT", "101")]


@in_virtual_time
async def test_a_version_that_is_written_is_not_sent_again_while_the_state_does_not_know() -> None:
    kcp = Kcp()
    async with publishing(kcp) as publisher:
        for _ in range(3):
            publisher.offer([write(total=3)])
            await publisher.drain()
        assert ends(publisher) == [written(version=3)]
    assert kcp.sent() == [("POST", None)]


@pytest.mark.parametrize("fault", [LOST, UNREACHED, Fault(late=0.1), Fault(late=3.0)])
@pytest.mark.parametrize("totals", [[5], [5, 8]])
def test_an_answer_lost_before_or_after_the_server_did_it_ends_with_the_newest_totals_once(
    fault: Fault, totals: list[int]
) -> None:
    @in_virtual_time
    async def scenario() -> None:
        kcp = Kcp()
        async with publishing(kcp) as publisher:
            for total in totals:
                kcp.faults.append(fault)
                publisher.offer([write(total=total)])
                assert await publisher.drain()
            await asyncio.sleep(5)
            assert ends(publisher) == [written(version=total) for total in totals]
        assert kcp.totals == {where("web.1"): totals}

    scenario()


@in_virtual_time
async def test_the_newest_version_wins_over_those_that_waited() -> None:
    kcp = Kcp(latency=1.0)
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=1)])
        await asyncio.sleep(0.1)
        publisher.offer([write(total=2), write(total=4), write(total=3)])
        assert await publisher.drain()
        assert ends(publisher) == [written(version=1), written(version=4)]
    assert kcp.totals == {where("web.1"): [1, 4]}


@in_virtual_time
async def test_a_newer_version_replaces_one_that_is_tried_again() -> None:
    kcp = Kcp(latency=1.0)
    kcp.faults.append(AWAY)
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=1)])
        await asyncio.sleep(0.1)
        publisher.offer([write(total=2)])
        assert await publisher.drain()
        assert ends(publisher) == [written(version=2)]
    assert kcp.totals == {where("web.1"): [2]}


@in_virtual_time
async def test_one_request_is_in_flight_a_summary() -> None:
    kcp = Kcp(latency=1.0)
    async with publishing(kcp) as publisher:
        for total in range(1, 20):
            publisher.offer([write(total=total), write("web.2", total=total)])
            await asyncio.sleep(0.3)
        await publisher.drain()
    assert kcp.overlaps == []
    assert kcp.told == {"web.1": 19, "web.2": 19}


@in_virtual_time
async def test_a_version_in_flight_is_not_taken_twice() -> None:
    kcp = Kcp(latency=1.0)
    async with publishing(kcp) as publisher:
        publisher.offer([write()])
        await asyncio.sleep(0.1)
        publisher.offer([write()])
        assert publisher.status.pending == 1
        await publisher.drain()
    assert kcp.sent() == [("POST", None)]


@in_virtual_time
async def test_a_version_that_waits_is_in_flight_or_was_told_is_had_and_no_newer_one() -> None:
    kcp, had = Kcp(latency=1.0), []
    async with publishing(kcp) as publisher:
        assert not publisher.has(SHOP, "root:shop/web.1", 0)
        publisher.offer([write(total=2)])
        for _ in range(3):
            had.append([publisher.has(SHOP, "root:shop/web.1", version) for version in (1, 2, 3)])
            await asyncio.sleep(0.6)
        assert ends(publisher) == [written(version=2)]
        publisher.forget({SHOP})
        assert not publisher.has(SHOP, "root:shop/web.1", 2)
    assert had == [[True, True, False]] * 3


@in_virtual_time
async def test_what_waits_is_wanted_again_a_minute_after_it_was_offered() -> None:
    kcp, had = Kcp(), []
    kcp.lasting["/clusters/"] = AWAY
    async with publishing(kcp) as publisher:
        await asyncio.sleep(100)
        publisher.offer([write()])
        for seconds in (10, 45, 10, 10):
            await asyncio.sleep(seconds)
            had.append(publisher.has(SHOP, "root:shop/web.1", 1))
        publisher.offer([write()])
        had.append(publisher.has(SHOP, "root:shop/web.1", 1))
    assert had == [True, True, False, False, True]


@in_virtual_time
async def test_a_flood_in_one_workspace_delays_no_other() -> None:
    kcp = Kcp(latency=0.01)
    async with publishing(kcp) as publisher:
        publisher.offer(write(f"web.{n}") for n in range(1000))
        await asyncio.sleep(1)
        publisher.offer([write(workspace=TEAM_A)])
        await publisher.drain()
    assert kcp.times(TEAM_A) == [1.0]


@in_virtual_time
async def test_a_workspace_that_is_away_delays_no_other() -> None:
    kcp = Kcp(lasting={SHOP: AWAY})
    async with publishing(kcp) as publisher:
        publisher.offer([write(), write(workspace=TEAM_A)])
        await asyncio.sleep(60)
        publisher.offer([write(total=2), write(total=2, workspace=TEAM_A)])
        await asyncio.sleep(0.1)
        assert ends(publisher) == [written(workspace=TEAM_A), written(version=2, workspace=TEAM_A)]


@in_virtual_time
async def test_a_burst_of_503_backs_off_doubling_to_30_s_and_recovers() -> None:
    kcp = Kcp()
    kcp.faults.extend([AWAY] * 8)
    async with publishing(kcp) as publisher:
        publisher.offer([write()])
        assert await publisher.drain(200)
        publisher.offer([write(total=2)])
        kcp.faults.append(AWAY)
        assert await publisher.drain()
        assert ends(publisher) == [written(version=1), written(version=2)]
    assert kcp.times("") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5, 91.5, 92.0]


@in_virtual_time
async def test_a_success_ends_the_backing_off() -> None:
    kcp = Kcp()
    kcp.faults.extend([AWAY, AWAY, None, AWAY])
    async with publishing(kcp) as publisher:
        publisher.offer([write("web.1"), write("web.2")])
        await publisher.drain()
    assert kcp.times("") == [0, 0.5, 1.5, 1.5, 2.0]


@in_virtual_time
async def test_a_day_away_costs_at_most_two_requests_a_minute_and_then_one_a_summary() -> None:
    kcp = Kcp(lasting={"": AWAY})
    async with publishing(kcp) as publisher:
        publisher.offer(write(f"web.{n}") for n in range(1000))
        await asyncio.sleep(86_400)
        assert len(kcp.asked) <= 2_886
        kcp.lasting.clear()
        kcp.asked.clear()
        assert await publisher.drain(60)
        assert len(ends(publisher)) == 1000
    assert kcp.sent() == [("POST", None)] * 1000


@pytest.mark.parametrize(("retry_after", "second"), [("7", 7.0), ("0", 0.5), ("86400", 300.0), ("soon", 0.5)])
def test_retry_after_is_honoured_within_reason(retry_after: str, second: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        kcp = Kcp()
        kcp.faults.append(Fault(429, "TooManyRequests", retry_after))
        async with publishing(kcp) as publisher:
            publisher.offer([write(), write("web.2")])
            assert await publisher.drain(400)
        assert kcp.times("") == [0, second, second]

    scenario()


@in_virtual_time
async def test_a_workspace_that_is_not_allowed_is_never_contacted() -> None:
    kcp = Kcp()
    async with publishing(kcp, workspaces=[SHOP]) as publisher:
        publisher.offer([write(workspace=TEAM_A), write()])
        await publisher.drain()
        refused = ("root:team-a/web.1", 1, Result.REFUSED, "WorkspaceNotAllowed")
        assert ends(publisher) == [refused, written()]
    assert kcp.times(TEAM_A) == []


@in_virtual_time
async def test_what_has_no_address_is_refused_unsent() -> None:
    kcp = Kcp()
    async with publishing(kcp) as publisher:
        publisher.offer([write(".."), write(namespace=".."), write(workspace="*")])
        assert [reason for *_, reason in ends(publisher)] == ["NoAddress", "NoAddress", "NoAddress"]
        await publisher.drain()
    assert kcp.asked == []


@in_virtual_time
async def test_a_write_refused_for_good_gives_one_outcome() -> None:
    kcp = Kcp(lasting={"": INVALID})
    async with publishing(kcp) as publisher:
        for _ in range(3):
            publisher.offer([write()])
            assert await publisher.drain()
        assert ends(publisher) == [("root:shop/web.1", 1, Result.REFUSED, "Invalid")]
        assert publisher.status.refused == 1
    assert len(kcp.asked) == 1


@in_virtual_time
async def test_an_event_of_more_than_256_kib_is_refused_unsent() -> None:
    kcp = Kcp()
    async with publishing(kcp) as publisher:
        publisher.offer([write(message="x" * 262_144), write("web.2", message="x" * 261_000)])
        assert await publisher.drain()
        assert ends(publisher) == [("root:shop/web.1", 1, Result.REFUSED, "BodyTooLarge"), written("web.2")]
    assert kcp.sent() == [("POST", None)]


@in_virtual_time
async def test_newer_totals_of_a_refused_summary_are_tried() -> None:
    kcp = Kcp()
    kcp.faults.append(INVALID)
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=1)])
        await publisher.drain()
        publisher.offer([write(total=2)])
        await publisher.drain()
        assert ends(publisher) == [("root:shop/web.1", 1, Result.REFUSED, "Invalid"), written(version=2)]


@in_virtual_time
async def test_a_refusal_whose_cause_can_pass_is_tried_again_after_1_5_and_30_minutes() -> None:
    kcp = Kcp(lasting={"": FORBIDDEN})
    async with publishing(kcp) as publisher:
        publisher.offer([write()])
        await asyncio.sleep(2159)
        assert ends(publisher) == []
        await asyncio.sleep(2)
        assert ends(publisher) == [("root:shop/web.1", 1, Result.REFUSED, "Forbidden")]
        await asyncio.sleep(7200)
    assert kcp.times("") == [0, 60, 360, 2160]


@in_virtual_time
async def test_a_cause_that_passed_ends_in_a_write_of_the_newest_version() -> None:
    kcp = Kcp(lasting={"": FORBIDDEN})
    async with publishing(kcp) as publisher:
        for minute in range(4):
            publisher.offer([write(total=minute + 1)])
            await asyncio.sleep(60)
        kcp.lasting.clear()
        await asyncio.sleep(600)
        assert ends(publisher) == [written(version=4)]
    assert kcp.times("") == [0, 60, 360]


@in_virtual_time
async def test_a_version_that_came_during_the_refusal_waits_with_it() -> None:
    kcp = Kcp(lasting={"": FORBIDDEN}, latency=1.0)
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=1)])
        await asyncio.sleep(0.5)
        publisher.offer([write(total=2)])
        await asyncio.sleep(30)
        assert kcp.times("") == [0]
        kcp.lasting.clear()
        await asyncio.sleep(60)
        assert ends(publisher) == [written(version=2)]
    assert kcp.times("") == [0, 61]


@in_virtual_time
async def test_a_refused_summary_delays_no_other_of_its_workspace() -> None:
    kcp = Kcp(lasting={"/absent/": Fault(404, "NotFound")}, latency=0.01)
    async with publishing(kcp) as publisher:
        publisher.offer([write("web.1", namespace="absent"), write("web.2")])
        await asyncio.sleep(30)
        publisher.offer([write("web.3")])
        await asyncio.sleep(1)
        assert ends(publisher) == [written("web.2"), written("web.3")]
    assert kcp.times("/web/") == [0.01, 30.0]


@in_virtual_time
async def test_a_write_that_fails_for_ever_delays_no_other_for_ever() -> None:
    kcp = Kcp(lasting={"/poison/": Fault(500)})
    async with publishing(kcp) as publisher:
        publisher.offer([write("web.0", namespace="poison"), *(write(f"web.{n}") for n in range(1, 100))])
        await asyncio.sleep(1)
        assert len(ends(publisher)) == 99


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"metadata":{}}', b"null", b""])
def test_a_success_that_is_no_event_is_tried_again(content: bytes) -> None:
    @in_virtual_time
    async def scenario() -> None:
        kcp = Kcp()
        kcp.faults.append(Fault(200, content=content, done=True))
        async with publishing(kcp) as publisher:
            publisher.offer([write()])
            assert await publisher.drain()
            assert ends(publisher) == [written()]

    scenario()


class Broken(Kcp):
    """Fails in a way that no connection should."""

    def _fault(self, path: str) -> Fault | None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        if "/poison/" in path:
            message = "a bug"
            raise RuntimeError(message)
        return super()._fault(path)


@in_virtual_time
async def test_an_error_that_nobody_thought_of_ends_neither_the_worker_nor_the_service() -> None:
    async with publishing(Broken()) as publisher:
        publisher.offer([write("web.1", namespace="poison"), write("web.2"), write(workspace=TEAM_A)])
        assert not await publisher.drain(5)
        assert set(ends(publisher)) == {written("web.2"), written(workspace=TEAM_A)}
        assert publisher.status.last_error == "root:shop: RuntimeError: a bug"


@in_virtual_time
async def test_drain_returns_at_once_when_nothing_is_left() -> None:
    async with publishing(Kcp()) as publisher:
        assert await publisher.drain()
        assert asyncio.get_running_loop().time() == 0


@in_virtual_time
async def test_drain_returns_when_the_last_write_has_ended() -> None:
    kcp = Kcp(latency=1.0)
    async with publishing(kcp) as publisher:
        publisher.offer(write(f"web.{n}") for n in range(5))
        assert await publisher.drain()
        assert asyncio.get_running_loop().time() == 5.0
        assert len(kcp.told) == 5


@in_virtual_time
async def test_drain_waits_20_s_at_most_for_a_workspace_that_is_away() -> None:
    async with publishing(Kcp(lasting={SHOP: AWAY})) as publisher:
        publisher.offer([write()])
        assert not await publisher.drain()
        assert asyncio.get_running_loop().time() == 20.0


@in_virtual_time
async def test_drain_does_not_wait_for_what_waits_for_people() -> None:
    async with publishing(Kcp(lasting={SHOP: FORBIDDEN}, latency=1.0)) as publisher:
        publisher.offer([write(), write("web.2")])
        assert await publisher.drain()
        assert asyncio.get_running_loop().time() == 2.0
        assert publisher.status.pending == 2


@pytest.mark.parametrize("fault", [AWAY, FORBIDDEN])
def test_at_most_max_pending_writes_are_held_and_the_newest_of_those(fault: Fault) -> None:
    @in_virtual_time
    async def scenario() -> None:
        kcp = Kcp(lasting={"": fault})
        async with publishing(kcp, max_pending=10) as publisher:
            for total in range(1, 4):
                publisher.offer(write(f"web.{n}", total=total) for n in range(100))
                assert publisher.status.pending == 10
                await asyncio.sleep(5)
            kcp.lasting.clear()
            await asyncio.sleep(60)
        assert kcp.told == {f"web.{n}": 3 for n in range(10)}

    scenario()


@pytest.mark.parametrize("fault", [AWAY, FORBIDDEN])
def test_a_workspace_that_fills_all_the_room_gives_half_of_it_to_another(fault: Fault) -> None:
    @in_virtual_time
    async def scenario() -> None:
        kcp = Kcp(lasting={SHOP: fault})
        async with publishing(kcp, max_pending=11) as publisher:
            publisher.offer(write(f"web.{n}") for n in range(100))
            await asyncio.sleep(5)
            publisher.offer(write(f"web.{n}", workspace=TEAM_A) for n in range(100))
            assert publisher.status.pending == 11
            await asyncio.sleep(5)
            assert ends(publisher) == [written(f"web.{n}", workspace=TEAM_A) for n in range(5)]
            kcp.lasting.clear()
            await asyncio.sleep(60)
            assert len(ends(publisher)) == 6

    scenario()


@in_virtual_time
async def test_what_is_remembered_of_the_past_is_bounded_to_the_newest() -> None:
    kcp = Kcp()
    async with publishing(kcp, remembered=2) as publisher:
        for name, total in (("web.1", 1), ("web.2", 1), ("web.1", 2), ("web.3", 1), ("web.1", 2), ("web.2", 1)):
            publisher.offer([write(name, total)])
            await publisher.drain()
        assert len(ends(publisher)) == 5
    assert [method for method, _ in kcp.sent()] == ["POST", "POST", "PUT", "POST", "POST", "GET"]


@in_virtual_time
async def test_nothing_is_kept_of_a_workspace_that_was_told_everything() -> None:
    async with publishing(Kcp()) as publisher:
        publisher.offer(write(workspace=f"root:w{n}") for n in range(50))
        await publisher.drain()
        assert publisher._workspaces == {}
        publisher.offer([write(total=2, workspace="root:w1")])
        assert await publisher.drain()
        assert len(ends(publisher)) == 51


@in_virtual_time
async def test_the_status_tells_trouble_until_it_is_over() -> None:
    kcp = Kcp(latency=1.0)
    kcp.faults.extend([None, Fault(503, "ServiceUnavailable")])
    async with publishing(kcp) as publisher:
        publisher.offer([write(f"web.{n}", workspace=TEAM_A) for n in range(3)])
        publisher.offer([write(f"web.{n}") for n in range(3)])
        await asyncio.sleep(1.1)
        assert (publisher.status.pending, publisher.status.last_error) == (5, "root:shop: ServiceUnavailable")
        await asyncio.sleep(1.5)
        assert (publisher.status.pending, publisher.status.last_error) == (3, "")
        await publisher.drain()
        assert publisher.status.written == 6


@in_virtual_time
async def test_what_is_not_open_any_more_is_not_tried_again_even_if_it_was_in_flight() -> None:
    kcp = Kcp(latency=1.0, lasting={SHOP: AWAY})
    async with publishing(kcp) as publisher:
        publisher.offer([write("web.1"), write("web.2"), write("web.3")])
        await asyncio.sleep(0.1)
        publisher.keep({write("web.3").summary})
        await asyncio.sleep(0.6)
        kcp.lasting.clear()
        assert await publisher.drain(600)
        assert publisher.status.pending == 0
    assert set(kcp.told) == {"web.3"}


@pytest.mark.parametrize(
    ("known", "version", "restored"),
    [("9", "10", set()), ("10", "9", {SHOP}), ("10", "10", set()), ("1" * 5000, "2" * 4999, {SHOP}),
     (None, "1", set()), ("7", None, set()), ("7", "x", set()), ("x", "7", set())],
)  # fmt: skip
@in_virtual_time
async def test_a_resource_version_that_goes_back_says_that_kcp_was_restored(
    known: str | None, version: str | None, restored: set[str]
) -> None:
    answer = msgspec.json.encode(
        {"metadata": {"resourceVersion": version or "", "annotations": {}}, "involvedObject": {}, "message": ""}
    )
    kcp = Kcp(lasting={SHOP: Fault(200, content=answer)})
    async with publishing(kcp) as publisher:
        publisher.offer([write(known=known)])
        await publisher.drain()
        assert publisher.take_restored() == restored
        assert publisher.take_restored() == set()


@in_virtual_time
async def test_what_is_forgotten_is_taken_again_and_what_is_of_others_is_not() -> None:
    kcp = Kcp()
    async with publishing(kcp) as publisher:
        both = [write(), write(workspace=TEAM_A)]
        publisher.offer(both)
        await publisher.drain()
        publisher.forget([SHOP])
        publisher.offer(both)
        await publisher.drain()
    assert (len(kcp.times(SHOP)), len(kcp.times(TEAM_A))) == (3, 1)
