"""A tenant reads why it happened, and nothing of what is not theirs."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.schema import CAUSES, KNOWN_CAUSES, OPEN_SUMMARIES
from batcher.stages.explain import explain
from tests.stages.rows import at, frame

MINE = {"summary": "s", "workspace": "root:shop", "target_namespace": "web", "regarding_kind": "Pod"}
HERE = {"root_workspace": "root:shop", "root_target_namespace": "web"}


def told(cause: dict[str, Any], summary: dict[str, Any] | None = None, *, expose: bool = False) -> tuple[str, str]:
    known = frame(KNOWN_CAUSES, [{"summary": "s", "root_at": at(61), "certainty": 0.8} | cause])
    found = explain(frame(OPEN_SUMMARIES, [MINE | (summary or {})]), known, expose_nodes=expose).collect()
    assert found.schema == CAUSES
    assert found.select("summary", "cause_at", "confidence").rows() == [("s", at(61), 0.8)]
    return found["cause_object"][0], found["cause_text"][0]


def root(reason: str, kind: str, name: str = "secret", **more: str) -> dict[str, str]:
    return {"root_reason": reason, "root_kind": kind, "root_name": name} | more


@pytest.mark.parametrize(
    ("cause", "object_", "text"),
    [
        (root("ScalingReplicaSet", "Deployment", "api", **HERE), "Deployment/api",
         "rollout of Deployment api at 13:01Z"),
        (root("OOMKilling", "Pod", "api", **HERE), "Pod/api", "OOMKilling of Pod api at 13:01Z"),
        (root("NodeNotReady", "Node"), "", "a node of the cluster was not ready at 13:01Z"),
        (root("NodeNotReady", "Node", **HERE), "", "a node of the cluster was not ready at 13:01Z"),
        (root("EvictionThresholdMet", "Node"), "", "a node of the cluster was short of resources at 13:01Z"),
        (root("SystemOOM", "Node"), "", "a node of the cluster ran out of memory at 13:01Z"),
        (root("KernelOops", "Node"), "", "a node of the cluster was in trouble at 13:01Z"),
        (root("Failed", "Pod", root_workspace="root:bank", root_target_namespace="web"), "",
         "Failed elsewhere in the cluster at 13:01Z"),
        (root("Failed", "Pod", root_workspace="root:shop", root_target_namespace="db"), "",
         "Failed elsewhere in the cluster at 13:01Z"),
        (root("Failed", "Pod"), "", "Failed elsewhere in the cluster at 13:01Z"),
    ],
)  # fmt: skip
def test_a_cause_of_the_same_namespace_is_named_and_any_other_is_not(cause: Any, object_: str, text: str) -> None:
    assert told(cause) == (object_, text)


def test_a_node_is_named_to_the_owner_of_the_cluster_and_where_the_operator_exposes_them() -> None:
    node = root("NodeNotReady", "Node", "n1", **HERE)
    named = ("Node/n1", "NodeNotReady of Node n1 at 13:01Z")
    assert told(node, {"regarding_kind": "Node"}) == named
    assert told(node, expose=True) == named
    elsewhere = root("NodeNotReady", "Node", "n1", root_workspace="root:ops", root_target_namespace="default")
    assert told(elsewhere, expose=True) == ("", "a node of the cluster was not ready at 13:01Z")


def test_what_waits_for_a_workspace_is_not_told_the_names_of_what_waits_too() -> None:
    text = "Failed elsewhere in the cluster at 13:01Z"
    assert told(root("Failed", "Pod"), {"workspace": "", "target_namespace": ""}) == ("", text)


places = st.sampled_from(["", "root:shop", "root:bank"])
spaces = st.sampled_from(["", "web", "db"])


stories = settings(max_examples=max(5, settings().max_examples // 5))  # a story is many frames


@stories
@given(
    places, spaces, places, spaces, st.sampled_from(["Pod", "Node"]), st.sampled_from(["Pod", "Node"]), st.booleans()
)
def test_a_name_is_told_only_in_the_place_where_it_lies(
    workspace: str,
    space: str,
    of: str,
    its: str,
    kind: str,
    about: str,
    expose: bool,  # noqa: FBT001
) -> None:
    summary = {"workspace": workspace, "target_namespace": space, "regarding_kind": about}
    cause = root("NodeNotReady", kind, "canary", root_workspace=of, root_target_namespace=its)
    named = "canary" in "".join(told(cause, summary, expose=expose))
    assert not named or (workspace and (workspace, space) == (of, its) and (kind == "Pod" or about == "Node" or expose))


def test_a_name_that_no_object_can_have_is_cut() -> None:
    object_, text = told(root("OOMKilling", "P" * 999, "n" * 9999, **HERE))
    assert (len(object_), len(text)) == (507, 10 + 4 + 253 + 1 + 253 + 10)


def test_a_summary_without_a_known_cause_has_no_row() -> None:
    found = explain(frame(OPEN_SUMMARIES, [MINE]), frame(KNOWN_CAUSES, [{"summary": "other"}]), expose_nodes=False)
    assert found.collect().is_empty()
    assert isinstance(found, pl.LazyFrame)
