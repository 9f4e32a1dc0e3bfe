"""The only reader of the wall clock.

Everything else receives ``now`` as a value, or a ``Now`` at an edge, so that a batch can be run again
with the same answer and a test can decide what time it is. This module never waits and never formats.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Now = Callable[[], datetime]
"""Returns the current time, aware, in UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now() -> datetime:
    """Return the wall clock's time, aware, in UTC, to the microsecond."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that never run backwards, for durations only."""
    return time.monotonic()


def to_micros(at: datetime) -> int:
    """Return whole microseconds since 1970-01-01T00:00Z; exact, unlike ``timestamp()``, which is a float."""
    return (at - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC time that is ``micros`` microseconds after 1970-01-01T00:00Z."""
    return EPOCH + timedelta(microseconds=micros)
