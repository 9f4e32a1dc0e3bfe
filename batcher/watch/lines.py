"""Bytes of a watch to lines, and what a line is worth before anybody decodes it.

Only the type and the resourceVersion are read here; whether an Event can be counted is decided later, from
the spool. A line that cannot even be read that far is what the watch must not pass over.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

LONGEST_LINE = 4 * 1024 * 1024
"""etcd takes requests of 1.5 MiB; the same object with managedFields stays below this."""


class _Metadata(msgspec.Struct, gc=False):
    resourceVersion: str = ""  # noqa: N815  the API's own name


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata | None = None
    code: object = None
    reason: object = None
    message: object = None


class _Line(msgspec.Struct, gc=False):
    type: str = ""
    object: _Object | None = None
    kind: str = ""


class Ending(StrEnum):
    """Why the good lines of a chunk end before the chunk does."""

    NONE = ""
    ERROR = "error"
    CORRUPT = "corrupt"


class Lines(NamedTuple):
    """The leading lines of a chunk that may be spooled, and what stopped them."""

    body: bytes
    number: int
    cursor: str | None
    ending: Ending
    rest: bytes
    """The line that stopped them: an ERROR, or bytes that are no line."""


_peek = msgspec.json.Decoder(_Line)
_status = msgspec.json.Decoder()


def read_lines(chunk: bytes) -> Lines:
    """Return what of ``chunk`` (whole lines, each with its newline) may be spooled, and the cursor after it."""
    good = 0
    cursor: str | None = None
    number = 0
    for line in chunk.split(b"\n")[:-1]:
        ending, version = _judge(line)
        if ending is not Ending.NONE:
            return Lines(chunk[:good], number, cursor, ending, line)
        good += len(line) + 1
        number += 1
        cursor = version
    return Lines(chunk, number, cursor, Ending.NONE, b"")


def _judge(line: bytes) -> tuple[Ending, str | None]:
    try:
        peeked = _peek.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Ending.CORRUPT, None
    if peeked.type == "ERROR" or peeked.kind == "Status":
        return Ending.ERROR, None
    metadata = peeked.object.metadata if peeked.object else None
    if metadata is None or not metadata.resourceVersion:
        return Ending.CORRUPT, None
    return Ending.NONE, metadata.resourceVersion


def error_of(line: bytes) -> tuple[int, str]:
    """Return (code, reason) of an ERROR line's Status, or of a bare one; 0 and "" for what is missing or odd."""
    try:
        document = _status.decode(line)
        status = document.get("object", document)
        code, reason = status.get("code"), status.get("reason")
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError):
        return 0, ""
    return code if isinstance(code, int) else 0, reason if isinstance(reason, str) else ""
