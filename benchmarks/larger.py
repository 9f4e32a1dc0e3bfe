"""Stages and flat for longer: ten million rows in a batch and in the archive, and a million that repeat otherwise.

Protects what :mod:`benchmarks.stages` and :mod:`benchmarks.flat` protect, where only time and memory forbid to look
each day: a batch of ten million rows needs about 35 GB, so that it is left out where the machine has less.
"""

import os
from collections.abc import Iterator

from benchmarks import stages
from benchmarks.answering import answering
from benchmarks.flat import LITTLE, compared
from benchmarks.measure import Figure

TEN_MILLION = 10_000_000
BYTES_A_ROW = 3_500


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the cost of an event with ten million archived, and of a row in a batch of as many."""
    archived = 1_000_000 if quick else TEN_MILLION
    with answering() as servers:
        yield from compared(servers, {"archived": (archived, LITTLE[1])}, runs=1 if quick else 2)
    for repeats in (1, 100):
        yield from stages.at(100_000 if quick else 1_000_000, repeats, runs=1)
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > TEN_MILLION * BYTES_A_ROW:
        yield from stages.at(1_000_000 if quick else TEN_MILLION, 10, runs=1)
