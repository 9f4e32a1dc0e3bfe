"""Each rule on one scripted story, and what every choice of a cause owes: time decides, and nothing else."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from batcher.causes import BUILT_IN, CauseRule, Side
from batcher.schema import FOLLOWED, HAPPENINGS, KNOWN_CAUSES, KNOWN_LINKS, LINKS, OCCURRENCES, PODS, empty
from batcher.stages.chain import FOUND, find, follow, forgotten_links, link, remember_links, surest, within_reach
from batcher.stages.happen import happen
from batcher.stages.host import host, sightings
from tests.stages.rows import at, frame

Rows = Sequence[dict[str, Any]]

POD, OTHER = "web-7c5d8f9b6d-x2z4t", "web-7c5d8f9b6d-b4c5d"
UP, DOWN = "Scaled up replica set web-7c5d8f9b6d to 3", "Scaled down replica set web-7c5d8f9b6d to 0 from 3"
CRASH = f"Back-off restarting failed container app in pod {POD}_shop(0f6b8526-3587-433e-91fd-1aa49e1a0bd5)"
PULL, NOT_PULLED = 'Back-off pulling image "acme/web:1"', 'Failed to pull image "acme/web:1": not found'
ASSIGNED = f"Successfully assigned shop/{POD} to n1"


def said(seconds: float, reason: str, regarding: str, message: str = "", **more: Any) -> dict[str, Any]:
    """A row that happens and is received ``seconds`` after the start; about ``Kind/name``."""
    kind, _, name = regarding.partition("/")
    namespace = "" if kind == "Node" else "shop"
    return {
        "position": int(seconds * 1000), "received_at": at(seconds / 60), "last_at": at(seconds / 60), "grew": 1,
        "cluster_uid": "u", "cluster": "us", "reason": reason, "regarding_kind": kind, "regarding_name": name,
        "namespace": namespace or "default", "regarding_namespace": namespace, "message": message,
    } | more  # fmt: skip


def kubelet(seconds: float, reason: str, message: str = "", *, pod: str = POD, node: str = "n1", **more: Any) -> Any:
    return said(seconds, reason, f"Pod/{pod}", message, component="kubelet", host=node, **more)


def happenings(rows: Rows, rules: Sequence[CauseRule] = BUILT_IN) -> pl.DataFrame:
    """What ``rows`` tell of, each with a summary of its own: its reason and object."""
    told = frame(OCCURRENCES, rows)
    seen = sightings(told).collect().lazy()
    found = happen(told, frame(HAPPENINGS, []), rules=rules, owner=True).collect().lazy()
    summary = pl.concat_str("reason", pl.lit(" "), "told_kind", pl.lit("/"), "told_name")
    return host(found, frame(PODS, []), seen).with_columns(summary=summary).collect()


def followed(every: pl.DataFrame, rules: Sequence[CauseRule] = BUILT_IN) -> pl.DataFrame:
    """All of ``every`` that have a cause, long after nothing can change it."""
    found = find(every.lazy(), every.lazy(), rules=rules).collect()
    both = every.join(found, on="position", how="left")
    front = both.filter(pl.col("cause_position").is_null()).select(*HAPPENINGS).with_columns(final_at="due_at")
    pending, reached = both.filter(pl.col("cause_position").is_not_null()).lazy(), [empty(FOLLOWED)]
    while len(front):
        front = follow(pending, front.lazy(), now=at(10_000)).collect()
        reached.append(front)
    return pl.concat(reached).sort("position")


def paths(*rows: dict[str, Any]) -> list[str]:
    """The way from the root to each effect, in the order of the rows."""
    return followed(happenings(rows))["path"].to_list()


RULES_IN_A_STORY: list[tuple[str, list[dict[str, Any]], str]] = [
    ("node-trouble", [said(0, "Rebooted", "Node/n1"), said(20, "NodeNotReady", "Node/n1")], "Rebooted > NodeNotReady"),
    ("node-pods-not-ready", [said(0, "NodeNotReady", "Node/n1"), kubelet(-99, "Started"),
                             said(5, "NodeNotReady", f"Pod/{POD}", "Node is not ready")],
     "NodeNotReady > NodeNotReady"),
    ("node-unhealthy", [said(0, "NodeNotReady", "Node/n1"), kubelet(30, "Unhealthy", "Readiness probe failed: ")],
     "NodeNotReady > Unhealthy"),
    ("pod-not-ready", [said(0, "PodNotReady", f"Pod/{POD}"), kubelet(30, "Unhealthy", "Readiness probe failed: ")],
     "PodNotReady > Unhealthy"),
    ("node-taint", [kubelet(-9, "Pulling"), said(0, "NodeNotReady", "Node/n1"),
                    said(300, "TaintManagerEviction", f"Pod/{POD}", f"Marking for deletion Pod shop/{POD}")],
     "NodeNotReady > TaintManagerEviction"),
    ("disk-full", [said(0, "FreeDiskSpaceFailed", "Node/n1"), said(60, "NodeHasDiskPressure", "Node/n1")],
     "FreeDiskSpaceFailed > NodeHasDiskPressure"),
    ("node-pressure", [said(0, "EvictionThresholdMet", "Node/n1"), kubelet(9, "Evicted", "The node was low")],
     "EvictionThresholdMet > Evicted"),
    ("evicted-killing", [kubelet(0, "Evicted"), kubelet(1, "Killing", "Stopping container app")], "Evicted > Killing"),
    ("evicted-replaced", [kubelet(0, "Evicted"),
                          said(2, "SuccessfulCreate", "ReplicaSet/web-7c5d8f9b6d", f"Created pod: {OTHER}")],
     "Evicted > SuccessfulCreate"),
    ("preempted-killing", [said(0, "Preempted", f"Pod/{POD}"), kubelet(1, "Killing", "Stopping container app")],
     "Preempted > Killing"),
    ("out-of-memory", [kubelet(0, "OOMKilling", "Memory cgroup out of memory"), kubelet(9, "BackOff", CRASH)],
     "OOMKilling > BackOff"),
    ("node-out-of-memory", [said(0, "SystemOOM", "Node/n1"), kubelet(9, "BackOff", CRASH)], "SystemOOM > BackOff"),
    ("probe-killing", [kubelet(0, "Unhealthy", "Liveness probe failed: HTTP 500"),
                       kubelet(9, "Killing", "Container app failed liveness probe, will be restarted")],
     "Unhealthy > Killing"),
    ("killing-back-off", [kubelet(0, "Killing", "Container app failed startup probe, will be restarted"),
                          kubelet(9, "BackOff", CRASH)], "Killing > BackOff"),
    ("back-off-limit", [kubelet(0, "BackOff", CRASH, pod="import-x2z4t"),
                        said(9, "BackoffLimitExceeded", "Job/import", "Job has reached the specified backoff limit")],
     "BackOff > BackoffLimitExceeded"),
    ("image-back-off", [kubelet(0, "Failed", NOT_PULLED), kubelet(9, "BackOff", PULL)], "Failed > BackOff"),
    ("attach-mount", [said(0, "FailedAttachVolume", f"Pod/{POD}", "Multi-Attach error"), kubelet(9, "FailedMount")],
     "FailedAttachVolume > FailedMount"),
    ("claim-mount", [said(0, "ProvisioningFailed", "PersistentVolumeClaim/data"),
                     kubelet(9, "FailedMount", 'persistentvolumeclaim "data" is not bound')],
     "ProvisioningFailed > FailedMount"),
    ("creating", [kubelet(0, "FailedMount"), said(60, "ContainerCreating", f"Pod/{POD}")],
     "FailedMount > ContainerCreating"),
    ("network-sandbox", [kubelet(0, "NetworkNotReady"), kubelet(9, "FailedCreatePodSandBox")],
     "NetworkNotReady > FailedCreatePodSandBox"),
    ("claim-scheduling", [said(0, "ProvisioningFailed", "PersistentVolumeClaim/data"),
                          said(9, "FailedScheduling", f"Pod/{POD}", "unbound immediate PersistentVolumeClaims")],
     "ProvisioningFailed > FailedScheduling"),
    ("unschedulable", [said(0, "FailedScheduling", f"Pod/{POD}"), said(60, "Pending", f"Pod/{POD}")],
     "FailedScheduling > Pending"),
    ("unschedulable-scale-up", [said(0, "FailedScheduling", f"Pod/{POD}"), said(9, "NotTriggerScaleUp", f"Pod/{POD}")],
     "FailedScheduling > NotTriggerScaleUp"),
    ("unschedulable-preempting", [said(0, "FailedScheduling", "Pod/rich"),
                                  said(1, "Preempted", f"Pod/{POD}", related_kind="Pod", related_name="rich")],
     "FailedScheduling > Preempted"),
    ("rescale", [said(0, "SuccessfulRescale", "HorizontalPodAutoscaler/web", "New size: 3"),
                 said(1, "ScalingReplicaSet", "Deployment/web", UP)], "SuccessfulRescale > ScalingReplicaSet"),
    ("scale-up", [said(0, "ScalingReplicaSet", "Deployment/web", UP),
                  said(1, "SuccessfulCreate", "ReplicaSet/web-7c5d8f9b6d", f"Created pod: {POD}")],
     "ScalingReplicaSet > SuccessfulCreate"),
    ("scale-down", [said(0, "ScalingReplicaSet", "Deployment/web", DOWN),
                    said(1, "SuccessfulDelete", "ReplicaSet/web-7c5d8f9b6d", f"Deleted pod: {POD}")],
     "ScalingReplicaSet > SuccessfulDelete"),
    ("cron", [said(0, "SuccessfulCreate", "CronJob/backup", "Created job backup-29384756"),
              said(1, "SuccessfulCreate", "Job/backup-29384756", "Created pod: backup-29384756-x2z4t")],
     "SuccessfulCreate > SuccessfulCreate"),
    ("created-scheduled", [said(0, "SuccessfulCreate", "StatefulSet/db", "create Pod db-0 in StatefulSet db done"),
                           said(1, "Scheduled", "Pod/db-0", "Successfully assigned shop/db-0 to n1")],
     "SuccessfulCreate > Scheduled"),
    ("deleted-killing", [said(0, "SuccessfulDelete", "ReplicaSet/web-7c5d8f9b6d", f"Deleted pod: {POD}"),
                         kubelet(1, "Killing", "Stopping container app")], "SuccessfulDelete > Killing"),
    ("scheduled-pulled", [said(0, "Scheduled", f"Pod/{POD}", ASSIGNED), kubelet(3, "Pulled")], "Scheduled > Pulled"),
    ("pulled-started", [kubelet(0, "Pulled"), kubelet(1, "Started")], "Pulled > Started"),
    ("rollout-lives-badly", [said(0, "ScalingReplicaSet", "Deployment/web", UP), kubelet(9, "BackOff", CRASH)],
     "ScalingReplicaSet > BackOff"),
    ("rollout-starts-badly", [said(0, "ScalingReplicaSet", "Deployment/web", UP), kubelet(9, "FailedMount")],
     "ScalingReplicaSet > FailedMount"),
    ("rollout-refused", [said(0, "ScalingReplicaSet", "Deployment/web", UP),
                         said(2, "FailedCreate", "ReplicaSet/web-7c5d8f9b6d", "forbidden: exceeded quota: compute")],
     "ScalingReplicaSet > FailedCreate"),
    ("refused", [said(0, "FailedCreate", "ReplicaSet/web-7c5d8f9b6d"),
                 said(9, "ProgressDeadlineExceeded", "Deployment/web")],
     "FailedCreate > ProgressDeadlineExceeded"),
    ("no-metrics", [said(0, "FailedGetResourceMetric", "HorizontalPodAutoscaler/web"),
                    said(1, "FailedComputeMetricsReplicas", "HorizontalPodAutoscaler/web")],
     "FailedGetResourceMetric > FailedComputeMetricsReplicas"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "rows", "path"), RULES_IN_A_STORY, ids=[rule for rule, _, _ in RULES_IN_A_STORY])
def test_each_rule_links_its_cause_to_its_effect(rule: str, rows: Rows, path: str) -> None:
    found = followed(happenings(rows))
    assert found.select("rule", "path").rows() == [(rule, path)]


def test_every_built_in_rule_has_its_story() -> None:
    assert [rule.name for rule in BUILT_IN] == [rule for rule, _, _ in RULES_IN_A_STORY]


ROLLOUT = [
    said(0, "SuccessfulRescale", "HorizontalPodAutoscaler/web", "New size: 3"),
    said(1, "ScalingReplicaSet", "Deployment/web", UP),
    said(2, "SuccessfulCreate", "ReplicaSet/web-7c5d8f9b6d", f"Created pod: {POD}"),
    said(3, "Scheduled", f"Pod/{POD}", ASSIGNED),
    kubelet(5, "Pulled"),
    kubelet(6, "Started"),
]


@pytest.mark.parametrize(
    ("rows", "path"),
    [
        (ROLLOUT, "SuccessfulRescale > ScalingReplicaSet > SuccessfulCreate > Scheduled > Pulled > Started"),
        ([said(0, "NodeNotReady", "Node/n1"), said(3, "PodNotReady", f"Pod/{POD}", host="n1", component="kubelet"),
          kubelet(9, "Unhealthy", "Readiness probe failed: i/o timeout")], "NodeNotReady > PodNotReady > Unhealthy"),
        ([kubelet(0, "Unhealthy", "Liveness probe failed: "), kubelet(9, "Killing", "app failed liveness probe"),
          kubelet(99, "BackOff", CRASH)], "Unhealthy > Killing > BackOff"),
        ([*ROLLOUT[1:4], kubelet(9, "Failed", NOT_PULLED), kubelet(20, "BackOff", PULL)],
         "ScalingReplicaSet > Failed > BackOff"),
        ([said(0, "ImageGCFailed", "Node/n1"), said(60, "EvictionThresholdMet", "Node/n1"), kubelet(70, "Evicted"),
          said(71, "SuccessfulCreate", "ReplicaSet/web-7c5d8f9b6d", f"Created pod: {OTHER}"),
          said(72, "FailedScheduling", f"Pod/{OTHER}"), said(99, "Pending", f"Pod/{OTHER}")],
         "ImageGCFailed > EvictionThresholdMet > Evicted > SuccessfulCreate > FailedScheduling > Pending"),
    ],
)  # fmt: skip
def test_a_chain_is_followed_from_its_last_effect_to_its_root(rows: Rows, path: str) -> None:
    assert paths(*rows)[-1] == path


def test_a_cause_and_its_root_are_told_with_their_times_objects_and_summaries() -> None:
    (*_, last) = followed(happenings(ROLLOUT)).to_dicts()
    assert {name: last[name] for name in last if name.startswith(("cause_", "root_"))} == {
        "cause_summary": "Pulled Deployment/web", "cause_position": 5000, "cause_at": at(5 / 60),
        "cause_reason": "Pulled", "cause_kind": "Deployment", "cause_namespace": "shop", "cause_name": "web",
        "root_summary": "SuccessfulRescale HorizontalPodAutoscaler/web", "root_position": 0, "root_at": at(0),
        "root_reason": "SuccessfulRescale", "root_kind": "HorizontalPodAutoscaler", "root_namespace": "shop",
        "root_name": "web", "root_workspace": "", "root_target_namespace": "",
    }  # fmt: skip
    assert (last["rule"], last["confidence"], last["certainty"]) == ("pulled-started", 0.946, 0.723)


@pytest.mark.parametrize(
    "rows",
    [
        [kubelet(0, "Failed", NOT_PULLED, pod=OTHER), kubelet(9, "BackOff", PULL)],
        [kubelet(0, "Failed", NOT_PULLED, cluster_uid="v"), kubelet(9, "BackOff", PULL)],
        [kubelet(0, "Failed", NOT_PULLED, regarding_namespace="bank"), kubelet(9, "BackOff", PULL)],
        [kubelet(0, "Failed", "Error: no such file"), kubelet(9, "BackOff", PULL)],
        [kubelet(0, "Failed", NOT_PULLED), kubelet(9, "BackOff", CRASH)],
        [kubelet(0, "Failed", NOT_PULLED, grew=0), kubelet(9, "BackOff", PULL)],
        [said(0, "NodeNotReady", "Node/n2"), kubelet(9, "Unhealthy", "Readiness probe failed: ")],
        [said(0, "NodeNotReady", f"Pod/{POD}"), kubelet(9, "TaintManagerEviction")],
        [said(0, "ScalingReplicaSet", "Deployment/web", DOWN), kubelet(9, "BackOff", CRASH)],
        [said(0, "ScalingReplicaSet", "Deployment/api", UP), kubelet(9, "BackOff", CRASH)],
        [kubelet(0, "Unhealthy", "Readiness probe failed: "), kubelet(9, "Killing", "Stopping container app")],
        [said(0, "SuccessfulCreate", "ReplicaSet/web-7c5d8f9b6d", "Created pod: "), said(1, "Scheduled", f"Pod/{POD}")],
        [said(0, "SuccessfulCreate", "ReplicaSet/", "none"), said(1, "Scheduled", "Pod/", "none")],
    ],
)
def test_what_happens_to_another_thing_or_is_another_thing_is_no_cause(rows: Rows) -> None:
    assert paths(*rows) == []


@pytest.mark.parametrize(("seconds", "linked"), [(-601, False), (-600, True), (0, True), (30, True), (31, False)])
def test_a_cause_is_at_most_its_lag_before_its_effect_and_half_a_minute_after_it(
    seconds: float, *, linked: bool
) -> None:
    cause = kubelet(1000 + seconds, "Failed", NOT_PULLED, position=1)
    assert bool(paths(cause, kubelet(1000, "BackOff", PULL))) == linked


def test_the_newest_cause_is_taken_and_of_two_at_once_the_last_one_told_of() -> None:
    rows = [kubelet(0, "Failed", NOT_PULLED), kubelet(70, "Failed", NOT_PULLED),
            kubelet(70, "Failed", NOT_PULLED, position=3, received_at=at(2), cluster="told last"),
            kubelet(600, "BackOff", PULL, position=9)]  # fmt: skip
    assert followed(happenings(rows))["cause_position"].to_list() == [70_000]
    assert followed(happenings([*rows[:2], rows[2] | {"position": 99_000}, rows[3]]))["cause_position"].to_list() == [
        99_000
    ]


@pytest.mark.parametrize(
    ("seconds", "rule", "confidence"),
    [(0, "image-back-off", 0.95), (300, "image-back-off", 0.712), (600, "image-back-off", 0.475)],
)
def test_the_longer_it_takes_the_less_sure_it_is(seconds: float, rule: str, confidence: float) -> None:
    found = followed(happenings([kubelet(0, "Failed", NOT_PULLED), kubelet(seconds, "BackOff", PULL, position=10**9)]))
    assert found.select("rule", "confidence").rows() == [(rule, confidence)]


def test_of_several_rules_the_surest_decides_not_the_newest_cause() -> None:
    rows = [kubelet(0, "OOMKilling"), said(9, "ScalingReplicaSet", "Deployment/web", UP), kubelet(10, "BackOff", CRASH)]
    assert paths(*rows) == ["OOMKilling > BackOff"]


def test_an_effect_that_is_received_before_its_cause_is_linked() -> None:
    late = kubelet(0, "Failed", NOT_PULLED, position=99_000, received_at=at(2))
    assert paths(late, kubelet(9, "BackOff", PULL)) == ["Failed > BackOff"]


def test_a_list_after_an_outage_links_what_it_tells_of() -> None:
    both = (kubelet(0, "Failed", NOT_PULLED), kubelet(9, "BackOff", PULL))
    assert paths(*(row | {"received_at": at(180)} for row in both)) == ["Failed > BackOff"]


def test_what_comes_an_hour_late_changes_nothing_that_came_in_time() -> None:
    late = kubelet(8, "Failed", NOT_PULLED, position=10**9, received_at=at(60))
    assert paths(late, kubelet(9, "BackOff", PULL)) == []
    assert paths(kubelet(0, "Failed", NOT_PULLED), kubelet(9, "BackOff", PULL, received_at=at(60))) == []


def test_a_time_in_the_future_is_the_time_of_receipt() -> None:
    ahead = kubelet(0, "Failed", NOT_PULLED, last_at=at(500))
    assert paths(ahead, kubelet(9, "BackOff", PULL)) == ["Failed > BackOff"]


def test_a_rule_of_the_configuration_links_as_a_built_in_one_does() -> None:
    mine = CauseRule("failover", Side(("FailoverStarted",)), Side(("Unhealthy",)), "namespace", timedelta(minutes=1))
    rows = [said(0, "FailoverStarted", "Database/main"), kubelet(6, "Unhealthy", "Readiness probe failed: ")]
    found = followed(happenings(rows, (*BUILT_IN, mine)), (*BUILT_IN, mine))
    assert found.select("rule", "path", "confidence").rows() == [("failover", "FailoverStarted > Unhealthy", 0.475)]


@pytest.mark.parametrize(
    ("join", "cause", "effect"),
    [
        (
            "image",
            kubelet(0, "A", 'Pulling image "acme/base:9"', pod="one"),
            kubelet(1, "B", 'image "acme/base:9" is bad'),
        ),
        ("volume", said(0, "A", "PersistentVolumeClaim/data"), kubelet(1, "B", 'persistentvolumeclaim "data" is lost')),
        ("node", said(0, "A", "Node/n1"), kubelet(1, "B")),
        ("owner", said(0, "A", "StatefulSet/db"), said(1, "B", "Pod/db-0")),
        ("related", said(0, "A", "Pod/one", related_kind="Pod", related_name="two"), said(1, "B", "Pod/two")),
        ("related", said(0, "A", "Pod/one"), said(1, "B", "Pod/two", related_kind="Pod", related_name="one")),
        ("object", said(0, "A", "Pod/one"), said(1, "B", "Pod/one")),
        ("namespace", said(0, "A", "Pod/one"), said(1, "B", "Pod/two")),
    ],
)
def test_a_rule_joins_by_what_both_have_in_common(join: Any, cause: Any, effect: Any) -> None:
    rules = [CauseRule("mine", Side(("A",)), Side(("B",)), join)]
    assert followed(happenings([cause, effect], rules), rules)["path"].to_list() == ["A > B"]
    nothing = effect | {"cluster_uid": "v"}
    assert followed(happenings([cause, nothing], rules), rules).is_empty()


LINE = [
    CauseRule("one", Side(("A",)), Side(("B",)), "object", timedelta(minutes=1), 0.9),
    CauseRule("two", Side(("B",)), Side(("C",)), "object", timedelta(minutes=3), 0.8),
    CauseRule("three", Side(("A",)), Side(("C",)), "node", timedelta(minutes=2), 0.8),
]
few = st.lists(
    st.builds(
        lambda reason, pod, minute, late, position: kubelet(
            60 * minute, reason, pod=pod, position=position, received_at=at(minute + late)
        ),
        st.sampled_from("ABC"), st.sampled_from(["one", "two"]), st.sampled_from([0, 0.3, 0.6, 1, 1.4, 2, 3, 5]),
        st.sampled_from([0, 0.2, 1, 7]), st.integers(0, 99),
    ),
    max_size=10, unique_by=lambda row: row["position"],
)  # fmt: skip


stories = settings(max_examples=max(5, settings().max_examples // 5))  # a story is many frames


@stories
@given(few)
def test_the_cause_is_the_one_that_a_look_at_every_pair_finds(rows: Rows) -> None:
    every = happenings(rows, LINE)
    found = {row["position"]: row for row in find(every.lazy(), every.lazy(), rules=LINE).collect().to_dicts()}
    for effect in every.to_dicts():
        pairs = [pair for cause in every.to_dicts() for pair in allowed(cause, effect)]
        newest = {pair[2]: pair for pair in sorted(pairs)}
        best = max(((sure, *when) for when, sure, _ in newest.values()), default=None)
        told = found.get(effect["position"])
        assert (told and (told["confidence"], told["cause_position"])) == (best and (best[0], best[2]))


@stories
@given(few, st.sets(st.integers(0, 99)))
def test_what_is_out_of_reach_is_the_cause_of_none(rows: Rows, asked: set[int]) -> None:
    every = happenings(rows, LINE)
    effects = every.filter(pl.col("position").is_in(sorted(asked)))
    near = every.filter(within_reach(effects, LINE))
    found = [find(effects.lazy(), causes.lazy(), rules=LINE).collect() for causes in (near, every)]
    assert_frame_equal(*found)


def test_what_has_the_reason_of_no_cause_or_was_too_long_ago_is_out_of_reach() -> None:
    rows = [said(0, "A", "Pod/a"), said(3600, "A", "Pod/a"), said(3601, "B", "Pod/a"), said(3602, "Other", "Pod/a")]
    every = happenings(rows, LINE)
    effects = every.filter(pl.col("reason") == "B")
    assert every.filter(within_reach(effects, LINE))["position"].to_list() == [3_600_000, 3_601_000]


def allowed(cause: dict[str, Any], effect: dict[str, Any]) -> list[tuple[tuple[Any, int], float, tuple[int, bool]]]:
    """What the rules say of a pair, as simply as can be: when the cause was, how sure that is, by which rule."""
    pairs = []
    for number, rule in enumerate(LINE):
        same = cause["regarding_name"] == effect["regarding_name"] if rule.join == "object" else True
        apart = effect["happened_at"] - cause["happened_at"]
        in_time = cause["received_at"] - cause["happened_at"] <= rule.largest_lag + timedelta(minutes=2)
        known = effect["received_at"] - cause["happened_at"] <= rule.largest_lag + timedelta(minutes=3)
        late = effect["received_at"] - effect["happened_at"] > timedelta(minutes=2)
        minutes = [row["received_at"].replace(second=0, microsecond=0) for row in (cause, effect)]
        together = late and minutes[0] == minutes[1]
        near = timedelta(seconds=-30) <= apart <= rule.largest_lag
        reasons = (cause["reason"], effect["reason"]) == (rule.cause.reasons[0], rule.effect.reasons[0])
        if same and near and reasons and (known if in_time else together):
            weight = rule.weight * (1 - abs(apart) / rule.largest_lag / 2)
            pairs.append(((cause["happened_at"], cause["position"]), round(weight, 3), (number, in_time)))
    return pairs


def linked(minute: float, effect: str = "e", cause: str = "c", **more: Any) -> dict[str, Any]:
    return {
        "summary": effect, "cause_summary": cause, "cause_reason": "A", "final_at": at(minute), "is_final": True,
        "position": int(minute), "root_summary": cause, "root_reason": "A", "confidence": 0.5,
    } | more  # fmt: skip


def links(*rows: dict[str, Any], known: Rows = ()) -> list[tuple[int, str, str]]:
    found = link(frame(FOLLOWED, rows), frame(KNOWN_LINKS, known), batch=7).collect()
    assert found.schema == LINKS
    return found.select("effect_position", "effect_summary", "cause_summary").rows()


def test_a_link_is_written_when_it_is_found_first_and_again_only_after_an_hour_without_it() -> None:
    often = [linked(minute) for minute in (1, 30, 80, 139, 200, 261)]
    assert links(*reversed(often)) == [(1, "e", "c"), (200, "e", "c"), (261, "e", "c")]
    before = {"effect_summary": "e", "cause_summary": "c", "cause_reason": "A"}
    assert links(linked(30), known=[before | {"used_at": at(0)}]) == []
    assert links(linked(61), known=[before | {"used_at": at(0)}]) == [(61, "e", "c")]
    assert links(linked(30), known=[before | {"cause_reason": "B", "used_at": at(0)}]) == [(30, "e", "c")]


def test_neither_a_guess_nor_what_no_summary_counts_nor_a_summary_of_itself_is_linked() -> None:
    assert links(linked(1, is_final=False), linked(1, effect=""), linked(1, effect="c")) == []
    assert links(linked(1, cause="")) == [(1, "e", "")]


def test_the_state_knows_when_a_link_was_found_last_and_forgets_it_after_an_hour() -> None:
    known = remember_links(frame(FOLLOWED, [linked(1), linked(40), linked(20), linked(9, is_final=False)])).collect()
    assert known.schema == KNOWN_LINKS
    assert known.select("effect_summary", "cause_summary", "used_at").rows() == [("e", "c", at(40))]
    assert forgotten_links(known.lazy(), at(100)).collect().is_empty()
    assert len(forgotten_links(known.lazy(), at(100.1)).collect()) == 1


def test_the_surest_cause_of_a_summary_is_kept_and_what_is_final_goes_before_a_guess() -> None:
    known = frame(KNOWN_CAUSES, [{"summary": "e", "confidence": 0.7, "root_reason": "old", "position": 50},
                                 {"summary": "other"}])  # fmt: skip

    def kept(*rows: dict[str, Any]) -> list[tuple[str, str]]:
        found = surest(frame(FOLLOWED, rows), known).collect()
        assert found.schema == KNOWN_CAUSES
        return found.select("summary", "root_reason").rows()

    assert kept(linked(1, confidence=0.6)) == [("e", "old")]
    assert kept(linked(1, confidence=0.8)) == [("e", "A")]
    assert kept(linked(1, confidence=0.7)) == [("e", "A")]
    assert kept(linked(1, confidence=0.7, is_final=False)) == [("e", "old")]
    assert kept(linked(60, confidence=0.7, is_final=False)) == [("e", "A")]
    assert kept(linked(1, root_summary="e", confidence=0.9)) == []
    assert kept(linked(1, effect="new", confidence=0.1)) == [("new", "A")]


@stories
@given(few, st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_of_what_is_known_chooses(rows: Rows, chance: Any) -> None:
    shuffled = chance.sample(list(rows), len(rows))
    assert_frame_equal(happenings(shuffled, LINE), happenings(rows, LINE))
    every = happenings(rows, LINE)
    other = every.select(pl.all().gather(chance.sample(range(len(every)), len(every))))
    assert_frame_equal(followed(other, LINE), followed(every, LINE), check_row_order=False)
    assert find(every.lazy(), other.lazy(), rules=LINE).collect().schema == FOUND


@stories
@given(few)
def test_every_effect_has_one_cause_that_was_told_of_and_a_root_that_has_none(rows: Rows) -> None:
    every = happenings(rows, LINE)
    found = followed(every, LINE)
    assert found["position"].is_unique().all()
    assert set(found["cause_position"]) | set(found["root_position"]) <= set(every["position"])
    assert not set(found["root_position"]) & set(found["position"])
    assert found["certainty"].is_between(0, 0.9).all()
