"""What failed, as the commands show it: a line of quarantine or a dead letter, in one list."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from batcher.telemetry import Fate
from batcher.text import ago, cut, safe

HEADERS = ("ID", "KIND", "CLUSTER", "CAUSE", "RECEIVED", "SIZE", "LINE")
WIDE_HEADERS = (
    "ID",
    "KIND",
    "CLUSTER",
    "CLUSTER UID",
    "CAUSE",
    "RECEIVED AT",
    "BATCH",
    "TRIES",
    "ASKED",
    "SIZE",
    "LINE",
)
EXCERPT = 60
WIDE_EXCERPT = 300


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that failed and is kept; ``line`` is what was kept, byte for byte."""

    id: str
    kind: Literal["line", "letter"] = "line"
    """A delivered line that could not be counted, or a summary that its workspace did not take."""
    cluster: str
    cluster_uid: str
    cause: str
    """Of its newest try."""
    received_at: datetime
    """When a line was received, or a letter died."""
    batch: int
    tries: int
    """How often it was tried again, in vain."""
    asked: bool
    """Whether the next batch will try it again."""
    workspace: str = ""
    """Of a letter."""
    line: bytes
    """Of a letter, the Event as it was rendered."""

    @property
    def text(self) -> str:
        """The line for a terminal: what is no text, or would move the cursor, is shown or left out."""
        return safe(self.line.decode("utf-8", "backslashreplace"))


class Tried(msgspec.Struct, frozen=True):
    """What became of something that was to be tried again; no fate: it was not tried yet."""

    id: str
    fate: Fate | None
    cause: str
    batch: int


def rows(found: Iterable[Failed], *, now: datetime, wide: bool) -> list[tuple[str, ...]]:
    """Return the cells of :data:`HEADERS`, or of :data:`WIDE_HEADERS`."""
    return [_wide(one) if wide else _narrow(one, now) for one in found]


def _narrow(one: Failed, now: datetime) -> tuple[str, ...]:
    received = ago(one.received_at, now)
    return one.id, one.kind, one.cluster, one.cause, received, str(len(one.line)), cut(_told(one), EXCERPT)


def _wide(one: Failed) -> tuple[str, ...]:
    return (
        one.id,
        one.kind,
        one.cluster,
        one.cluster_uid,
        one.cause,
        f"{one.received_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        str(one.batch),
        str(one.tries),
        "yes" if one.asked else "no",
        str(len(one.line)),
        cut(_told(one), WIDE_EXCERPT),
    )


def _told(one: Failed) -> str:
    return f"{safe(one.workspace)} {one.text}" if one.workspace else one.text
