"""What of a delivered line is read, and how: a watch line, a bare Event, or no more than what names its revision.

core/v1 JSON is read as it is: typed models of other clients refuse ``eventTime: null``, which every legacy Event has.
Nothing here says what becomes of a line.

Counts are bounded at 32 bits, as in the API: an unbounded one would lose the whole batch when the column is built, and
two of 63 bits would make a total negative.
"""

from typing import Annotated

import msgspec

_Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """``metadata`` of an Event."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815  the API's own name
    creationTimestamp: str | None = None  # noqa: N815
    labels: dict[str, str] | None = None


class Reference(msgspec.Struct, frozen=True, gc=False):
    """An object that an Event is about."""

    apiVersion: str = ""  # noqa: N815
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    fieldPath: str = ""  # noqa: N815


class Source(msgspec.Struct, frozen=True, gc=False):
    """Who says so, in the older style."""

    component: str = ""
    host: str = ""


class Series(msgspec.Struct, frozen=True, gc=False):
    """How often it happened, in the newer style."""

    count: _Int32 = 0
    lastObservedTime: str | None = None  # noqa: N815


NO_REFERENCE = Reference()
_NO_SOURCE = Source()


class Event(msgspec.Struct, frozen=True, gc=False):
    """An Event, as far as it is counted and told."""

    metadata: Metadata
    involvedObject: Reference = NO_REFERENCE  # noqa: N815
    related: Reference | None = None
    source: Source = _NO_SOURCE
    series: Series | None = None
    firstTimestamp: str | None = None  # noqa: N815
    lastTimestamp: str | None = None  # noqa: N815
    eventTime: str | None = None  # noqa: N815
    count: _Int32 | None = None
    type: str = ""
    reason: str = ""
    message: str = ""
    action: str = ""
    reportingComponent: str = ""  # noqa: N815
    reportingInstance: str = ""  # noqa: N815


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A watch line; of another line, how it came, and its Event."""

    type: str
    object: Event


class _Peeked(msgspec.Struct, frozen=True, gc=False):
    """What of an Event names its revision."""

    metadata: Metadata
    firstTimestamp: str | None = None  # noqa: N815
    eventTime: str | None = None  # noqa: N815


_ABSENT = msgspec.Raw()


class _Delivered(msgspec.Struct, frozen=True, gc=False):
    """What tells a watch line from a bare Event, which has no field of that name."""

    object: msgspec.Raw = _ABSENT


_deliveries, _events = msgspec.json.Decoder(Delivery), msgspec.json.Decoder(Event)
read_delivery, read_deliveries = _deliveries.decode, _deliveries.decode_lines
read_event, read_events = _events.decode, _events.decode_lines
peek = msgspec.json.Decoder(_Peeked).decode
_read_delivered = msgspec.json.Decoder(_Delivered).decode

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What these raise where a line is not JSON; :class:`msgspec.ValidationError`, one of them, where it is of another
shape."""


def is_delivery(line: bytes) -> bool:
    """Whether ``line`` is a watch line; false of what cannot be read."""
    try:
        return _read_delivered(line).object is not _ABSENT
    except UNREADABLE:
        return False
