"""What an API server's answer to a write means.

Pure, and the only place that reads a status code. Sources: the recordings under tests/transcripts/kcp.
"""

from enum import StrEnum
from typing import Any, NamedTuple


class Meaning(StrEnum):
    """What to do about an answer."""

    WRITTEN = "written"
    READ_FIRST = "read-first"
    """Somebody else wrote, or it is unknown who did: read the object, then decide."""
    LATER = "later"
    """Not now: the server is busy, away, or does not know us at the moment."""
    CAUSE_MAY_PASS = "cause-may-pass"  # noqa: S105  no password
    """Refused for something that people change: a missing namespace, a permission."""
    NEVER = "never"


class Answer(NamedTuple):
    """What an answer means, why (the Status' reason), and when to come back, in seconds."""

    meaning: Meaning
    reason: str = ""
    after: float | None = None


_LATER = {401, 408, 429, 502, 503, 504}
_NEVER = {400, 405, 413, 415, 422}


def classify(status: int, body: Any, retry_after: str | None = None) -> Answer:
    """Return what ``status`` and the decoded ``body`` (a Status, unless it succeeded) mean for a write."""
    if status in {200, 201}:
        return Answer(Meaning.WRITTEN)
    reason = _reason(status, body)
    after = float(retry_after) if retry_after and retry_after.isdigit() else None
    if status == 409:  # noqa: PLR2004  HTTP's own number
        return Answer(Meaning.READ_FIRST, reason)
    if status in _NEVER or _too_large(body):
        return Answer(Meaning.NEVER, reason)
    if status in _LATER or status >= 500:  # noqa: PLR2004
        return Answer(Meaning.LATER, reason, after)
    return Answer(Meaning.CAUSE_MAY_PASS, reason)


def _reason(status: int, body: Any) -> str:
    reason = body.get("reason") if isinstance(body, dict) else None
    return reason if isinstance(reason, str) and reason.isalnum() else f"HTTP{status}"


def _too_large(body: Any) -> bool:
    """Etcd refuses a request over 1.5 MiB with a 500 that will not pass (body-2mb.json)."""
    message = body.get("message") if isinstance(body, dict) else ""
    return isinstance(message, str) and ("ResourceExhausted" in message or "request is too large" in message)
