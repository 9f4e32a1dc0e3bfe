"""What an incident says of itself, in each namespace and in the archive."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.schema import MEMBERS, OPEN_SUMMARIES
from batcher.stages.announce import announce, archive
from batcher.stages.carry import BOOKKEEPING
from tests.stages.rows import at, frame

CLUSTERS = {
    "workspace": pl.String,
    "cluster_uid": pl.String,
    "cluster": pl.String,
    "first_at": OPEN_SUMMARIES["last_at"],
}
NAME = "4f1c9ab27d03c63005b81a6b83a9f45a"
MEMBER = {"incident": NAME, "workspace": "root:shop", "reason": "BackOff", "said": "BackOff", "dimension": "object",
          "value": "shop/Deployment/web", "target_namespace": "shop", "regarding_api_version": "apps/v1",
          "regarding_kind": "Deployment", "regarding_name": "web", "occurrences": 1, "revisions": 1}  # fmt: skip
NO_CAUSE = {"cause_reason": None, "cause_object": None, "cause_at": None, "cause_text": None, "confidence": None}


def member(cluster: str, **changes: Any) -> dict[str, Any]:
    own = {"summary": f"s-{cluster}", "cluster": cluster, "cluster_uid": f"uid-{cluster}"}
    return MEMBER | NO_CAUSE | own | changes


def told(*members: dict[str, Any], known: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The Events of these members, by namespace; the workspace has the clusters ``known`` too."""
    return announce(frame(MEMBERS, members), clusters_known(known)).sort("target_namespace").collect().to_dicts()


def clusters_known(names: tuple[str, ...]) -> pl.LazyFrame:
    return frame(CLUSTERS, [{"workspace": "root:shop", "cluster": n, "cluster_uid": f"uid-{n}"} for n in names])


def caused(text: str, **changes: Any) -> dict[str, Any]:
    return {
        "cause_text": text,
        "cause_reason": "R",
        "cause_object": text,
        "cause_at": at(0),
        "confidence": 0.5,
    } | changes


def test_the_message_says_how_many_clusters_have_it_in_the_order_in_which_it_reached_them() -> None:
    early = member("us-west1", occurrences=240, first_seen=at(2), cluster_uid="u")
    rollout = caused("rollout of ghcr.io/acme/web:1.42 at 16:01Z")
    (event,) = told(member("eu-1", occurrences=172, first_seen=at(5), **rollout), early, known=("ap-1", "eu-1"))
    assert event["message"] == (
        "BackOff in 2 of 3 clusters (us-west1 x240, eu-1 x172) since 12:02Z; "
        "likely cause: rollout of ghcr.io/acme/web:1.42 at 16:01Z. "
        "Members: kubectl get events -l batcher.kcp.io/incident=4f1c9ab27d03"
    )
    assert event["clusters"] == '{"us-west1":240,"eu-1":172}'
    assert (event["type"], event["reason"], event["occurrences"]) == ("Warning", "CorrelatedIncident", 412)


def test_the_row_is_a_summary_of_its_own_kind_without_what_publishing_adds() -> None:
    found = announce(frame(MEMBERS, [member("a")]), clusters_known(())).collect()
    assert found.schema == {name: kind for name, kind in OPEN_SUMMARIES.items() if name not in BOOKKEEPING}
    assert found.null_count().transpose().sum().item() == 0
    assert (found["kind"][0], found["template"][0], found["incident"][0]) == ("incident", NAME, NAME)


def test_its_name_stays_whatever_it_grows_by_and_what_it_is_about_is_what_is_hit_most() -> None:
    other = {"value": "ghcr.io/acme/web:1.42", "dimension": "image"}
    two = [member("a", occurrences=3, **other), member("b", occurrences=2, regarding_name="api", **other)]
    more = member("c", occurrences=2, regarding_name="api", **other)
    (before,), (after,) = told(*two), told(*two, more)
    assert (before["related_name"], after["related_name"]) == ("web", "api")
    assert (before["summary"], before["regarding_name"]) == (after["summary"], after["regarding_name"])
    assert (before["regarding_name"], before["regarding_kind"]) == ("web", "")


