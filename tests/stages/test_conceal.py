"""What tenants must not see is not in what is written for them, whatever the cluster said."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.schema import NODES, OCCURRENCES, OPEN_SUMMARIES
from batcher.stages.conceal import conceal, learn, outdated, told_nodes
from tests.stages.rows import at, frame

UID = "0f6b8526-3587-433e-91fd-1aa49e1a0bd5"
DUMP = Path(__file__).parents[1] / "real-events" / "k3s-default.json"
NODE = "c9b7eea91"


def shown(message: str, *, node: str = NODE, expose: bool = False, **said: Any) -> dict[str, Any]:
    row = {"summary": "s", "cluster_uid": "u", "namespace": "kcp-33jbiactwhg0", "target_namespace": "shop",
           "regarding_kind": "Pod", "regarding_name": "web"}  # fmt: skip
    summaries = frame(OPEN_SUMMARIES, [row | said | {"message": message}])
    nodes = frame(NODES, [{"cluster_uid": "u", "name": node}, {"cluster_uid": "other", "name": "web"}])
    (found,) = conceal(summaries, None if expose else nodes).collect().to_dicts()
    return found


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (f"Back-off restarting app in pod web-1_kcp-33jbiactwhg0({UID})", "Back-off restarting app in pod web-1"),
        ("Successfully assigned kcp-33jbiactwhg0/web to c9b7eea91", "Successfully assigned shop/web"),
        ("Successfully assigned kcp-33jbiactwhg0/web to never-heard-of", "Successfully assigned shop/web"),
        ("Preempted by pod 0f6b8526-3587-433e-91fd-1aa49e1a0bd5 on node c9b7eea91.", "Preempted by pod … on node …."),
        ("dial tcp: lookup db.kcp-33jbiactwhg0.svc: no such host", "dial tcp: lookup db.shop.svc: no such host"),
        ("Preempted by kcp-hcbsa8z6c2er/rich", "Preempted by …/rich"),
        ("c9b7eea91x and my-c9b7eea91 are no nodes", "c9b7eea91x and my-c9b7eea91 are no nodes"),
        ("web is a node of another cluster", "web is a node of another cluster"),
        ("pod etcd_kube-system(0123456789abcdef0123456789abcdef) restarted", "pod etcd restarted"),
        ("", ""),
        ("…\n\x00 ", "…\n\x00 "),
    ],
)  # fmt: skip
def test_a_text_is_told_without_what_is_the_clusters(message: str, told: str) -> None:
    assert shown(message)["message"] == told


def test_the_names_of_nodes_stay_when_they_are_exposed() -> None:
    message = "Successfully assigned kcp-33jbiactwhg0/web to c9b7eea91"
    assert shown(message, expose=True)["message"] == "Successfully assigned shop/web to c9b7eea91"


def test_a_summary_about_a_node_is_its_owners_and_keeps_the_name() -> None:
    row = shown("Node c9b7eea91 status is now: NodeReady", regarding_kind="Node", regarding_name=NODE, namespace="")
    assert (row["message"], row["regarding_name"]) == ("Node c9b7eea91 status is now: NodeReady", NODE)


def test_a_node_with_dots_is_one_word_and_its_parts_are_none() -> None:
    row = shown("on ip-10-0-0-1.ec2.internal, not on ec2.internal", node="ip-10-0-0-1.ec2.internal")
    assert row["message"] == "on …, not on ec2.internal"


@pytest.mark.parametrize(
    ("related", "kept"),
    [
        ({"related_kind": "Node", "related_name": NODE}, False),
        ({"related_kind": "Pod", "related_name": "db", "related_namespace": "other-tenant"}, False),
        ({"related_kind": "Pod", "related_name": "db", "related_namespace": "kcp-33jbiactwhg0"}, True),
        ({"related_kind": "PersistentVolume", "related_name": "pv"}, True),
    ],
)
def test_a_node_and_what_lies_in_another_namespace_are_not_referred_to(related: dict[str, Any], kept: bool) -> None:  # noqa: FBT001
    assert (shown("m", **related)["related_name"] != "") == kept


@pytest.mark.parametrize(
    ("kind", "downstream", "name"),
    [
        ("ConfigMap", "kcp-root-ca.crt", "kube-root-ca.crt"),
        ("Secret", "kcp-default-token-x2x", "default-token-x2x"),
        ("ConfigMap", "kcp-root-ca.crt.bak", "kcp-root-ca.crt.bak"),
        ("Secret", "kcp-root-ca.crt", "kcp-root-ca.crt"),
    ],
)
def test_what_was_renamed_on_its_way_down_has_its_own_name_again(kind: str, downstream: str, name: str) -> None:
    assert shown("m", regarding_kind=kind, regarding_name=downstream)["regarding_name"] == name


def test_real_messages_say_neither_namespace_nor_uid_nor_node() -> None:
    items = json.loads(DUMP.read_text())["items"]
    rows = [
        {
            "cluster_uid": "u", "received_at": at(0), "component": item["source"].get("component") or "",
            "host": item["source"].get("host") or "", "message": item.get("message") or "",
            "regarding_kind": item["involvedObject"]["kind"], "regarding_name": item["involvedObject"]["name"],
        }
        for item in items
    ]  # fmt: skip
    nodes = told_nodes(frame(OCCURRENCES, rows))
    names = nodes.collect()["name"].to_list()
    assert len(names) == 1
    of_tenants = [row for row in rows if row["regarding_kind"] != "Node"]
    summaries = [
        row | {"summary": str(index), "namespace": "default", "target_namespace": "shop"}
        for index, row in enumerate(of_tenants)
    ]
    columns = [{k: v for k, v in row.items() if k in OPEN_SUMMARIES} for row in summaries]
    told = conceal(frame(OPEN_SUMMARIES, columns), nodes).collect()
    text = "\n".join(told["message"])
    assert len(told) == len(of_tenants) > 30
    for hidden in ("default", *names, *(item["metadata"]["uid"] for item in items),
                   *(item["involvedObject"].get("uid") or "none" for item in items)):  # fmt: skip
        assert hidden not in text
    assert "Back-off restarting failed container api-server in pod backend-api-75fb46b7bd-xtkrh" in text
    assert text.count("Successfully assigned shop/") == 4


SEPARATORS = st.sampled_from(["", " "])
PARTS = st.sampled_from(["kcp-33jbiactwhg0", NODE, UID, "x", "-", ".", "/", " ", "(", ")", "_", "\n", "é"])


@given(SEPARATORS.flatmap(lambda between: st.lists(PARTS).map(between.join)))
def test_neither_namespace_nor_node_stands_as_a_word_anywhere_however_a_text_is_made(message: str) -> None:
    text = shown(message)["message"]
    assert UID not in text
    assert {"kcp-33jbiactwhg0", NODE}.isdisjoint(text.split())


def test_a_node_that_is_told_twice_takes_no_text_twice() -> None:
    summaries = frame(OPEN_SUMMARIES, [{"summary": "s", "cluster_uid": "u", "message": "on n1 now"}])
    nodes = frame(NODES, [{"cluster_uid": "u", "name": "n1"}, {"cluster_uid": "u", "name": "n1", "seen_at": at(1)}])
    assert conceal(summaries, nodes).collect()["message"].to_list() == ["on … now"]


def test_the_state_is_told_of_a_node_once_an_hour_and_forgets_it_after_a_day() -> None:
    known = frame(NODES, [{"cluster_uid": "u", "name": "old"}, {"cluster_uid": "u", "name": "new", "seen_at": at(60)}])
    told = frame(NODES, [{"cluster_uid": "u", "name": n, "seen_at": at(61)} for n in ("old", "new", "first")])
    assert set(learn(known, told).collect()["name"]) == {"old", "first"}
    gone = outdated(known, at(0) + timedelta(days=1, minutes=1)).collect()
    assert gone.rows() == [("u", "old")]


def test_of_too_many_nodes_the_newest_are_known() -> None:
    count = 20_003
    known = pl.LazyFrame(
        {"cluster_uid": ["u"] * count, "name": [str(i) for i in range(count)],
         "seen_at": [at(0) + timedelta(seconds=i % 3600, microseconds=i) for i in range(count)]},
        schema=NODES,
    )  # fmt: skip
    assert set(outdated(known, at(60)).collect()["name"]) == {"0", "3600", "7200"}
