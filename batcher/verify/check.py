"""What a proof consists of."""

from collections.abc import Iterator
from typing import NamedTuple


class Check(NamedTuple):
    """What was compared, whether it holds, and if not how the first batch differs."""

    name: str
    ok: bool
    detail: str = ""
    batch: int = 0
    """The first batch that differs; 0: none does, or no single one is known."""


def first_difference(name: str, wrong: Iterator[tuple[int, str]]) -> Check:
    """Return the check that holds if ``wrong`` (batch and how it differs, in order of batches) is empty."""
    batch, how = next(wrong, (0, ""))
    return Check(name, not how, f"batch {batch}: {how}" if how else "", batch)
