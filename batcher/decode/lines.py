"""What one delivered line is: an Event that can be counted, one that need not be, or why it cannot be."""

import msgspec

from batcher.decode.models import UNREADABLE, Delivery, Metadata, is_delivery, read_delivery, read_event
from batcher.spool import Kind
from batcher.telemetry import Cause, Ignored

OWN_LABEL = "batcher.kcp.io/kind"
"""Every Event that batcher writes bears it; loop protection rests on it alone."""

_LARGEST = 2**63 - 1
_LARGEST_DIGITS = len(str(_LARGEST))
"""Python reads no number of more than 4,300 digits; one such version would stop every batch after it."""
_CHANGES = {"ADDED": None, "MODIFIED": None, "DELETED": Ignored.DELETED, "BOOKMARK": Ignored.BOOKMARK}


def decode_line(kind: Kind, line: bytes) -> Delivery | Ignored | Cause:
    """Return what ``line`` of a section of ``kind`` is; listed ones are delivered as ``LISTED``."""
    if kind is Kind.REFUSED:
        return Cause.REFUSED
    try:
        if kind is Kind.LISTED:
            delivery = Delivery("LISTED", read_event(line))
        else:
            delivery = read_delivery(line)
            ignored = _CHANGES.get(delivery.type, Ignored.UNKNOWN_TYPE)
            if ignored is not None:
                return ignored
    except msgspec.ValidationError:
        return Cause.WRONG_SHAPE
    except UNREADABLE:
        return Cause.NOT_JSON
    return unusable(delivery.object.metadata) or delivery


def kind_of(line: bytes) -> Kind:
    """Return the kind of section that ``line`` may have been in."""
    return Kind.WATCHED if is_delivery(line) else Kind.LISTED


def unusable(metadata: Metadata) -> Ignored | Cause | None:
    """Return why an Event is not counted; None: it is."""
    if metadata.labels and OWN_LABEL in metadata.labels:
        return Ignored.OWN
    if not metadata.uid:
        return Cause.NO_UID
    if not metadata.name:
        return Cause.NO_NAME
    if not _countable(metadata.resourceVersion):
        return Cause.BAD_RESOURCE_VERSION
    return None


def _countable(version: str) -> bool:
    """Whether it is a number that an object can have: 0 means "any" in requests, and would look like a repeat."""
    digits = version.isascii() and version.isdigit() and len(version) <= _LARGEST_DIGITS
    return digits and 0 < int(version) <= _LARGEST
