"""Feature gates: what can be turned on before it is proven, or off when it does harm. One table, as in Kubernetes.

Alpha is off unless asked for, and may go again; Beta is on unless turned off; GA is on for ever, and its gate stays for
a while so that files which name it still read. A gate guards something that runs; one that guards nothing is removed.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, StrictBool


class Gate(StrEnum):
    """The gates there are."""

    AUTOMATIC_RESYNC = "AutomaticResync"


class GateInfo(NamedTuple):
    """How far a gate's feature has come, whether it is open by default, and what it guards."""

    stage: Literal["Alpha", "Beta", "GA"]
    default: bool
    meaning: str


GATES: Mapping[str, GateInfo] = {
    Gate.AUTOMATIC_RESYNC: GateInfo(
        "Beta",
        default=True,
        meaning="Write the open summaries of a workspace again when its resourceVersions go back: kcp was restored. "
        "Without, only `batcher resync` does.",
    ),
}
"""Every gate there is."""


def is_on(gate: str, said: Mapping[str, bool], gates: Mapping[str, GateInfo] = GATES) -> bool:
    """Return whether ``gate`` is open where ``said`` are the gates of the configuration."""
    return said.get(gate, gates[gate].default)


def problem(name: str, *, value: bool, gates: Mapping[str, GateInfo] = GATES) -> str:
    """Return why the gate ``name`` cannot be set to ``value``; empty if it can."""
    if name not in gates:
        return f"{name}: unknown feature gate; known: {', '.join(sorted(gates)) or 'none'}"
    locked = gates[name].stage == "GA" and value != gates[name].default
    return f"{name}: is GA, and can no longer be turned off" if locked else ""


def shown(said: Mapping[str, bool], gates: Mapping[str, GateInfo] = GATES) -> list[str]:
    """Return every gate with its state and stage, such as ``AutomaticResync=true (Beta)``."""
    return [f"{name}={str(is_on(name, said, gates)).lower()} ({info.stage})" for name, info in sorted(gates.items())]


def _known(said: dict[str, bool]) -> dict[str, bool]:
    problems = [problem(name, value=value) for name, value in said.items()]
    wrong = [text for text in problems if text]
    if wrong:
        raise ValueError("; ".join(wrong))
    return said


Gates = Annotated[dict[str, StrictBool], AfterValidator(_known)]
