"""Where writes go: the most specific identity, the name that the workspace has now, and nowhere else."""

import asyncio
from typing import Any

import pytest

from batcher.publish import Delivery, Identities, Result, Way
from batcher.publish.answers import Answer, Meaning
from batcher.publish.targets import NOT_ALLOWED, Target
from tests.publish.kcp import FORBIDDEN, SHOP, TEAM_A, Fault, Kcp, publishing, where, write
from tests.virtual_time import in_virtual_time

LOGICAL = "9jspscp6nabehur5"


def who(targets: Identities, workspace: str) -> object:
    found = targets.of(workspace)
    return found.connection if isinstance(found, Target) else found


@in_virtual_time
async def test_the_most_specific_pattern_decides_who_writes_whatever_their_order() -> None:
    everyone, team, web = Kcp(), Kcp(), Kcp()
    ways = [Way("root:**", everyone), Way("root:team-*", team), Way("root:team-a:web", web)]
    for order in (ways, ways[::-1]):
        targets = Identities(order)
        assert who(targets, "root:team-a:web") is web
        assert who(targets, "root:team-a") is team
        assert who(targets, "root:team-a:db") is everyone
        assert who(targets, "other") == NOT_ALLOWED


@in_virtual_time
async def test_a_logical_name_is_written_to_by_the_identity_of_its_path_once_that_is_known() -> None:
    everyone, team = Kcp(), Kcp()
    targets = Identities([Way("**", everyone), Way(TEAM_A, team)])
    assert who(targets, LOGICAL) is everyone
    found = targets.of(TEAM_A)
    assert isinstance(found, Target)
    targets.heard(TEAM_A, found, Answer(Meaning.WRITTEN), LOGICAL)
    assert who(targets, LOGICAL) is team
    assert targets.name(LOGICAL) == TEAM_A


@in_virtual_time
async def test_an_answer_tells_the_logical_name_and_what_follows_is_sent_to_it_with_label_and_path() -> None:
    kcp = Kcp(names={SHOP: LOGICAL})
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=1)])
        await publisher.drain()
        publisher.offer([write(total=2)])
        await publisher.drain()
    assert [asked.path.split("/")[2] for asked in kcp.asked] == [SHOP, LOGICAL]
    stored = kcp.objects[where("web.1")]["metadata"]
    assert (stored["labels"]["kcp.io/workspace"], stored["annotations"]["kcp.io/workspace-path"]) == (LOGICAL, SHOP)


@in_virtual_time
async def test_a_workspace_made_anew_at_its_path_is_written_to_at_once() -> None:
    kcp = Kcp(names={SHOP: LOGICAL})
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=1)])
        await publisher.drain()
        kcp.lasting[f"/clusters/{LOGICAL}/"] = FORBIDDEN
        kcp.names[SHOP] = "another"
        publisher.offer([write(total=2), write("web.2")])
        assert await publisher.drain()
        assert [outcome.result for outcome in publisher.take_outcomes()] == [Result.WRITTEN] * 3
    assert kcp.objects[where("web.1")]["metadata"]["labels"]["kcp.io/workspace"] == "another"
    assert kcp.told == {"web.1": 2, "web.2": 1}


@in_virtual_time
async def test_what_is_no_logical_name_is_not_followed() -> None:
    kcp = Kcp(names={SHOP: "root:team-a"})
    async with publishing(kcp) as publisher:
        for total in (1, 2):
            publisher.offer([write(total=total)])
            await publisher.drain()
    assert kcp.times(TEAM_A) == []


@in_virtual_time
async def test_a_workspace_that_is_taken_out_of_the_settings_is_written_to_no_more() -> None:
    kcp = Kcp(names={SHOP: LOGICAL})
    targets = Identities([Way("root:*", kcp)])
    brought = [await Delivery(targets).bring(write(total=1), None)]
    targets.apply([Way(TEAM_A, kcp)])
    brought += [await Delivery(targets).bring(write(total=2), None)]
    brought += [await Delivery(targets).bring(write(total=2, workspace=LOGICAL), None)]
    assert [answer.reason for answer, _ in brought] == ["", "WorkspaceNotAllowed", "WorkspaceNotAllowed"]
    assert kcp.told == {"web.1": 1}


class Retired(Kcp):
    """Counts how often it was given up."""

    retired = 0

    async def retire(self) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        self.retired += 1


@in_virtual_time
async def test_an_identity_without_a_workspace_is_given_up_and_one_that_stays_is_not() -> None:
    stays, goes = Retired(), Retired()
    targets = Identities([Way(SHOP, stays), Way(TEAM_A, goes)])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(targets.run(lambda _: None))
        targets.apply([Way(SHOP, stays)])
        await asyncio.sleep(0.1)
        assert (stays.retired, goes.retired) == (0, 1)
        running.cancel()
    await targets.close()
    assert (stays.retired, goes.retired) == (1, 1)


@pytest.mark.parametrize("origin", [None, TEAM_A])
@in_virtual_time
async def test_an_event_that_is_told_elsewhere_names_the_workspace_it_is_about(origin: str | None) -> None:
    kcp = Kcp(names={SHOP: LOGICAL, TEAM_A: "teamalogical"})
    delivery = Delivery(Identities([Way("**", kcp)]))
    await delivery.bring(write(workspace=TEAM_A), None)
    told = write("elsewhere.1")
    annotations: dict[str, Any] = told.event["metadata"]["annotations"]
    annotations["batcher.kcp.io/regarding"] = "apps/v1/Deployment/shop/web"
    annotations |= {"kcp.io/workspace-path": origin} if origin else {}
    await delivery.bring(told, None)
    labels = kcp.objects[where("elsewhere.1")]["metadata"].get("labels", {})
    assert labels.get("kcp.io/workspace") == ("teamalogical" if origin else None)


@in_virtual_time
async def test_a_workspace_whose_names_are_both_written_to_has_one_budget() -> None:
    kcp = Kcp(names={SHOP: LOGICAL})
    async with publishing(kcp, per_second=1) as publisher:
        publisher.offer([write()])
        await publisher.drain()
        for number in range(2, 5):
            publisher.offer([write(f"web.{number}"), write(f"db.{number}", workspace=LOGICAL)])
        await publisher.drain()
    assert asyncio.get_running_loop().time() >= 5


@in_virtual_time
async def test_a_server_that_is_away_is_no_reason_to_forget_a_name() -> None:
    kcp = Kcp(names={SHOP: LOGICAL})
    async with publishing(kcp) as publisher:
        publisher.offer([write(total=1)])
        await publisher.drain()
        kcp.faults.append(Fault(503))
        publisher.offer([write(total=2)])
        await publisher.drain()
    assert [asked.path.split("/")[2] for asked in kcp.asked] == [SHOP, LOGICAL, LOGICAL]
