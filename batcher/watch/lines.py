"""Bytes of a watch to lines, and what a line is worth before anybody decodes it.

Only the type and the resourceVersion are read here; whether an Event can be counted is decided later, from
the spool. A line that cannot even be read that far is what the watch must not pass over: it is not JSON, its
text is not UTF-8, or it has no resourceVersion.

A chunk is judged whole, because calls for each line are a third of what judging costs; its lines are looked at
one by one only where that finds something unusual.
"""

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

import msgspec

from batcher.spool.lines import number_of_lines

LONGEST_LINE = 4 * 1024 * 1024
"""etcd takes requests of 1.5 MiB; the same object with managedFields stays below this."""


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Metadata(msgspec.Struct, gc=False):
    resourceVersion: Annotated[str, msgspec.Meta(min_length=1)]  # noqa: N815  the API's own name


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata


class _Usual(msgspec.Struct, gc=False):
    """A line as nearly all are; the decoder refuses any other."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: _Object
    kind: Literal[""] = ""
    """A Status that is not wrapped has one."""


class _Line(msgspec.Struct, gc=False):
    type: str = ""
    object: msgspec.Raw = msgspec.Raw(b"null")
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


_usual = msgspec.json.Decoder(_Usual)
_line = msgspec.json.Decoder(_Line)
_object = msgspec.json.Decoder(_Object)
_status = msgspec.json.Decoder()


def read_lines(chunk: bytes) -> Lines:
    """Return what of ``chunk`` (whole lines, each with its newline) may be spooled, and the cursor after it."""
    return _read_all(chunk) or _read_each(chunk)


def _read_all(chunk: bytes) -> Lines | None:
    """Return all of ``chunk`` if each of its lines is as usual, else None."""
    try:
        values = _usual.decode_lines(chunk)
        _check_text(chunk)
    except _UNREADABLE:
        return None
    if not values or len(values) != number_of_lines(chunk):
        return None
    return Lines(chunk, len(values), values[-1].object.metadata.resourceVersion, Ending.NONE, b"")


def _check_text(data: bytes) -> None:
    """Raise UnicodeDecodeError unless all is UTF-8; the decoder looks only at the text that it is asked for."""
    if not data.isascii():
        data.decode()


def _read_each(chunk: bytes) -> Lines:
    good = number = 0
    cursor: str | None = None
    while (end := chunk.find(b"\n", good)) >= 0:
        line = chunk[good:end]
        ending, version = _judge(line)
        if ending is not Ending.NONE:
            return Lines(chunk[:good], number, cursor, ending, line)
        good = end + 1
        number += 1
        cursor = version
    return Lines(chunk, number, cursor, Ending.NONE, b"")


def _judge(line: bytes) -> tuple[Ending, str]:
    """Return why ``line`` may not be spooled, or its resourceVersion."""
    try:
        _check_text(line)
        read = _line.decode(line)
        if read.type == "ERROR" or read.kind == "Status":
            return Ending.ERROR, ""
        return Ending.NONE, _object.decode(read.object).metadata.resourceVersion
    except _UNREADABLE:
        return Ending.CORRUPT, ""


def error_of(line: bytes) -> tuple[int, str]:
    """Return (code, reason) of an ERROR line's Status, or of a bare one; 0 and "" for what is missing or odd."""
    try:
        document = _status.decode(line)
        status = document.get("object", document)
        code, reason = status.get("code"), status.get("reason")
    except (*_UNREADABLE, TypeError, KeyError, AttributeError):
        return 0, ""
    return code if isinstance(code, int) else 0, reason if isinstance(reason, str) else ""
