"""How long batches took since the process began: for metrics alone; decides nothing."""

from bisect import bisect_left

from batcher.telemetry import BATCH_BOUNDS


class Durations:
    """Counts durations by :data:`batcher.telemetry.BATCH_BOUNDS`."""

    def __init__(self) -> None:
        """Nothing was counted yet."""
        self.counts = [0] * (len(BATCH_BOUNDS) + 1)
        """How many took up to each of the bounds, and longer than the last; each is counted once."""
        self.seconds = 0.0
        """All of them together."""

    def took(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(BATCH_BOUNDS, seconds)] += 1
        self.seconds += seconds
