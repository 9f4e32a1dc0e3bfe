"""Which workspace each namespace has, and why: the state of the last commit by the rules of the last plan.

For those who ask, and for those who count what is wrong. Nothing here decides (:mod:`batcher.stages.locate` does) or
changes anything; a reader may call it while a service runs.
"""

from batcher.namespaces.flaws import OF_OBJECTS, counted, flawed
from batcher.namespaces.known import Known, known
from batcher.namespaces.shown import HEADERS, WIDE_HEADERS, rows, told
from batcher.namespaces.story import Source, Story, story

__all__ = [
    "HEADERS", "OF_OBJECTS", "WIDE_HEADERS", "Known", "Source", "Story", "counted", "flawed", "known", "rows", "story",
    "told",
]  # fmt: skip
