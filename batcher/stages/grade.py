"""How bad it is: a Warning is a warning, and some reasons are critical whatever their type says.

The node controller, for one, says ``NodeNotReady`` with type Normal.
"""

from collections.abc import Sequence

import polars as pl

CRITICAL = (
    "Evicted", "EvictionThresholdMet", "FilesystemIsReadOnly", "FreeDiskSpaceFailed", "InvalidDiskCapacity",
    "KernelOops", "NodeNotReady", "OOMKilling", "SystemOOM", "TaskHung",
)  # fmt: skip
"""Reasons of kubelet, node controller and node problem detector that mean a node or its disk is in trouble."""
NORMAL, WARNING, CRITICAL_GRADE = "normal", "warning", "critical"
GRADES = (NORMAL, WARNING, CRITICAL_GRADE)
"""From the least to the most severe."""


def grade(critical: Sequence[str] = ()) -> pl.Expr:
    """Return ``normal``, ``warning`` or ``critical`` from ``type`` and ``reason``; ``critical`` extends the table."""
    return (
        pl.when(pl.col("reason").is_in([*CRITICAL, *critical]))
        .then(pl.lit(CRITICAL_GRADE))
        .when(pl.col("type") == "Warning")
        .then(pl.lit(WARNING))
        .otherwise(pl.lit(NORMAL))
    )


def is_severe(minimum: str, critical: Sequence[str] = ()) -> pl.Expr:
    """Whether a row is at least as severe as ``minimum``, one of :data:`GRADES`."""
    return grade(critical).is_in(GRADES[GRADES.index(minimum) :])


def share(critical: Sequence[str] = ()) -> pl.Expr:
    """Return ``normal`` or ``warning``: whose share of what is bounded a row uses; what is critical uses the warnings'.

    So no flood of what is normal, as whatever type it comes, takes the place of what is not.
    """
    return pl.when(grade(critical) == NORMAL).then(pl.lit(NORMAL)).otherwise(pl.lit(WARNING))
