"""The place of a delivered line in the spool: the only order there is.

Packed into one signed 64-bit integer, so that frames sort by it: 21 bits of segment number, 26 of the
frame's byte offset in the segment, 16 of the line's index in the frame.
"""

from typing import NamedTuple

OFFSET_BITS = 26
LINE_BITS = 16
SEGMENT_BYTES = 1 << OFFSET_BITS
"""A segment of 64 MiB holds about 450,000 events at 143 bytes; no frame begins behind its end.
2^21 such segments are 128 TiB: at 1,000 events a second, 30 years."""
FRAME_LINES = 1 << LINE_BITS


class Place(NamedTuple):
    """A frame's boundary: a segment and a byte offset in it. Ordered like the lines behind it."""

    segment: int
    offset: int

    def line(self, index: int) -> int:
        """Return the position of line ``index`` of the frame that begins here."""
        return (self.segment << OFFSET_BITS | self.offset) << LINE_BITS | index


START = Place(1, 0)
"""Before the first frame of a new spool."""


def place_of(position: int) -> Place:
    """Return the beginning of the frame that holds ``position``; the inverse of :meth:`Place.line`."""
    whole = position >> LINE_BITS
    return Place(whole >> OFFSET_BITS, whole & (SEGMENT_BYTES - 1))
