import asyncio

from batcher.publish.figures import Figures
from tests.publish.kcp import INVALID, SHOP, UNREACHED, Kcp, publishing, write
from tests.virtual_time import in_virtual_time


def test_writes_are_counted_by_how_long_they_took_and_refusals_by_reason() -> None:
    figures = Figures()
    for seconds in (0.05, 0.1, 0.2, 301.0):
        figures.written("root:shop", seconds)
    figures.refused("root:shop", "Invalid")
    figures.refused("root:shop", "Invalid")
    figures.refused("root:team-a", "NamespaceNotFound")
    shop = figures.all["root:shop"]
    assert shop.counts == [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert round(shop.seconds, 2) == 301.35
    assert shop.refusals == {"Invalid": 2}
    assert figures.all["root:team-a"].refusals == {"NamespaceNotFound": 1}


def test_what_is_beyond_the_bounds_of_the_labels_is_counted_under_one_name() -> None:
    figures = Figures()
    for number in range(203):
        figures.written(f"root:w{number}", 1.0)
    for number in range(23):
        figures.refused("root:w0", f"Reason{number}")
    assert len(figures.all) == 201
    assert sum(figures.all["other"].counts) == 3
    assert len(figures.all["root:w0"].refusals) == 21
    assert figures.all["root:w0"].refusals["other"] == 3


@in_virtual_time
async def test_a_write_took_from_when_its_summary_was_offered_to_the_yes_however_many_tries_that_needed() -> None:
    kcp = Kcp()
    async with publishing(kcp) as publisher:
        kcp.faults.append(UNREACHED)
        await asyncio.sleep(100)  # of virtual time: the loop's begins at zero
        publisher.offer([write(total=3)])
        publisher.offer([write(total=5)])
        assert await publisher.drain()
        figures = publisher.status.figures[SHOP]
    assert figures.counts == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert figures.seconds == 0.5


@in_virtual_time
async def test_a_refusal_for_good_is_counted_with_its_reason_and_is_no_write() -> None:
    kcp = Kcp()
    async with publishing(kcp) as publisher:
        kcp.faults.append(INVALID)
        publisher.offer([write(total=3)])
        assert await publisher.drain()
        figures = publisher.status.figures[SHOP]
    assert figures.refusals == {"Invalid": 1}
    assert sum(figures.counts) == 0
