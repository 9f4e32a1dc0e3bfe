"""Bytes of a watch to lines, and what a line is worth before anybody decodes it.

Only the type and the resourceVersion are read here; whether an Event can be counted is decided later, from
the spool. A line that cannot even be read that far is what the watch must not pass over.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

LONGEST_LINE = 4 * 1024 * 1024
"""etcd takes requests of 1.5 MiB; the same object with managedFields stays below this."""


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Metadata(msgspec.Struct, gc=False):
    resourceVersion: str = ""  # noqa: N815  the API's own name


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata | None = None


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
    view = memoryview(chunk)  # a line is looked at where it is: each copy of it would cost half a microsecond
    good = number = 0
    cursor: str | None = None
    while (end := chunk.find(b"\n", good)) >= 0:
        version = _version(view[good:end])
        if not version:
            line = chunk[good:end]
            return Lines(chunk[:good], number, cursor, _ending(line), line)
        good = end + 1
        number += 1
        cursor = version
    return Lines(chunk, number, cursor, Ending.NONE, b"")


def _version(line: memoryview) -> str:
    """Return the resourceVersion of a line that may be spooled, else nothing."""
    try:
        peeked = _peek.decode(line)
    except _UNREADABLE:
        return ""
    if peeked.type == "ERROR" or peeked.kind == "Status" or peeked.object is None:
        return ""
    metadata = peeked.object.metadata
    return metadata.resourceVersion if metadata else ""


def _ending(line: bytes) -> Ending:
    """Return why ``line`` may not be spooled."""
    try:
        peeked = _peek.decode(line)
    except _UNREADABLE:
        return Ending.CORRUPT
    return Ending.ERROR if peeked.type == "ERROR" or peeked.kind == "Status" else Ending.CORRUPT


def error_of(line: bytes) -> tuple[int, str]:
    """Return (code, reason) of an ERROR line's Status, or of a bare one; 0 and "" for what is missing or odd."""
    try:
        document = _status.decode(line)
        status = document.get("object", document)
        code, reason = status.get("code"), status.get("reason")
    except (*_UNREADABLE, TypeError, KeyError, AttributeError):
        return 0, ""
    return code if isinstance(code, int) else 0, reason if isinstance(reason, str) else ""