@pytest.mark.parametrize(
    ("dimension", "value", "name"),
    [
        ("object", "shop/Deployment/web", "web"),
        ("image", "ghcr.io:5000/acme/web:1.42@sha256:0f", "web"),
        ("volume", "shop/PersistentVolumeClaim/data", "data"),
        ("node", "n1", "node"),
        ("object", "default/Node/n1", "node"),
    ],
)
def test_it_is_named_after_what_its_members_have_in_common_but_never_after_a_node(
    dimension: str, value: str, name: str
) -> None:
    (event,) = told(member("a", dimension=dimension, value=value), member("b", dimension=dimension, value=value))
    assert event["regarding_name"] == name


def test_it_is_about_no_node_and_about_its_namespace_where_there_is_nothing_else() -> None:
    node = {
        "regarding_api_version": "v1",
        "regarding_kind": "Node",
        "regarding_name": "n1",
        "target_namespace": "default",
    }
    (event,) = told(member("a", occurrences=9, **node), member("b", **node))
    about = ("related_api_version", "related_kind", "related_name")
    assert tuple(event[name] for name in about) == ("v1", "Namespace", "default")
    assert "n1" not in json.dumps(event, default=str)


def test_each_namespace_reads_its_own_names_and_causes_and_of_the_others_a_number() -> None:
    image = {"dimension": "image", "value": "base:1"}
    shop = member("a", **image, **caused("rollout of Deployment web at 12:00Z"))
    others = [
        member(
            c, summary=f"s-{n}", target_namespace=n, regarding_name=f"{n}-own", **image, **caused(f"rollout of {n}-own")
        )
        for c, n in (("b", "api"), ("a", "pay"))
    ]
    found = {event["target_namespace"]: event for event in told(shop, *others)}
    assert found["shop"]["cause"] == "rollout of Deployment web at 12:00Z"
    assert found["shop"]["message"].endswith("incident=4f1c9ab27d03 (2 more in 2 other namespaces)")
    assert found["api"]["related_name"] == "api-own"
    for name, event in found.items():
        text = json.dumps(event, default=str)
        assert [other for other in ("api-own", "pay-own") if other in text and other != f"{name}-own"] == []
        assert (event["occurrences"], event["clusters"]) == (3, '{"a":2,"b":1}')


def test_a_cause_that_only_another_namespace_may_read_is_not_told() -> None:
    image = {"dimension": "image", "value": "base:1"}
    hidden = member("b", target_namespace="api", **image, **caused("rollout of Deployment secret"))
    found = {event["target_namespace"]: event for event in told(member("a", **image), hidden)}
    assert found["shop"]["cause"] == ""
    assert "secret" not in found["shop"]["message"]


def test_what_is_part_of_the_incident_is_not_its_cause() -> None:
    pulled = {"reason": "Failed", "dimension": "image", "value": "ghcr.io/acme/web:1.42"}
    failed = caused("Failed of Deployment web", cause_reason="Failed", cause_object="Deployment/web", confidence=0.9)
    one, two = member("a", said="Failed", **pulled), member("b", said="BackOff", **pulled)
    assert told(one, two | failed)[0]["cause"] == ""
    assert told(one | caused("rollout of Deployment web"), two | failed)[0]["cause"] == "rollout of Deployment web"
    (elsewhere,) = told(one, two | failed | {"cause_object": "Deployment/api"})
    assert elsewhere["cause"] == "Failed of Deployment web"


def test_the_cause_is_the_one_that_most_clusters_show_then_the_surest_then_the_first() -> None:
    one, two = caused("one", confidence=0.9), caused("two", confidence=0.6)
    assert told(member("a", **one), member("b", **two), member("c", **two))[0]["cause"] == "two"
    assert told(member("a", **one), member("b", **two))[0]["cause"] == "one"
    later = caused("later", cause_at=at(1), confidence=0.6)
    assert told(member("a", **later), member("b", **two))[0]["cause"] == "two"


