"""How fast a workspace is written to, and what comes first. In virtual time."""

import asyncio

import pytest

from batcher.publish.budget import Budget
from tests.publish.kcp import TEAM_A, Fault, Kcp, publishing, write
from tests.virtual_time import in_virtual_time

BATCH_SECONDS = 5.0


@pytest.mark.parametrize(
    ("per_second", "times"),
    [(4, [0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]), (0.5, [0, 2, 4])],
    ids=["a-second-of-writes", "less-than-one-a-second"],
)
@in_virtual_time
async def test_a_second_of_writes_but_at_least_one_goes_at_once_and_the_others_at_the_rate(
    per_second: float, times: list[float]
) -> None:
    kcp = Kcp()
    async with publishing(kcp, per_second=per_second) as publisher:
        publisher.offer(write(f"web.{n}") for n in range(len(times)))
        assert await publisher.drain()
    assert kcp.times("") == times


@in_virtual_time
async def test_telling_everything_fills_no_bucket() -> None:
    kcp = Kcp()
    async with publishing(kcp, per_second=1) as publisher:
        for total in (1, 2, 3):
            publisher.offer([write(total=total)])
            assert await publisher.drain()
    assert kcp.times("") == [0, 1, 2]


@in_virtual_time
async def test_a_changed_rate_holds_for_what_waits() -> None:
    kcp = Kcp()
    async with publishing(kcp, per_second=1) as publisher:
        publisher.offer(write(f"web.{n}") for n in range(4))
        await asyncio.sleep(0.5)
        publisher.pace(2)
        assert await publisher.drain()
    assert kcp.times("") == [0, 1, 1.0, 1.5]


@in_virtual_time
async def test_a_flood_in_one_workspace_delays_the_first_write_of_another_by_less_than_two_batches() -> None:
    kcp = Kcp(latency=0.01)
    async with publishing(kcp, per_second=20) as publisher:
        publisher.offer(write(f"web.{n}") for n in range(5000))
        await asyncio.sleep(BATCH_SECONDS)
        publisher.offer(write(f"web.{n}", total=2) for n in range(5000))
        publisher.offer([write(workspace=TEAM_A)])
        await asyncio.sleep(BATCH_SECONDS)
    assert kcp.times(TEAM_A) == pytest.approx([BATCH_SECONDS])
    assert len(kcp.asked) <= 20 + 10 * 20 + 1


@in_virtual_time
async def test_what_a_workspace_does_not_have_yet_comes_before_newer_totals() -> None:
    kcp = Kcp()
    async with publishing(kcp, per_second=1) as publisher:
        publisher.offer(write(f"web.{n}", total=2, known="7") for n in range(20))
        await asyncio.sleep(2.5)
        publisher.offer([write("web.first")])
        await asyncio.sleep(0.6)
        assert "web.first" in kcp.told
        assert publisher.status.pending == 17


@in_virtual_time
async def test_a_first_write_that_fails_for_ever_keeps_no_newer_totals_back() -> None:
    kcp = Kcp(lasting={"/poison/": Fault(500)})
    async with publishing(kcp) as publisher:
        publisher.offer([write("web.0", namespace="poison"), *(write(f"web.{n}", known="7") for n in range(1, 20))])
        await asyncio.sleep(1)
        assert len(kcp.told) == 19


def test_a_workspace_that_was_left_alone_costs_nothing() -> None:
    budget = Budget(1)
    budget.spend("root:shop", 10)
    budget.forget(10.5)
    assert len(budget) == 1
    budget.forget(11)
    assert len(budget) == 0
