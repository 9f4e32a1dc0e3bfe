"""Which key a row has, and which incident it is in; whole batches are in tests/test_incidents.py."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher import schema
from batcher.schema import INCIDENT, MEASURES, MEMBERS, OCCURRENCES, SESSION, SLOT
from batcher.stages.aggregate import summary_id
from batcher.stages.correlate import (
    STAGED,
    correlate,
    fold_members,
    formed,
    is_silent,
    keyed,
    stages_of,
    with_causes,
)
from tests.stages.rows import at, frame

TOLD = OCCURRENCES | dict.fromkeys(("origin", "kind", "template", "unmapped_uid"), pl.String()) | {
    "adopted_by": pl.Int64
}  # fmt: skip
PARTS = {name: schema.OPEN_SLOTS[name] for name in (*SLOT, *MEASURES)}
OF = ("of_regarding_api_version", "of_regarding_kind", "of_regarding_name")
KEYS: schema.Columns = {"position": pl.Int64(), **dict.fromkeys(("alike", "dimension", "value", *OF), pl.String())}
WINDOW, LONGEST = timedelta(minutes=10), timedelta(minutes=30)
POD = {"regarding_kind": "Pod", "regarding_name": "web-7c5d8f9b6-x2z4t", "workspace": "root:shop",
       "target_namespace": "shop", "type": "Warning", "reason": "BackOff"}  # fmt: skip
PULL = 'Failed to pull image "ghcr.io/acme/web:1.42": not found'


def key(**row: Any) -> list[tuple[str, str, str]]:
    found = keyed(frame(TOLD, [POD | row]), critical=("Killing",)).collect()
    return found.select("alike", "dimension", "value").rows()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, ("BackOff", "object", "shop/Deployment/web")),
        ({"reason": "Anything"}, ("Anything", "object", "shop/Deployment/web")),
        ({"reason": "Failed", "message": PULL}, ("BackOff", "image", "ghcr.io/acme/web:1.42")),
        ({"message": 'Back-off pulling image "web:1"'}, ("BackOff", "image", "web:1")),
        ({"reason": "Failed", "message": "Error: no such file"}, ("Failed", "object", "shop/Deployment/web")),
        ({"reason": "Unhealthy", "message": PULL}, ("Unhealthy", "object", "shop/Deployment/web")),
        ({"reason": "FailedMount", "message": 'secret "tls" not found'}, ("FailedMount", "volume", "shop/Secret/tls")),
        ({"reason": "FailedAttachVolume", "message": 'PVC "data"'},
         ("FailedMount", "volume", "shop/PersistentVolumeClaim/data")),
        ({"reason": "FailedMount", "message": "timed out"}, ("FailedMount", "object", "shop/Deployment/web")),
        ({"reason": "ProvisioningFailed", "regarding_kind": "PersistentVolumeClaim", "regarding_name": "data"},
         ("ProvisioningFailed", "volume", "shop/PersistentVolumeClaim/data")),
        ({"reason": "NodeNotReady", "regarding_kind": "Node", "regarding_name": "n1", "target_namespace": "default"},
         ("NodeNotReady", "node", "n1")),
        ({"reason": "NodeNotReady"}, ("NodeNotReady", "object", "shop/Deployment/web")),
        ({"regarding_name": "agent-x2z4t"}, ("BackOff", "object", "shop/Pod/agent")),
        ({"type": "Normal", "reason": "Killing"}, ("Killing", "object", "shop/Deployment/web")),
    ],
)  # fmt: skip
def test_a_reason_has_one_dimension_and_without_a_value_in_it_is_about_its_object(
    row: dict[str, str], expected: tuple[str, str, str]
) -> None:
    assert key(**row) == [expected]


@pytest.mark.parametrize(
    "row",
    [
        {"type": "Normal"},
        {"workspace": ""},
        {"origin": "root:shop/shop"},
        {"kind": "folded"},
        {"adopted_by": 7},
        {"reason": "Failed", "message": "Error: ImagePullBackOff"},
    ],
    ids=lambda row: next(iter(row)),
)
def test_what_is_no_warning_of_a_mapped_row_or_says_a_pull_again_has_no_key(row: dict[str, Any]) -> None:
    assert key(**row) == []


Row = tuple[int, str, str, str]
"""Minutes since the row before, cluster, workspace, value."""

rows_of = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 9, 10, 11, 25]), st.sampled_from("ab"), st.sampled_from("vw"), st.sampled_from("xy")
    ),
    max_size=12,
)


def given_rows(rows: list[Row]) -> list[dict[str, Any]]:
    made, minute = [], 0
    for position, (wait, cluster, workspace, value) in enumerate(rows, 1):
        minute += wait
        made.append(
            {"position": position, "cluster": cluster, "cluster_uid": cluster, "workspace": workspace, "value": value,
             "last_at": at(minute), "first_seen": at(minute), "last_seen": at(minute), "began_at": at(0),
             "reason": "BackOff", "alike": "BackOff", "dimension": "object", "occurrences": position, "revisions": 1}
        )  # fmt: skip
    return made


def members_of(rows: list[dict[str, Any]], known: pl.LazyFrame | None = None) -> pl.DataFrame:
    """The members after ``rows``, in order of their names."""
    before = frame(MEMBERS, []) if known is None else known
    parts = frame(PARTS, [{k: v for k, v in row.items() if k in PARTS} for row in rows])
    parts = parts.with_row_index("part").with_columns(pl.col("part").first().over(SESSION))
    keys = frame(KEYS, [{k: v for k, v in row.items() if k in KEYS} for row in rows])
    added = correlate(parts, keys, before, window=WINDOW, longest=LONGEST)
    return fold_members(before, added).sort("incident", "summary").collect()


@given(rows_of, st.integers(0, 12))
def test_members_are_the_same_wherever_rows_are_cut(rows: list[Row], cut: int) -> None:
    made = given_rows(rows)
    assert_frame_equal(members_of(made[cut:], members_of(made[:cut]).lazy()), members_of(made))


@given(rows_of, st.randoms(use_true_random=False))
def test_members_are_the_same_in_whatever_order_rows_and_state_come(rows: list[Row], chance: Any) -> None:
    made = given_rows(rows)
    before, after = made[:5], made[5:]
    state = members_of(before)
    shuffled = state.select(pl.all().gather(chance.sample(range(len(state)), len(state))))
    turned = chance.sample(after, len(after))
    assert_frame_equal(members_of(turned, shuffled.lazy()), members_of(after, state.lazy()))


@given(rows_of)
def test_totals_are_conserved_and_each_member_is_there_once(rows: list[Row]) -> None:
    found = members_of(given_rows(rows))
    assert found["occurrences"].sum() == sum(range(1, len(rows) + 1))
    assert found["revisions"].sum() == len(rows)
    assert not found.select("incident", "summary").is_duplicated().any()
    assert found.schema == MEMBERS


@given(rows_of)
def test_the_name_of_an_incident_is_its_key_its_begin_and_its_slot(rows: list[Row]) -> None:
    found = members_of(given_rows(rows))
    assert found.select("incident", *INCIDENT).unique().height == found["incident"].n_unique()
    assert found.select(*INCIDENT).unique().height == found["incident"].n_unique()


def test_a_member_is_named_as_its_summary_is() -> None:
    (row,) = given_rows([(0, "a", "v", "x")])
    parts = frame(PARTS, [{k: v for k, v in row.items() if k in PARTS}])
    assert members_of([row])["summary"].to_list() == parts.select(summary_id()).collect().to_series().to_list()


def stages(rows: list[Row], minute: float) -> list[tuple[int, bool, bool]]:
    over = is_silent(at(minute), WINDOW)
    found = stages_of(members_of(given_rows(rows)).lazy(), over=over).collect()
    assert found.schema == STAGED
    return found.sort("first_position").select("slot", "is_formed", "is_over").rows()


def test_an_incident_is_formed_by_its_second_cluster_and_over_when_it_was_silent() -> None:
    two: list[Row] = [(0, "a", "v", "x"), (3, "b", "v", "x")]
    assert stages(two[:1], 1) == [(0, False, False)]
    assert stages(two, 13) == [(0, True, False), (0, True, False)]
    assert stages(two, 13.1) == [(0, True, True), (0, True, True)]


def test_a_later_slot_ends_the_one_before() -> None:
    rows: list[Row] = [(0, "a", "v", "x"), (9, "b", "v", "x"), (10, "a", "v", "x"), (10, "a", "v", "x"),
                       (5, "b", "v", "x")]  # fmt: skip
    assert stages(rows, 34) == [(0, True, True), (0, True, True), (1, False, False)]


def test_two_clusters_of_two_workspaces_or_keys_form_nothing() -> None:
    rows: list[Row] = [(0, "a", "v", "x"), (1, "b", "w", "x"), (1, "b", "v", "y"), (1, "a", "w", "y")]
    assert formed(members_of(given_rows(rows)).lazy()).collect().is_empty()
    more: list[Row] = [*rows, (1, "b", "v", "x")]
    assert len(formed(members_of(given_rows(more)).lazy()).collect()) == 1


def test_what_was_seen_after_it_was_received_is_taken_for_received_then() -> None:
    row = given_rows([(0, "a", "v", "x")])[0] | {"first_seen": at(2), "last_seen": at(3)}
    assert members_of([row]).select("first_seen", "last_seen").row(0) == (at(0), at(0))


def test_a_cause_replaces_the_one_before_and_stays_when_nothing_new_is_known() -> None:
    members = members_of(given_rows([(0, "a", "v", "x"), (1, "b", "v", "x")])).lazy()
    summary = members.collect()["summary"][0]
    said = {"summary": summary, "cause_text": "rollout of Deployment web at 16:01Z", "cause_at": at(1),
            "cause_reason": "ScalingReplicaSet", "cause_object": "Deployment/web", "confidence": 0.8}  # fmt: skip
    causes = frame(schema.CAUSES, [said])
    once = with_causes(members, causes)
    assert once.select("cause_text", "confidence", "is_explained").collect().rows()[0] == (
        "rollout of Deployment web at 16:01Z", 0.8, True,
    )  # fmt: skip
    twice = with_causes(once.select(*MEMBERS), causes).select("cause_text", "is_explained").collect()
    assert twice.rows()[0] == ("rollout of Deployment web at 16:01Z", False)
    kept = with_causes(once.select(*MEMBERS), frame(schema.CAUSES, [])).select("cause_text", "is_explained").collect()
    assert sorted(kept.rows(), key=str) == sorted(
        [("rollout of Deployment web at 16:01Z", False), (None, False)], key=str
    )