def test_the_reason_is_the_one_that_most_of_it_said() -> None:
    (event,) = told(member("a", said="Failed", occurrences=3), member("b", said="BackOff", occurrences=2))
    assert event["message"].startswith("Failed in 2 of 2 clusters")


def test_many_clusters_are_cut_in_the_message_and_whole_in_the_annotation() -> None:
    names = [f"c{n:03}" for n in range(100)]
    (event,) = told(*(member(name, first_seen=at(n)) for n, name in enumerate(names)))
    assert "(c000 x1, c001 x1, c002 x1, c003 x1, c004 x1, c005 x1 and 94 more)" in event["message"]
    assert list(json.loads(event["clusters"])) == names


@given(st.text(max_size=400), st.text(max_size=2000))
def test_however_long_a_reason_and_a_cause_are_the_message_ends_with_how_to_find_the_members(
    reason: str, cause: str
) -> None:
    (event,) = told(member("a", said=reason, **caused(cause)), member("b", said=reason))
    assert event["message"].endswith("Members: kubectl get events -l batcher.kcp.io/incident=4f1c9ab27d03")


def test_the_longest_message_fits_into_an_event() -> None:
    said = {"said": "R" * 400, "occurrences": 2**40, **caused("C" * 2000)}
    names = [f"{n:03}{'c' * 60}" for n in range(400)]
    other = member("x", target_namespace="api", summary="other")
    events = told(*(member(name, **said) for name in names), other, known=tuple(f"k{n}" for n in range(400)))
    assert 900 < max(len(event["message"].encode()) for event in events) <= 1024


def test_a_cluster_that_came_after_it_was_over_is_not_said_to_have_been_spared() -> None:
    late = frame(CLUSTERS, [{"workspace": "root:shop", "cluster": "ap-1", "cluster_uid": "u", "first_at": at(5)}])
    members = frame(MEMBERS, [member("a", last_at=at(4)), member("b", last_at=at(3))])
    assert archive(members, late).collect()["absent"].to_list() == ["[]"]
    assert archive(members, late.with_columns(first_at=pl.lit(at(4)))).collect()["absent"].to_list() == ['["ap-1"]']


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_archive_has_json_whatever_things_are_called(name: str, kind: str) -> None:
    found = archive(
        frame(MEMBERS, [member("a", regarding_name=name, regarding_kind=kind), member("b", target_namespace=name)]),
        clusters_known(("c",)),
    )
    (row,) = found.collect().to_dicts()
    assert (json.loads(row["absent"]), set(json.loads(row["namespaces"]))) == (["c"], {"shop", name})
    listed = json.loads(row["member_list"])
    assert {(m["cluster"], m["kind"], m["name"]) for m in listed} == {("a", kind, name), ("b", "Deployment", "web")}


def test_the_archive_lists_a_thousand_members_and_counts_them_all() -> None:
    many = [member("a", summary=f"{n:04}") for n in range(1001)]
    (row,) = archive(frame(MEMBERS, [*many, member("b")]), clusters_known(())).collect().to_dicts()
    assert (len(json.loads(row["member_list"])), row["members"], row["occurrences"]) == (1000, 1002, 1002)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(1, 3)), max_size=8), st.data())
def test_what_is_told_is_the_same_in_whatever_order_members_come(
    members: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    made = [
        member(c, summary=str(n), target_namespace=ns, regarding_name=ns, occurrences=o, **caused(c + ns))
        for n, (c, ns, o) in enumerate(members)
    ]
    shuffled = data.draw(st.permutations(made))
    for tell, by in ((announce, "summary"), (archive, "incident")):
        first, second = (
            tell(frame(MEMBERS, rows), clusters_known(("d",))).sort(by).collect() for rows in (made, shuffled)
        )
        assert_frame_equal(first, second)
