import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batcher.schema import NODES, OPEN_SUMMARIES
from batcher.stages.render import Look, render
from tests.stages.rows import at, frame

SUMMARY = {
    "summary": "18a2f3c4d5e6f7010000000000000000", "cluster": "us-west1", "workspace": "root:shop", "cluster_uid": "u",
    "namespace": "down",
    "target_namespace": "shop", "regarding_api_version": "apps/v1", "regarding_kind": "Deployment",
    "regarding_name": "web", "type": "Warning", "reason": "BackOff", "occurrences": 240, "component": "kubelet",
    "reporting_controller": "kubelet", "message": "Back-off restarting failed container", "first_seen": at(-55),
    "last_seen": at(-0.5), "related_api_version": "v1", "related_kind": "Pod", "related_namespace": "down",
    "related_name": "web-7c5d8-x1", "related_field_path": "spec.containers{app}",
}  # fmt: skip
TEXTS = ("regarding_api_version", "regarding_kind", "regarding_name", "related_kind", "related_name", "type", "reason",
         "component", "reporting_controller")  # fmt: skip
HUGE = st.integers(0, 3).flatmap(lambda kind: st.just(["", "€" * 100_000, "\x00" * 50_000, "😀" * 100_000][kind]))
NODES_KNOWN = [{"cluster_uid": "u", "name": "c9b7eea91"}]
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def rendered(*, prefix: bool = True, **changes: Any) -> tuple[str, dict[str, Any]]:
    row = render(
        frame(OPEN_SUMMARIES, [SUMMARY | changes]), frame(NODES, NODES_KNOWN), now=at(0), look=Look(prefix)
    ).collect()
    event: dict[str, Any] = json.loads(row["event"][0])
    return row["name"][0], event


def test_a_summary_is_the_event_that_a_real_kcp_took() -> None:
    name, event = rendered()
    assert name == "us-west1-web.18a2f3c4d5e6f701"
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"kcp.io/sync-target": "us-west1", "batcher.kcp.io/kind": "summary"},
            "annotations": {
                "kcp.io/source-cluster": "us-west1",
                "kcp.io/workspace-path": "root:shop",
                "kcp.io/synced-at": "2026-11-23T12:00:00Z",
                "batcher.kcp.io/occurrences": "240",
                "batcher.kcp.io/first-seen": "2026-11-23T11:05:00.000000Z",
                "batcher.kcp.io/last-seen": "2026-11-23T11:59:30.000000Z",
            },
        },
        "involvedObject": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"},
        "related": {
            "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-7c5d8-x1",
            "fieldPath": "spec.containers{app}",
        },
        "type": "Warning",
        "reason": "BackOff",
        "message": "[us-west1] Back-off restarting failed container",
        "source": {"component": "us-west1/kubelet"},
        "reportingComponent": "kubelet",
        "reportingInstance": "batcher",
        "firstTimestamp": "2026-11-23T11:05:00Z",
        "lastTimestamp": "2026-11-23T11:59:30Z",
        "count": 240,
    }  # fmt: skip


def test_a_total_beyond_int32_is_clamped_in_count_and_exact_in_the_annotation() -> None:
    _, event = rendered(occurrences=2**40)
    assert event["count"] == 2**31 - 1
    assert event["metadata"]["annotations"]["batcher.kcp.io/occurrences"] == str(2**40)


def test_varying_messages_are_said_to_vary_and_the_newest_is_shown() -> None:
    assert rendered(messages_vary=True)[1]["message"].endswith("failed container (messages vary)")


@given(st.text(max_size=300))
def test_the_name_is_a_dns_subdomain_whatever_the_object_is_called(hostile: str) -> None:
    name, _ = rendered(regarding_name=hostile)
    assert SUBDOMAIN.fullmatch(name), name
    assert len(name) <= 253


@pytest.mark.parametrize("letter", ["a", "\U0001f600"])
def test_a_workspace_with_a_long_path_leaves_room_for_the_message(letter: str) -> None:
    _, event = rendered(origin=f"root:{letter * 2000}/web", message="pulling " + "x" * 2000)
    assert event["message"].startswith(f"[root:{letter}")
    assert "] pulling" in event["message"]
    assert len(event["message"].encode()) <= 1024


