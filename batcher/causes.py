"""What is known to lead to what: causal rules, as data.

A rule says that one kind of happening is likely the cause of another that follows it on the same thing, within a time.
Rules lead one way: none can make a happening its own cause, however they are strung together, so that every chain has
a root. Nothing here looks at a row: that is :mod:`batcher.stages.chain`'s.

Source of the reasons: ``pkg/kubelet/events``, ``pkg/controller`` and ``pkg/scheduler`` of Kubernetes,
node-problem-detector and cluster-autoscaler. ``Pending``, ``ContainerCreating`` and ``PodNotReady`` are states that
Kubernetes tells no Event of; controllers of others do.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import product
from typing import Literal, NamedTuple

Join = Literal["object", "owner", "node", "volume", "image", "namespace", "related"]
"""What a cause and its effect have in common, always within one cluster.

``object`` the same object; ``owner`` the workload, by the name that its objects have in common; ``node`` where a Pod
runs; ``volume`` and ``image`` as the messages name them; ``related`` one refers to the other."""

LONGEST_LAG = timedelta(minutes=10)
"""As long as a rollout's default ``progressDeadlineSeconds``; what may be a cause is remembered for two and a half of
it."""
MOST_STEPS = 12
"""From a root to the last effect. The longest way through the built-in rules has nine."""


class Side(NamedTuple):
    """Happenings that a rule is about: those of one of ``reasons``, and of all else that is given."""

    reasons: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    """Of the object; none: any."""
    about: str = ""
    """What the message is about (:data:`ABOUT`); empty: anything."""


class CauseRule(NamedTuple):
    """``cause`` leads to ``effect``."""

    name: str
    cause: Side
    effect: Side
    join: Join
    largest_lag: timedelta = LONGEST_LAG
    """From the cause to its effect."""
    weight: float = 0.5
    """How sure it is, 0 to 1, when the effect follows at once."""


class Meaning(NamedTuple):
    """What messages of some reasons are about: the first pattern that matches."""

    about: str
    reasons: tuple[str, ...]
    pattern: str


ABOUT = (
    Meaning("image", ("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InspectFailed"), ""),
    Meaning(
        "image",
        ("BackOff", "Failed"),
        r"^(?:Back-off pulling|Failed to (?:pull|inspect|apply default)"
        r"|Error: (?:ErrImage|ImagePull|InvalidImageName|ImageInspect|RegistryUnavailable))",
    ),
    Meaning("crash", ("BackOff",), r"^Back-off restarting"),
    Meaning("up", ("ScalingReplicaSet",), r"^Scaled up"),
    Meaning("down", ("ScalingReplicaSet",), r"^Scaled down"),
    Meaning("probe", ("Unhealthy",), r"^(?:Liveness|Startup) probe"),
    Meaning("probe", ("Killing",), r"failed (?:liveness|startup) probe"),
    Meaning("volume", ("FailedScheduling",), r"(?i)persistentvolumeclaim|volume"),
)
"""Reasons that say several things, and those that say one of them by themselves; others are about nothing in
particular."""


def _of(*reasons: str, kind: str = "", about: str = "") -> Side:
    return Side(reasons, (kind,) if kind else (), about)


def _pod(*reasons: str, about: str = "") -> Side:
    return _of(*reasons, kind="Pod", about=about)


def _node(*reasons: str) -> Side:
    return _of(*reasons, kind="Node")


_RULE, _LONG, _MINUTES, _SOON = CauseRule, LONGEST_LAG, timedelta(minutes=5), timedelta(minutes=2)

_CRASH, _PULL = _pod("BackOff", about="crash"), _pod("BackOff", "ImagePullBackOff", about="image")
_NO_IMAGE = _pod("ErrImageNeverPull", "ErrImagePull", "Failed", "InspectFailed", about="image")
_NOT_READY, _EVICTED = _pod("NodeNotReady", "NotReady", "PodNotReady"), _pod("Evicted", "TaintManagerEviction")
_NODE_TROUBLE = _node(
    "ContainerRuntimeUnhealthy", "FilesystemIsReadOnly", "KernelOops", "KubeletUnhealthy", "Rebooted", "SystemOOM",
    "TaskHung",
)  # fmt: skip
_PRESSURE = _node("EvictionThresholdMet", "NodeHasDiskPressure", "NodeHasInsufficientMemory", "NodeHasInsufficientPID")
_OUT_OF_MEMORY = ("OOMKilled", "OOMKilling", "SystemOOM")
_NO_MOUNT = _pod("FailedAttachVolume", "FailedMapVolume", "FailedMount", "FailedCreatePodSandBox")
_NO_METRICS = _of(
    "FailedGetExternalMetric", "FailedGetObjectMetric", "FailedGetPodsMetric", "FailedGetResourceMetric",
    kind="HorizontalPodAutoscaler",
)  # fmt: skip
_UP, _DOWN = (_of("ScalingReplicaSet", kind="Deployment", about=way) for way in ("up", "down"))
_NO_REPLICAS = _of("MinimumReplicasUnavailable", "ProgressDeadlineExceeded", "ReplicaFailure")

BUILT_IN = (
    # Nodes, and what runs on them.
    _RULE("node-trouble", _NODE_TROUBLE, _node("NodeNotReady"), "node", _MINUTES, 0.8),
    _RULE("node-pods-not-ready", _node("NodeNotReady"), _NOT_READY, "node", _MINUTES, 0.95),
    _RULE("node-unhealthy", _node("NodeNotReady"), _pod("Unhealthy"), "node", _MINUTES, 0.8),
    _RULE("pod-not-ready", _NOT_READY, _pod("Unhealthy"), "object", _MINUTES, 0.85),
    _RULE("node-taint", _node("NodeNotReady"), _pod("TaintManagerEviction"), "node", _LONG, 0.9),
    _RULE("disk-full", _node("FreeDiskSpaceFailed", "ImageGCFailed"), _PRESSURE, "node", _LONG, 0.8),
    _RULE("node-pressure", _PRESSURE, _pod("Evicted"), "node", _MINUTES, 0.9),
    _RULE("evicted-killing", _EVICTED, _pod("Killing"), "object", _MINUTES, 0.9),
    _RULE("evicted-replaced", _EVICTED, _of("SuccessfulCreate"), "owner", _SOON, 0.7),
    _RULE("preempted-killing", _pod("Preempted", "Preempting"), _pod("Killing"), "object", _SOON, 0.9),
    # Containers that do not stay.
    _RULE("out-of-memory", _pod(*_OUT_OF_MEMORY), _CRASH, "object", _LONG, 0.95),
    _RULE("node-out-of-memory", _node(*_OUT_OF_MEMORY), _CRASH, "node", _SOON, 0.65),
    _RULE("probe-killing", _pod("Unhealthy", about="probe"), _pod("Killing", about="probe"), "object", _MINUTES, 0.95),
    _RULE("killing-back-off", _pod("Killing", about="probe"), _CRASH, "object", _LONG, 0.85),
    _RULE("back-off-limit", _pod("BackOff", "Failed"), _of("BackoffLimitExceeded"), "owner", _LONG, 0.85),
    # Images, volumes, sandboxes.
    _RULE("image-back-off", _NO_IMAGE, _PULL, "object", _LONG, 0.95),
    _RULE("attach-mount", _pod("FailedAttachVolume"), _pod("FailedMount"), "object", _LONG, 0.9),
    _RULE("claim-mount", _of("ProvisioningFailed", "VolumeResizeFailed"), _pod("FailedMount"), "volume", _LONG, 0.8),
    _RULE("creating", _NO_MOUNT, _pod("ContainerCreating"), "object", _LONG, 0.95),
    _RULE("network-sandbox", _pod("NetworkNotReady"), _pod("FailedCreatePodSandBox"), "object", _MINUTES, 0.85),
    # Where Pods cannot go.
    _RULE("claim-scheduling", _of("FailedBinding", "ProvisioningFailed", kind="PersistentVolumeClaim"),
          _pod("FailedScheduling", about="volume"), "namespace", _LONG, 0.6),
    _RULE("unschedulable", _pod("FailedScheduling"), _pod("Pending"), "object", _LONG, 0.95),
    _RULE("unschedulable-scale-up", _pod("FailedScheduling"), _pod("NotTriggerScaleUp", "TriggeredScaleUp"), "object",
          _MINUTES, 0.9),
    _RULE("unschedulable-preempting", _pod("FailedScheduling"), _pod("Preempted"), "related", _SOON, 0.9),
    # Rollouts, from the one who scales to the container that starts; and what goes wrong on the way.
    _RULE("rescale", _of("SuccessfulRescale"), _of("ScalingReplicaSet", kind="Deployment"), "owner", _SOON, 0.9),
    _RULE("scale-up", _UP, _of("SuccessfulCreate", kind="ReplicaSet"), "owner", _MINUTES, 0.95),
    _RULE("scale-down", _DOWN, _of("SuccessfulDelete", kind="ReplicaSet"), "owner", _MINUTES, 0.95),
    _RULE("cron", _of("SuccessfulCreate", kind="CronJob"), _of("SuccessfulCreate", kind="Job"), "owner", _SOON, 0.95),
    _RULE("created-scheduled", _of("SuccessfulCreate"), _pod("FailedScheduling", "Scheduled"), "related", _LONG, 0.95),
    _RULE("deleted-killing", _of("SuccessfulDelete"), _pod("Killing"), "related", _SOON, 0.95),
    _RULE("scheduled-pulled", _pod("Scheduled"), _pod("Pulled", "Pulling"), "object", _LONG, 0.95),
    _RULE("pulled-started", _pod("Pulled"), _pod("Created", "Started"), "object", _SOON, 0.95),
    _RULE("rollout-lives-badly", _UP, _pod("BackOff", "Failed", "InspectFailed", "Unhealthy"), "owner", _LONG, 0.7),
    _RULE("rollout-starts-badly", _UP, _pod(*_NO_MOUNT.reasons, "FailedScheduling"), "owner", _LONG, 0.7),
    _RULE("rollout-refused", _UP, _of("FailedCreate", kind="ReplicaSet"), "owner", _LONG, 0.9),
    _RULE("refused", _of("FailedCreate"), _NO_REPLICAS, "owner", _LONG, 0.85),
    # Autoscalers.
    _RULE("no-metrics", _NO_METRICS, _of("FailedComputeMetricsReplicas", kind="HorizontalPodAutoscaler"), "object",
          _MINUTES, 0.95),
)  # fmt: skip
"""The rules that hold without any configuration."""


def problems(rules: Sequence[CauseRule]) -> Iterator[str]:
    """Yield what is wrong with ``rules`` beside :data:`BUILT_IN`: names given twice, and rules that lead back."""
    taken = {rule.name for rule in BUILT_IN}
    for rule in rules:
        if rule.name in taken:
            yield f"{rule.name}: there is a rule of that name already"
        taken.add(rule.name)
    every = [*BUILT_IN, *rules]
    lengths = steps(every)
    for rule, length in zip(every, lengths, strict=True):
        if length == 0:
            yield f"{rule.name}: leads back to its own cause, alone or with rules that follow it"
        elif length > MOST_STEPS:
            yield f"{rule.name}: begins a chain of {length} steps, at most {MOST_STEPS}"


def steps(rules: Sequence[CauseRule]) -> list[int]:
    """Return, for each of ``rules``, the number of steps of the longest chain that it begins; 0: it may never end."""
    after = [[j for j, other in enumerate(rules) if _meet(rule.effect, other.cause)] for rule in rules]
    lengths = [0] * len(rules)
    for _ in rules:  # each pass settles at least one more rule, if any can be
        for i, following in enumerate(after):
            if all(lengths[j] for j in following):
                lengths[i] = 1 + max((lengths[j] for j in following), default=0)
    return lengths


def _meet(one: Side, other: Side) -> bool:
    """Whether a happening can be on both sides."""
    kinds = not one.kinds or not other.kinds or set(one.kinds) & set(other.kinds)
    about = not one.about or not other.about or one.about == other.about
    return bool(set(one.reasons) & set(other.reasons) and kinds and about)


def reasons(rules: Sequence[CauseRule]) -> frozenset[str]:
    """Return every reason that one of ``rules`` speaks of."""
    return frozenset(reason for rule in rules for side in (rule.cause, rule.effect) for reason in side.reasons)


def meanings(rules: Sequence[CauseRule]) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield (number of the rule, ``cause`` or ``effect``, reason, kind, about) for each that a side of it accepts;
    an empty kind or about is any.
    """
    for number, rule in enumerate(rules):
        for role, side in (("cause", rule.cause), ("effect", rule.effect)):
            for reason, kind in product(side.reasons, side.kinds or ("",)):
                yield number, role, reason, kind, side.about
