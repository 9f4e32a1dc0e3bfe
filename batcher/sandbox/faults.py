"""The switches that make a simulated server misbehave, as API servers and networks between do.

A value, nothing else: a server holds one ``Faults`` and is given another; what is limited to a number of
times comes back with one less. Everything off is ``Faults()``.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

NEVER = frozenset[str]()


class Chunking(StrEnum):
    """How lines are cut into HTTP chunks."""

    BLOCK = "block"
    """Many lines a chunk, up to 64 KiB, as under load."""
    LINE = "line"
    """Each line by itself, as on a quiet cluster."""
    BYTE = "byte"
    """Each byte by itself: no reader may rely on any boundary."""


class Compacted(StrEnum):
    """What a watch from a forgotten revision is told; all three are seen in the wild."""

    IN_STREAM = "in-stream"
    """HTTP 200, then an ERROR line with Status 410 (watch-expired-in-stream-410.ndjson)."""
    EMPTY = "empty"
    """HTTP 200 and an immediate end."""
    GONE = "gone"
    """HTTP 410."""


class InitialEvents(StrEnum):
    """What becomes of ``sendInitialEvents=true``."""

    SUPPORTED = "supported"
    REFUSED = "refused"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the next ``times`` requests of ``verb`` ("": any) with a status code instead of serving them."""

    code: int
    verb: str = ""
    times: int = 1
    retry_after: int | None = None
    """Seconds; None sends no Retry-After."""


@dataclass(frozen=True, slots=True)
class Faults:
    """All switches of one server. Verbs: get, list, watch, create, update, patch, delete."""

    answers: tuple[Answer, ...] = ()
    drop: frozenset[str] = NEVER
    """Verbs whose connection is closed without a byte."""
    stall: frozenset[str] = NEVER
    """Verbs that get silence: a watch its headers and then nothing, all others not even these."""
    slow_headers: timedelta = timedelta(0)
    """How long every answer keeps its headers back."""
    resets: int = 0
    """So many streams are cut by a TCP reset in the middle of a chunk, the next time they have to write."""
    ends: int = 0
    """So many streams end cleanly, at once."""
    inserts: tuple[bytes, ...] = ()
    """Lines (without newline: a cut line) each put once into the next stream that looks, whatever they are."""
    chunking: Chunking = Chunking.BLOCK
    compacted: Compacted = Compacted.IN_STREAM
    initial_events: InitialEvents = InitialEvents.SUPPORTED
    bookmarks: bool = True
    clock_offset: timedelta = timedelta(0)
    """Added to the server's clock: creation times, TTL and the Date header."""

    def answer(self, verb: str) -> tuple[Answer | None, "Faults"]:
        """Return the answer that the next request of ``verb`` gets, and the faults that are left."""
        for index, answer in enumerate(self.answers):
            if answer.verb in {"", verb}:
                left = (replace(answer, times=answer.times - 1),) if answer.times > 1 else ()
                rest = (*self.answers[:index], *left, *self.answers[index + 1 :])
                return answer, replace(self, answers=rest)
        return None, self