@given(st.text(max_size=400), st.integers(1, 8), st.booleans())
def test_a_message_stays_within_1024_bytes_and_ends_with_what_must_be_said(text: str, times: int, vary: bool) -> None:  # noqa: FBT001
    _, event = rendered(message=text * times, messages_vary=vary)
    assert len(event["message"].encode()) <= 1024
    assert event["message"].startswith("[us-west1] ")
    assert event["message"].endswith(" (messages vary)") or not vary


@given(st.fixed_dictionaries(dict.fromkeys(TEXTS, st.text(max_size=8))))
def test_whatever_a_cluster_says_comes_out_of_the_json_as_it_was_and_in_the_targets_namespace(
    said: dict[str, Any],
) -> None:
    name, event = rendered(**said)
    assert event["metadata"]["name"] == name
    assert event["involvedObject"] == {
        "apiVersion": said["regarding_api_version"],
        "kind": said["regarding_kind"],
        "namespace": event["metadata"]["namespace"],
        "name": said["regarding_name"],
    }
    assert (event["type"], event["reason"]) == (said["type"], said["reason"])
    assert event["source"] == {"component": f"us-west1/{said['component']}"}
    assert (event["related"] is None) == (said["related_name"] == "")


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("Web", "us-west1-web.18a2f3c4d5e6f701"),
        ("-web-\n", "us-west1-web.18a2f3c4d5e6f701"),
        ("\u202e/..", "us-west1.18a2f3c4d5e6f701"),
        ("a" * 400, f"us-west1-{'a' * 150}.18a2f3c4d5e6f701"),
    ],
    ids=["upper-case", "edges", "nothing-left", "long"],
)
def test_the_name_holds_what_it_may_of_the_objects(called: str, name: str) -> None:
    assert rendered(regarding_name=called)[0] == name


def test_a_message_is_cut_only_when_it_does_not_fit_and_at_a_character() -> None:
    room = 1024 - len("[us-west1] ")
    assert rendered(message="a" * room)[1]["message"] == "[us-west1] " + "a" * room
    assert rendered(message="a" * (room + 1))[1]["message"] == "[us-west1] " + "a" * 252 + "…"
    assert rendered(message="€" * 400)[1]["message"] == "[us-west1] " + "€" * 252 + "…"


def test_what_was_cut_is_named_in_an_annotation_and_what_was_not_has_none() -> None:
    annotations = rendered(message="a" * 1025, reason="R" * 129)[1]["metadata"]["annotations"]
    assert annotations["batcher.kcp.io/truncated"] == "reason,message"
    assert "batcher.kcp.io/truncated" not in rendered()[1]["metadata"]["annotations"]


@given(st.fixed_dictionaries(dict.fromkeys((*TEXTS, "message", "related_api_version", "related_field_path"), HUGE)))
def test_no_text_however_long_makes_an_event_larger_than_40_kilobytes(said: dict[str, Any]) -> None:
    assert len(json.dumps(rendered(**said)[1]).encode()) < 40 * 1024


def test_a_logical_name_is_a_label_and_a_path_an_annotation_never_the_other_way_round() -> None:
    logical = rendered(workspace="1eiksweb95coe579")[1]["metadata"]
    assert logical["labels"]["kcp.io/workspace"] == "1eiksweb95coe579"
    assert "kcp.io/workspace-path" not in logical["annotations"]
    assert "kcp.io/workspace" not in rendered()[1]["metadata"]["labels"]


def test_labels_and_annotations_of_the_configuration_are_on_every_summary_and_never_over_ours() -> None:
    look = Look(labels={"team": "sre", "kcp.io/sync-target": "x"}, annotations={"example.com/a": "b"})
    event = json.loads(
        render(frame(OPEN_SUMMARIES, [SUMMARY]), frame(NODES, []), now=at(0), look=look).collect()["event"][0]
    )
    assert event["metadata"]["labels"]["team"] == "sre"
    assert event["metadata"]["labels"]["kcp.io/sync-target"] == "us-west1"
    assert event["metadata"]["annotations"]["example.com/a"] == "b"


