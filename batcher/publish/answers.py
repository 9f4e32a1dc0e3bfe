"""What an API server's answer to a write means.

Pure, and the only place that reads a status code. Sources: the recordings under tests/transcripts/kcp, each
of which has its meaning in tests/publish/test_answers.py.
"""

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

LONGEST_ASKED = 300.0
"""Seconds: what a Retry-After may ask for at most, so that no answer can end a workspace's writes."""


class Meaning(StrEnum):
    """What to do about an answer."""

    WRITTEN = "written"
    READ_FIRST = "read-first"
    """Somebody else wrote or deleted, or it is unknown who did: read the object, then decide."""
    LATER = "later"
    """Not now: the server is busy, away, or does not know us at the moment."""
    CAUSE_MAY_PASS = "cause-may-pass"  # noqa: S105  no password
    """Refused for something that people change: a missing namespace, a permission."""
    NEVER = "never"


class Answer(NamedTuple):
    """What an answer means, why (the Status' reason), and when to come back at the earliest, in seconds."""

    meaning: Meaning
    reason: str = ""
    after: float | None = None


class _Cause(msgspec.Struct):
    reason: str | None = None


class _Details(msgspec.Struct):
    kind: str | None = None
    causes: list[_Cause] | None = None


class _Status(msgspec.Struct):
    reason: str | None = None
    message: str | None = None
    details: _Details | None = None


_LATER = {401, 408, 425, 429}
_NEVER = {400, 405, 413, 415, 422}
_CAUSES = {"NamespaceTerminating"}
_MISSING = {"namespaces": "NamespaceNotFound", "workspaces": "WorkspaceNotFound"}
_TOO_LARGE = ("larger than max", "request is too large")
"""Etcd's client and etcd itself, of more than 2 and 1.5 MiB. The gRPC code alone says less: a full disk has it too."""


def classify(status: int, body: Any, retry_after: str | None = None) -> Answer:
    """Return what ``status`` and the decoded ``body`` (a Status, unless it succeeded) mean for a write."""
    if status in {200, 201}:
        return Answer(Meaning.WRITTEN)
    said = _status(body)
    meaning = _meaning(status, said)
    after = _seconds(retry_after) if meaning is Meaning.LATER else None
    return Answer(meaning, _reason(status, said), after)


def _meaning(status: int, said: _Status) -> Meaning:
    if status == 409 or (status == 404 and _kind(said) == "events"):  # noqa: PLR2004  HTTP's own numbers
        return Meaning.READ_FIRST
    if status in _NEVER or _too_large(status, said):
        return Meaning.NEVER
    if status in _LATER or not 400 <= status < 500:  # noqa: PLR2004  as above
        return Meaning.LATER
    return Meaning.CAUSE_MAY_PASS


def _status(body: Any) -> _Status:
    try:
        return msgspec.convert(body, _Status)
    except msgspec.ValidationError:
        return _Status()


def _kind(said: _Status) -> str:
    return (said.details and said.details.kind) or ""


def _reason(status: int, said: _Status) -> str:
    """A short word: the Status' own, or a more exact one where its details have it."""
    if status == 404 and _kind(said) in _MISSING:  # noqa: PLR2004  HTTP's own number
        return _MISSING[_kind(said)]
    if _too_large(status, said):
        return "RequestEntityTooLarge"
    causes = (said.details and said.details.causes) or []
    named = next((cause.reason for cause in causes if cause.reason in _CAUSES), said.reason) or ""
    return named if named.isascii() and named.isalnum() and len(named) <= 64 else f"HTTP{status}"  # noqa: PLR2004


def _too_large(status: int, said: _Status) -> bool:
    """Whether etcd refused the size, with a 500 that will not pass (body-2mb.json)."""
    return status == 500 and any(words in (said.message or "") for words in _TOO_LARGE)  # noqa: PLR2004


def _seconds(retry_after: str | None) -> float | None:
    """Seconds only, as API servers send them; a date is as good as nothing said."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return None
    return min(LONGEST_ASKED, float(retry_after))
