"""What summaries of many say, as a tenant reads it."""

from typing import Any

import pytest

from tests.stages.test_render import rendered

FOLDED: dict[str, Any] = {
    "kind": "folded", "template": "2026-11-23T12Z", "regarding_api_version": "v1", "regarding_kind": "Namespace",
    "regarding_name": "shop", "related_name": "", "component": "batcher",
    "reporting_controller": "batcher.kcp.io/batcher", "occurrences": 412, "objects": 37, "messages_vary": True,
}  # fmt: skip
ALL = FOLDED | {"template": "2026-11-23T12Z all", "reason": "EventsFolded", "message": ""}
EVERYWHERE = ALL | {
    "cluster": "", "cluster_uid": "", "namespace": "", "target_namespace": "default", "regarding_name": "default"
}  # fmt: skip


def said(**summary: Any) -> str:
    message: str = rendered(**summary)[1]["message"]
    return message


def test_a_folded_summary_says_how_often_of_how_many_objects_since_when_and_why_before_the_newest_message() -> None:
    assert said(**FOLDED) == (
        "[us-west1] BackOff x412 of 37 objects since 12:00Z, too many in one hour for an Event each: "
        "Back-off restarting failed container"
    )


@pytest.mark.parametrize(
    ("objects", "text"), [(1, "1 object since"), (999, "999 objects since"), (1000, "1000 or more objects since")]
)
def test_objects_are_said_as_exactly_as_they_are_known(objects: int, text: str) -> None:
    assert f" of {text}" in said(**FOLDED | {"objects": objects})


def test_a_summary_of_any_reasons_names_none_and_says_that_nothing_is_lost() -> None:
    assert said(**ALL) == (
        "[us-west1] 412 Warning events of 37 objects since 12:00Z, too many in one hour for an Event each; "
        "none lost, all are in the archive"
    )
    assert said(**ALL | {"type": "Normal", "occurrences": 1}).startswith("[us-west1] 1 Normal event of 37 objects")


def test_an_event_of_a_cluster_that_is_called_as_ours_is_not_taken_for_it() -> None:
    assert said(reason="EventsFolded") == "[us-west1] Back-off restarting failed container"
    assert said(**FOLDED | {"reason": "EventsFolded"}).startswith("[us-west1] EventsFolded x412 of 37 objects")


def test_a_folded_summary_is_about_its_namespace_and_told_by_batcher() -> None:
    name, event = rendered(**FOLDED)
    assert name == "us-west1-shop.18a2f3c4d5e6f701"
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Namespace", "namespace": "shop", "name": "shop"}
    assert (event["source"], event["reportingComponent"]) == (
        {"component": "us-west1/batcher"},
        "batcher.kcp.io/batcher",
    )
    assert (event["reason"], event["type"], event["count"], event["related"]) == ("BackOff", "Warning", 412, None)
    assert event["metadata"]["labels"]["batcher.kcp.io/kind"] == "folded"
    assert event["metadata"]["annotations"]["batcher.kcp.io/objects"] == "37"


def test_what_is_told_elsewhere_says_whose_namespace_it_is_about() -> None:
    _, event = rendered(**FOLDED | {"origin": "root:shop/shop", "target_namespace": "ops", "regarding_name": "ops"})
    assert event["message"].startswith("[root:shop/shop us-west1] BackOff x412")
    assert event["metadata"]["annotations"]["batcher.kcp.io/regarding"] == "v1/Namespace/shop/shop"


def test_a_summary_of_all_clusters_of_a_workspace_names_none() -> None:
    name, event = rendered(**EVERYWHERE)
    assert name == "batcher-default.18a2f3c4d5e6f701"
    assert event["message"].startswith("[several clusters] 412 Warning events of 37 objects")
    assert event["source"] == {"component": "batcher"}
    assert event["metadata"]["labels"] == {"batcher.kcp.io/kind": "folded"}
    assert "kcp.io/source-cluster" not in event["metadata"]["annotations"]
    assert (event["metadata"]["namespace"], event["involvedObject"]["name"]) == ("default", "default")


SUPPRESSED = FOLDED | {
    "kind": "suppressed", "template": "2026-11-23T12Z normal 600 kubelet", "type": "Normal",
    "reason": "EventsSuppressed", "objects": 0, "message": "",
}  # fmt: skip


def test_a_suppressed_summary_says_how_much_of_whom_is_not_shown_since_when_and_by_which_limit() -> None:
    assert said(**SUPPRESSED) == (
        "[us-west1] 412 Normal events of kubelet not shown since 12:00Z (limit 600 a minute); "
        "none lost, all are in the archive"
    )
    warning = SUPPRESSED | {"template": "2026-11-23T12Z warning 5 ", "occurrences": 1}
    assert said(**warning).startswith("[us-west1] 1 Warning event not shown since 12:00Z (limit 5 a minute)")


def test_a_suppressed_summary_is_the_event_of_the_api_text() -> None:
    _, event = rendered(**SUPPRESSED)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Namespace", "namespace": "shop", "name": "shop"}
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "EventsSuppressed", 412)
    assert event["source"] == {"component": "us-west1/batcher"}
    assert event["metadata"]["labels"]["batcher.kcp.io/kind"] == "suppressed"
    assert "batcher.kcp.io/objects" not in event["metadata"]["annotations"]


@pytest.mark.parametrize(
    "controller", ["x y\nz", "a" * 500, "2026 normal 1 x", ""], ids=["lines", "long", "ours", "none"]
)
def test_whatever_a_controller_is_called_the_sentence_ends_as_it_must(controller: str) -> None:
    text = said(**SUPPRESSED | {"template": f"2026-11-23T12Z normal 600 {controller}"})
    assert text.endswith(" not shown since 12:00Z (limit 600 a minute); none lost, all are in the archive")
    assert len(text) < 250


def test_a_reason_however_long_leaves_room_for_a_message() -> None:
    text = said(**FOLDED | {"reason": "😀" * 1000, "message": "m" * 2000})
    assert (text.count("😀"), text.count("m"), len(text.encode())) == (63, 171, 510)
