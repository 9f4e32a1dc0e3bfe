"""What a check finds: whether it holds, what is the case, and what to do about it. Nothing here asks anybody."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

import msgspec

from batcher.connect import Connection
from batcher.errors import BatcherError, Forbidden, Unauthorized
from batcher.status import EXPIRES_SOON

SKEW = timedelta(seconds=30)
"""Between two clocks: what is more makes sessions and lags wrong."""


class Level(StrEnum):
    """How well a check holds."""

    OK = "OK"
    WARN = "WARN"
    """It runs, and not as it should."""
    FAIL = "FAIL"
    """It does not run."""


class About(msgspec.Struct, frozen=True):
    """Who is checked."""

    kind: Literal["cluster", "kcp", "workspace", "lease"]
    name: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one check."""

    kind: str
    name: str
    check: str
    result: Level
    detail: str
    remedy: str = ""
    """What to do; empty if there is nothing to do."""


def found(about: About, check: str, result: Level, detail: str, remedy: str = "") -> Finding:
    """Return the finding of ``check`` on ``about``."""
    return Finding(kind=about.kind, name=about.name, check=check, result=result, detail=detail, remedy=remedy)


def unreached(about: About, error: BatcherError) -> Finding:
    """Return what it means that a request of ``about`` ended with ``error``."""
    detail = str(error)
    if isinstance(error, Unauthorized):
        return found(about, "reach", Level.FAIL, detail, "the credential is refused: renew the token or certificate")
    if isinstance(error, Forbidden):
        return found(about, "reach", Level.FAIL, detail, "grant it; see deploy/ for what is needed")
    return found(about, "reach", Level.FAIL, detail, "look at the server's address, the network and the CA")


def clock(about: About, skew: timedelta | None) -> Finding:
    """Return how far the other side's clock is from ours; ``skew`` is positive if it is ahead."""
    if skew is None:
        return found(about, "clock", Level.WARN, "no answer had a Date header", "look what is in between")
    seconds = skew.total_seconds()
    where = "ahead" if seconds > 0 else "behind"
    detail = f"{abs(seconds):.0f} s {where} of this machine" if abs(seconds) >= 1 else "as this machine's"
    if abs(skew) <= SKEW:
        return found(about, "clock", Level.OK, detail)
    return found(about, "clock", Level.WARN, detail, "set the clocks by NTP, there and here")


def credential(about: About, connection: Connection, now: datetime) -> Finding:
    """Return when the credential of ``connection`` ends."""
    kind, ends = min(connection.expiries.items(), key=lambda each: each[1], default=("", None))
    if ends is None:
        return found(about, "credential", Level.OK, "does not say when it ends, or is renewed")
    detail = f"the {kind} ends {ends:%Y-%m-%dT%H:%M:%SZ}"
    if ends <= now:
        return found(about, "credential", Level.FAIL, f"the {kind} ended {ends:%Y-%m-%dT%H:%M:%SZ}", "renew it")
    if ends - now < EXPIRES_SOON:
        return found(about, "credential", Level.WARN, detail, "see that something renews it; it is read again then")
    return found(about, "credential", Level.OK, detail)
