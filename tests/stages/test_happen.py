"""What a row says that may be a cause or an effect, and of how many rows one is taken."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from batcher.causes import BUILT_IN, CauseRule, Side
from batcher.schema import HAPPENINGS, OCCURRENCES
from batcher.stages.happen import happen, with_things
from tests.stages.rows import at, frame

RULES = (
    CauseRule("short", Side(("A",)), Side(("B",)), "object", timedelta(minutes=1)),
    CauseRule("long", Side(("B",)), Side(("C",)), "object", timedelta(minutes=5)),
)


def row(reason: str = "A", **said: Any) -> dict[str, Any]:
    return {"reason": reason, "grew": 1, "regarding_kind": "Pod", "regarding_name": "web", "cluster_uid": "u"} | said


def happened(*rows: dict[str, Any], known: pl.DataFrame | None = None, rules: Any = RULES) -> pl.DataFrame:
    before = frame(HAPPENINGS, []) if known is None else known.lazy()
    found = happen(frame(OCCURRENCES, rows), before, rules=rules, owner=True).collect()
    assert found.schema == HAPPENINGS
    assert found.null_count().sum_horizontal().sum() == 0
    return found


def test_only_reasons_of_rules_and_rows_that_add_something_take_part() -> None:
    assert happened(row("A"), row("other", position=1), row("B", grew=0, position=2))["reason"].to_list() == ["A"]


@pytest.mark.parametrize(
    ("reason", "message", "about"),
    [
        ("Failed", 'Failed to pull image "acme/web:1": not found', "image"),
        ("Failed", "Error: ImagePullBackOff", "image"),
        ("Failed", "Error: failed to create containerd task", ""),
        ("BackOff", 'Back-off pulling image "acme/web:1"', "image"),
        ("BackOff", "Back-off restarting failed container image-proxy in pod web", "crash"),
        ("InspectFailed", "couldn't parse image name", "image"),
        ("ScalingReplicaSet", "Scaled up replica set web-7c5d8f9b6d from 0 to 1", "up"),
        ("ScalingReplicaSet", "Scaled down replica set web-7c5d8f9b6d to 0", "down"),
        ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", "probe"),
        ("Unhealthy", "Readiness probe failed: ", ""),
        ("Killing", "Container app failed liveness probe, will be restarted", "probe"),
        ("Killing", "Stopping container app", ""),
        ("FailedScheduling", "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims", "volume"),
        ("FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu", ""),
        ("Started", "Back-off pulling image", ""),
    ],
)
def test_what_one_reason_means_is_in_its_message(reason: str, message: str, about: str) -> None:
    assert happened(row(reason, message=message), rules=BUILT_IN)["about"].to_list() == [about]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"regarding_name": "web-7c5d8f9b6d-x2z4t"}, {"owner": "web", "told_kind": "Deployment", "told_name": "web"}),
        ({"regarding_name": "db-0"}, {"owner": "db", "told_kind": "Pod", "told_name": "db-0"}),
        ({"regarding_name": "agent-x2z4t"}, {"owner": "agent", "told_kind": "Pod"}),
        ({"regarding_name": "backup-29384756-x2z4t"}, {"owner": "backup", "told_kind": "CronJob"}),
        ({"regarding_kind": "Job", "regarding_name": "backup-29384756"}, {"owner": "backup", "told_name": "backup"}),
        ({"regarding_kind": "ReplicaSet", "regarding_name": "web-7c5d8f9b6d"}, {"owner": "web"}),
        ({"regarding_kind": "StatefulSet", "regarding_name": "db"}, {"owner": "db"}),
        ({"regarding_kind": "Node", "regarding_name": "n1"}, {"node": "n1"}),
        ({"component": "kubelet", "host": "n1"}, {"node": "n1"}),
        ({"message": 'Failed to pull image "acme/web:1"'}, {"image": "acme/web:1"}),
        ({"message": 'secret "tls" not found'}, {"volume": "Secret/tls"}),
        ({"message": 'failed for volume "pvc-0f6b8526-3587-433e-91fd-1aa49e1a0bd5"'},
         {"volume": "pvc-0f6b8526-3587-433e-91fd-1aa49e1a0bd5"}),
        ({"message": 'failed for volume "data"'}, {"volume": ""}),
        ({"related_kind": "Pod", "related_name": "other"}, {"other_kind": "Pod", "other_name": "other"}),
        ({"reason": "SuccessfulCreate", "message": "Created pod: web-1"}, {"other_kind": "Pod", "other_name": "web-1"}),
        ({"reason": "SuccessfulCreate", "message": "Created job backup-1"},
         {"other_kind": "Job", "other_name": "backup-1"}),
        ({"reason": "SuccessfulDelete", "message": "delete Pod db-0 in StatefulSet db successful"},
         {"other_name": "db-0"}),
        ({"reason": "Started", "message": "Created pod: web-1"}, {"other_kind": "", "other_name": ""}),
    ],
)  # fmt: skip
def test_a_row_has_in_common_with_others_what_it_names(said: dict[str, Any], found: dict[str, str]) -> None:
    (told,) = with_things(frame(OCCURRENCES, [row() | said]), owner=True).collect().to_dicts()
    assert {name: told[name] for name in found} == found
    assert (told["regarding_kind"], told["regarding_name"]) == tuple(
        (row() | said)[f"regarding_{n}"] for n in ("kind", "name")
    )


def test_summaries_about_objects_are_told_about_objects() -> None:
    rows = frame(OCCURRENCES, [row(regarding_name="web-7c5d8f9b6d-x2z4t")])
    (told,) = with_things(rows, owner=False).collect().to_dicts()
    assert (told["owner"], told["told_kind"], told["told_name"]) == ("web", "Pod", "web-7c5d8f9b6d-x2z4t")


def test_a_cause_is_chosen_at_a_full_minute_after_lag_skew_and_lateness() -> None:
    rows = [row(reason, received_at=at(0.2), last_at=at(0)) for reason in "ABC"]
    found = happened(*(each | {"position": n} for n, each in enumerate(rows)))
    assert found.select("reason", "is_judged", "due_at", "kept_until").rows() == [
        ("A", True, at(0.2), at(0.2 + 8.5)),
        ("B", False, at(4), at(0.2 + 5 + 2 + 1 + 8.5)),
        ("C", False, at(8), at(0.2 + 8.5)),
    ]


def test_a_happening_is_the_first_row_of_its_minutes_also_over_two_batches() -> None:
    first = happened(row(position=2), row(position=1, message="first"), row(position=3, regarding_name="other"))
    assert first["position"].to_list() == [1, 3]
    assert happened(row(position=9, received_at=at(0.9), last_at=at(0.5)), known=first).is_empty()
    assert len(happened(row(position=9, received_at=at(1), last_at=at(1)), known=first)) == 1
    assert len(happened(row(position=9, received_at=at(0.9), last_at=at(-5)), known=first)) == 1


def test_the_time_of_a_happening_is_never_after_its_receipt() -> None:
    assert happened(row(received_at=at(1), last_at=at(500)))["happened_at"].to_list() == [at(1)]
