"""The closed lists of names that are counted: verdicts, and why a line was ignored or quarantined.

A number that an operator reads is only as good as the closed list behind it; free text never becomes a
label. Nothing here counts.
"""

from enum import StrEnum


class Verdict(StrEnum):
    """What became of a revision; every row of ``occurrences`` has one."""

    KEPT = "kept"
    UNMAPPED = "unmapped"


class Ignored(StrEnum):
    """Why a delivered line is no revision, though nothing is wrong with it."""

    DELETED = "deleted"
    """An Event expired or was removed: not something that happened to the workload."""
    BOOKMARK = "bookmark"
    OWN = "own"
    """Written by batcher: counting it would sum up our own summaries, for ever."""
    UNKNOWN_TYPE = "unknown-type"


class Cause(StrEnum):
    """Why a delivered line is in quarantine."""

    NOT_JSON = "not-json"
    WRONG_SHAPE = "wrong-shape"
    NO_UID = "no-uid"
    NO_NAME = "no-name"
    BAD_RESOURCE_VERSION = "bad-resource-version"
    REFUSED = "refused"
    """The watcher gave it up at once: not JSON, no resourceVersion, or too long."""
