"""Where a Pod ran when something happened to it, by what was told before."""

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.schema import HAPPENINGS, OCCURRENCES, PODS
from batcher.stages.host import host, host_later, learn, outdated, sightings
from tests.stages.rows import at, frame

POD = {"cluster_uid": "u", "regarding_kind": "Pod", "regarding_namespace": "shop", "regarding_name": "web", "grew": 1}
KNOWN = {"cluster_uid": "u", "namespace": "shop", "name": "web", "node": "n1", "position": 1, "hour_at": at(0)}


def seen(**said: Any) -> list[tuple[str, str]]:
    return sightings(frame(OCCURRENCES, [POD | said])).collect().select("name", "node").rows()


def test_a_kubelet_says_where_its_pods_are_and_the_scheduler_where_it_put_them() -> None:
    assert seen(component="kubelet", host="n1") == [("web", "n1")]
    assert seen(reason="Scheduled", message="Successfully assigned shop/web to n2") == [("web", "n2")]
    assert seen(reason="Other", message="Successfully assigned shop/web to n2") == []
    assert seen(component="node-controller", host="n1") == []
    assert seen(component="kubelet", host="") == []
    assert seen(component="kubelet", host="n1", grew=0) == []
    assert seen(component="kubelet", host="n1", regarding_kind="Node") == []


def hosts(rows: list[dict[str, Any]], known: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[str]:
    happened = frame(
        HAPPENINGS, rows, cluster_uid="u", regarding_kind="Pod", regarding_namespace="shop", regarding_name="web"
    )
    found = host(happened, frame(PODS, known), frame(PODS, told)).collect()
    assert found.schema == HAPPENINGS
    return found.sort("position")["node"].to_list()


def test_a_pod_is_on_the_node_that_was_told_last_before_the_row() -> None:
    later = KNOWN | {"node": "n2", "position": 5}
    rows = [{"position": position} for position in (0, 3, 5, 9)]
    assert hosts(rows, [KNOWN], [later]) == ["", "n1", "n2", "n2"]
    assert hosts(rows, [], [later, KNOWN]) == ["", "n1", "n2", "n2"]


def test_a_row_that_says_its_node_keeps_it_and_one_about_something_else_has_none() -> None:
    rows = [
        {"position": 3, "node": "own"},
        {"position": 4, "regarding_kind": "Job"},
        {"position": 5, "cluster_uid": "v"},
    ]
    assert hosts(rows, [KNOWN], []) == ["own", "", ""]


def test_what_was_told_more_than_a_day_ago_says_nothing() -> None:
    assert hosts([{"position": 3, "received_at": at(24 * 60 + 59)}], [KNOWN], []) == ["n1"]
    assert hosts([{"position": 3, "received_at": at(25 * 60)}], [KNOWN], []) == [""]


def test_the_state_learns_a_pod_that_is_new_or_elsewhere_or_was_not_told_of_in_the_hour() -> None:
    def learned(**said: Any) -> list[tuple[str, Any]]:
        told = learn(frame(PODS, [KNOWN]), frame(PODS, [KNOWN | {"position": 7} | said])).collect()
        assert told.schema == PODS
        return told.select("node", "hour_at").rows()

    assert learned() == []
    assert learned(node="n2") == [("n2", at(0))]
    assert learned(hour_at=at(60)) == [("n1", at(60))]
    assert learned(name="api") == [("n1", at(0))]


def test_what_is_older_than_a_day_or_beyond_the_most_is_forgotten() -> None:
    known = frame(PODS, [KNOWN, KNOWN | {"name": "new", "hour_at": at(60)}])
    assert outdated(known, at(25 * 60)).collect()["name"].to_list() == ["web"]
    assert outdated(known, at(24 * 60 + 59)).collect().is_empty()


moves = st.lists(st.tuples(st.sampled_from(["web", "api"]), st.sampled_from(["n1", "n2"])), max_size=8)


stories = settings(max_examples=max(5, settings().max_examples // 5))  # a story is many frames


@stories
@given(moves, st.integers(0, 8), st.randoms(use_true_random=False))
def test_the_state_holds_where_each_pod_was_told_last_wherever_a_batch_is_cut(
    told: list[tuple[str, str]], cut: int, chance: Any
) -> None:
    rows = [KNOWN | {"name": name, "node": node, "position": n} for n, (name, node) in enumerate(told)]
    first, second = (chance.sample(part, len(part)) for part in (rows[:cut], rows[cut:]))
    known = learn(frame(PODS, []), frame(PODS, first))
    changed = learn(known, frame(PODS, second))
    whole = pl.concat([known.join(changed, on=["name"], how="anti"), changed]).collect()
    assert dict(whole.select("name", "node").iter_rows()) == dict(told)


def later(row: dict[str, Any], *told: dict[str, Any]) -> list[str]:
    usual = {"cluster_uid": "u", "regarding_kind": "Pod", "regarding_namespace": "shop", "regarding_name": "web"}
    lost = usual | {"position": 3, "due_at": at(9)} | row
    every = frame(HAPPENINGS, [lost, *(usual | each for each in told)])
    found = host_later(frame(HAPPENINGS, [lost]), every).collect()
    assert found.schema == HAPPENINGS
    return found["node"].to_list()


def test_where_nothing_was_told_before_the_next_that_is_told_in_time_says_it() -> None:
    told = {"position": 5, "node": "n1", "received_at": at(9)}
    assert later({}, told) == ["n1"]
    assert later({}, {"position": 9, "node": "n2"}, told) == ["n1"]
    assert later({"node": "own"}, told) == ["own"]
    assert later({}, told | {"received_at": at(9.1)}) == [""]
    assert later({}, told | {"position": 2}) == [""]
    assert later({}, told | {"regarding_name": "other"}) == [""]
    assert later({"regarding_kind": "Job"}, told | {"regarding_kind": "Job"}) == [""]