@given(text=st.lists(st.sampled_from([*'"\\,}', ":null", "kcp.io/workspace", '"kcp.io/workspace":null'])).map("".join))
@example(text='kcp.io/workspace:null,"kcp.io/workspace":null,"kcp.io/workspace":null}')
def test_a_text_that_reads_like_a_label_without_a_value_stays_as_it_is(text: str) -> None:
    look = Look(prefix=False, labels={"team": text}, annotations={"example.com/a": text})
    row = frame(OPEN_SUMMARIES, [SUMMARY | {"message": text, "reason": text}])
    event = json.loads(render(row, frame(NODES, []), now=at(0), look=look).collect()["event"][0])
    assert (event["message"], event["reason"]) == (text, text[:128])
    assert event["metadata"]["labels"] == {
        "team": text, "kcp.io/sync-target": "us-west1", "batcher.kcp.io/kind": "summary",
    }  # fmt: skip
    assert event["metadata"]["annotations"]["example.com/a"] == text


def test_the_prefix_can_be_left_out() -> None:
    assert rendered(prefix=False)[1]["message"] == "Back-off restarting failed container"


def test_a_related_object_without_a_namespace_is_given_none_and_none_at_all_is_none() -> None:
    related = rendered(related_kind="PersistentVolume", related_name="pv-1", related_namespace="")[1]["related"]
    assert (related["kind"], related["name"], related["namespace"]) == ("PersistentVolume", "pv-1", None)
    assert rendered(related_name="")[1]["related"] is None


def test_a_summary_of_nothing_yet_counts_one_as_the_api_asks() -> None:
    assert rendered(occurrences=0)[1]["count"] == 1


INCIDENT: dict[str, Any] = {
    "kind": "incident", "incident": "4f1c9ab27d03c63005b81a6b83a9f45a", "cluster": "", "cluster_uid": "",
    "namespace": "", "regarding_api_version": "", "regarding_kind": "", "regarding_name": "web",
    "related_api_version": "apps/v1", "related_kind": "Deployment", "related_namespace": "", "related_name": "api",
    "related_field_path": "", "reason": "CorrelatedIncident", "component": "batcher",
    "reporting_controller": "batcher.kcp.io/batcher", "clusters": '{"us-west1":240,"eu-1":172}',
    "message": "BackOff in 2 of 3 clusters", "workspace": "1eiksweb95coe579",
}  # fmt: skip


def test_an_incident_is_an_event_of_no_cluster_about_the_object_that_it_names_now() -> None:
    name, event = rendered(**INCIDENT, cause="rollout of ghcr.io/acme/web:1.42 at 16:01Z")
    assert name == "incident-web.4f1c9ab27d03"
    assert event["metadata"]["labels"] == {
        "kcp.io/workspace": "1eiksweb95coe579",
        "batcher.kcp.io/kind": "incident",
        "batcher.kcp.io/incident": "4f1c9ab27d03",
    }
    assert event["metadata"]["annotations"] == {
        "kcp.io/synced-at": "2026-11-23T12:00:00Z",
        "batcher.kcp.io/occurrences": "240",
        "batcher.kcp.io/first-seen": "2026-11-23T11:05:00.000000Z",
        "batcher.kcp.io/last-seen": "2026-11-23T11:59:30.000000Z",
        "batcher.kcp.io/clusters": '{"us-west1":240,"eu-1":172}',
        "batcher.kcp.io/cause": "rollout of ghcr.io/acme/web:1.42 at 16:01Z",
    }
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "api",
    }  # fmt: skip
    assert (event["related"], event["message"]) == (None, "BackOff in 2 of 3 clusters")
    assert event["source"] == {"component": "batcher"}
    assert (event["reportingComponent"], event["type"]) == ("batcher.kcp.io/batcher", "Warning")


def test_an_incident_without_a_known_cause_says_none() -> None:
    assert "batcher.kcp.io/cause" not in rendered(**INCIDENT)[1]["metadata"]["annotations"]


def test_a_member_has_the_label_of_its_incident_and_no_clusters_of_others() -> None:
    _, event = rendered(incident="4f1c9ab27d03c63005b81a6b83a9f45a", clusters='{"eu-1":1}', cause="x")
    assert event["metadata"]["labels"] == {
        "kcp.io/sync-target": "us-west1",
        "batcher.kcp.io/kind": "summary",
        "batcher.kcp.io/incident": "4f1c9ab27d03",
    }
    assert {"batcher.kcp.io/clusters", "batcher.kcp.io/cause"}.isdisjoint(event["metadata"]["annotations"])


@pytest.mark.parametrize("missing", ["uid", "eventTime", "series", "action"])
def test_what_would_hide_the_event_or_its_count_is_never_sent(missing: str) -> None:
    _, event = rendered()
    assert missing not in event
    assert missing not in event["involvedObject"]
