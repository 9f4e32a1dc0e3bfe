"""Moments that come around by the loop's clock, so that all who may wait a little wait for the same one.

A process that wakes once for eight connections spends a fraction of one that wakes for each: what runs is in the
caches, and a group of lines goes to disk once. Nothing here waits or reads a clock.
"""

import math


def next_tick(now: float, *, every: float, offset: float = 0.0) -> float:
    """Return the first moment after ``now`` that is ``offset`` s behind a multiple of ``every`` s."""
    return (math.floor((now - offset) / every + _ROUNDING) + 1) * every + offset


_ROUNDING = 1e-6
"""A moment that was computed so may be found a hair before itself; it is not the next one after itself."""
