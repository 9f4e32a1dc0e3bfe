import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.schema import OPEN_SUMMARIES
from batcher.stages.render import render
from tests.stages.rows import at, frame

SUMMARY = {
    "summary": "18a2f3c4d5e6f7010000000000000000", "cluster": "us-west1", "workspace": "root:shop",
    "target_namespace": "shop", "regarding_api_version": "apps/v1", "regarding_kind": "Deployment",
    "regarding_name": "web", "type": "Warning", "reason": "BackOff", "occurrences": 240, "component": "kubelet",
    "reporting_controller": "kubelet", "message": "Back-off restarting failed container", "first_seen": at(-55),
    "last_seen": at(-0.5), "related_api_version": "v1", "related_kind": "Pod", "related_namespace": "down",
    "related_name": "web-7c5d8-x1", "related_field_path": "spec.containers{app}",
}  # fmt: skip
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def rendered(**changes: Any) -> tuple[str, dict[str, Any]]:
    row = render(frame(OPEN_SUMMARIES, [SUMMARY | changes]), now=at(0), prefix=True).collect()
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


@given(st.text(max_size=400), st.integers(1, 8), st.booleans())
def test_a_message_stays_within_1024_bytes_and_ends_with_what_must_be_said(text: str, times: int, vary: bool) -> None:  # noqa: FBT001
    _, event = rendered(message=text * times, messages_vary=vary)
    assert len(event["message"].encode()) <= 1024
    assert event["message"].startswith("[us-west1] ")
    assert event["message"].endswith(" (messages vary)") or not vary


@pytest.mark.parametrize("missing", ["uid", "eventTime", "series", "action"])
def test_what_would_hide_the_event_or_its_count_is_never_sent(missing: str) -> None:
    _, event = rendered()
    assert missing not in event
    assert missing not in event["involvedObject"]
