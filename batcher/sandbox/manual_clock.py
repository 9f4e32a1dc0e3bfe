"""A time that moves only when told: for scripts and tests that decide what time it is."""

from datetime import datetime, timedelta


class ManualClock:
    """A :data:`batcher.clock.Now`; call it for the time."""

    def __init__(self, at: datetime) -> None:
        """Stand at ``at``, aware, in UTC."""
        self._at = at

    def __call__(self) -> datetime:
        """Return the time."""
        return self._at

    def advance(self, step: timedelta) -> None:
        """Let ``step`` pass; backwards when negative."""
        self._at += step
