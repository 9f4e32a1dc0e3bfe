"""What is handed to the publisher, and what comes back."""

from enum import StrEnum
from typing import Any

import msgspec


class Write(msgspec.Struct, frozen=True):
    """The newest totals of a summary, to be the Event ``name`` in a workspace's namespace."""

    summary: str
    version: int
    workspace: str
    namespace: str
    name: str
    event: dict[str, Any]
    """The object without resourceVersion."""
    resource_version: str | None
    """What the last outcome remembered; None: never written, as far as is known."""


class Result(StrEnum):
    """What became of a write."""

    WRITTEN = "written"
    REFUSED = "refused"


class Outcome(msgspec.Struct, frozen=True):
    """What became of ``version`` of a summary; ``reason`` says why it was refused (a closed vocabulary)."""

    summary: str
    version: int
    result: Result
    resource_version: str | None
    reason: str
    at: int
    """Microseconds since the epoch."""
