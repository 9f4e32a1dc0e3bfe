"""What an archive says is related to a summary, and by what."""

from typing import Any

import polars as pl
import pytest

from batcher.archive.related import RELATED, related, rows_of
from batcher.schema import OCCURRENCES, SUMMARIES
from tests.stages.rows import at, frame

POD, OTHER = "web-7c5d8f9b6d-x2z4t", "api-64bf99cd7d-b4c5d"


def row(minute: float, reason: str, name: str = POD, kind: str = "Pod", **more: Any) -> dict[str, Any]:
    return {
        "position": int(minute * 1000), "received_at": at(minute), "last_at": at(minute), "grew": 1, "cluster_uid": "u",
        "reason": reason, "regarding_kind": kind, "regarding_name": name, "namespace": "shop", "component": "kubelet",
        "regarding_namespace": "" if kind == "Node" else "shop", "workspace": "root:shop",
    } | more  # fmt: skip


def summary(
    name: str, first: float, last: float, reason: str, kind: str, regarding: str, **more: Any
) -> dict[str, Any]:
    return {
        "summary": name, "began_at": at(first), "last_at": at(last), "first_seen": at(first), "last_seen": at(last),
        "reason": reason, "regarding_kind": kind, "regarding_name": regarding, "cluster_uid": "u", "cluster": "us",
        "namespace": "shop", "workspace": "root:shop", "occurrences": 2, "position": int(last * 1000),
    } | more  # fmt: skip


ASKED = summary("asked", 0, 5, "BackOff", "Deployment", "web")
ROWS = [row(0, "BackOff", host="n1"), row(5, "BackOff", message='Back-off pulling image "acme/base:1"', host="n1")]


def found(others: list[dict[str, Any]], rows: list[dict[str, Any]], asked: str = "asked") -> list[tuple[str, str]]:
    told = related(frame(SUMMARIES, [ASKED, *others]), frame(OCCURRENCES, [*ROWS, *rows]), summary=asked)
    assert told.schema == RELATED
    return told.select("summary", "by").rows()


@pytest.mark.parametrize(
    ("other", "it", "by"),
    [
        (row(2, "Killing"), ("Deployment", "web"), ["object", "owner"]),
        (row(2, "Unhealthy", "web-7c5d8f9b6d-b4c5d"), ("Deployment", "web"), ["owner"]),
        (row(2, "SuccessfulCreate", "web-7c5d8f9b6d", "ReplicaSet", message=f"Created pod: {POD}"),
         ("Deployment", "web"), ["related", "owner"]),
        (row(2, "NodeNotReady", "n1", "Node"), ("Node", "n1"), ["node"]),
        (row(2, "Unhealthy", OTHER, host="n1"), ("Deployment", "api"), ["node"]),
        (row(2, "Failed", OTHER, message='Failed to pull image "acme/base:1"'), ("Deployment", "api"), ["image"]),
        (row(2, "Failed", POD), ("Pod", POD), ["object", "owner"]),
        (row(2, "Failed", OTHER), ("Deployment", "api"), []),
        (row(2, "Unhealthy", POD, cluster_uid="v", host="n1"), ("Deployment", "web"), []),
        (row(2, "Killing", grew=0), ("Deployment", "web"), []),
        (row(2, "Killing", regarding_namespace="bank", namespace="bank"), ("Deployment", "web"), []),
    ],
)  # fmt: skip
def test_a_summary_is_related_by_what_both_are_about(other: dict[str, Any], it: tuple[str, str], by: list[str]) -> None:
    same = {name: other[name] for name in ("cluster_uid", "namespace")}
    assert found([summary("other", 2, 2, other["reason"], *it, **same)], [other]) == [("other", each) for each in by]


def test_volumes_relate_within_their_namespace() -> None:
    rows = [
        row(1, "BackOff", message='configmap "conf" not found'),
        row(2, "FailedMount", OTHER, message='configmap "conf"'),
    ]
    assert found([summary("other", 2, 2, "FailedMount", "Deployment", "api")], rows) == [("other", "volume")]


@pytest.mark.parametrize(("minute", "is_near"), [(-11, False), (-10, True), (15, True), (16, False)])
def test_what_is_more_than_ten_minutes_away_is_not_related(minute: float, *, is_near: bool) -> None:
    others = [summary("other", minute, minute, "Killing", "Deployment", "web")]
    assert bool(found(others, [row(minute, "Killing")])) == is_near


def test_the_closest_come_first_and_slots_of_a_summary_are_one() -> None:
    others = [
        summary("node", 1, 1, "NodeNotReady", "Node", "n1"),
        summary("killing", 2, 2, "Killing", "Deployment", "web"),
        summary("killing", 2, 3, "Killing", "Deployment", "web", slot=1),
    ]
    rows = [row(1, "NodeNotReady", "n1", "Node"), row(2, "Killing"), row(3, "Killing")]
    told = related(frame(SUMMARIES, [ASKED, *others]), frame(OCCURRENCES, [*ROWS, *rows]), summary="asked")
    assert told.select("summary", "by", "occurrences", "last_seen").rows() == [
        ("killing", "object", 4, at(3)), ("killing", "owner", 4, at(3)), ("node", "node", 2, at(1)),
    ]  # fmt: skip


def test_an_unknown_summary_has_nothing() -> None:
    assert found([], [], asked="unknown") == []
    assert isinstance(related(frame(SUMMARIES, []), frame(OCCURRENCES, []), summary="x"), pl.DataFrame)


def test_each_row_is_given_the_summary_that_counts_it_once() -> None:
    summaries = [ASKED, summary("killing", 2, 2, "Killing", "Deployment", "web")]
    rows = [*ROWS, row(2, "Killing"), row(2, "Killing", OTHER), row(9, "BackOff")]
    told = rows_of(frame(SUMMARIES, summaries), frame(OCCURRENCES, rows)).collect()
    assert sorted(told.select("position", "summary").rows()) == [(0, "asked"), (2000, "killing"), (5000, "asked")]


def test_a_row_about_an_object_that_has_no_owner_is_counted_once() -> None:
    alone = summary("node", 0, 5, "NodeNotReady", "Node", "n1")
    told = rows_of(frame(SUMMARIES, [alone]), frame(OCCURRENCES, [row(1, "NodeNotReady", "n1", "Node")])).collect()
    assert told.select("position", "summary").rows() == [(1000, "node")]
