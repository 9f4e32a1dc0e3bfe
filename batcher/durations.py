"""How long things took, counted for a histogram: for metrics alone; decides nothing."""

from bisect import bisect_left
from collections.abc import Sequence


class Durations:
    """Counts what took how long, for a histogram."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count by ``bounds``, in seconds; nothing was counted yet."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """How many took up to each of the bounds, and longer than the last; each is counted once."""
        self.seconds = 0.0
        """All of them together."""

    def took(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.seconds += seconds
