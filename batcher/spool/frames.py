"""The bytes of the spool: frames of sections of raw lines.

A frame is one fsync group: ``[length u32 | crc32 u32 | payload]``, little-endian, where length and crc32
are the payload's and the payload is zstd level 1 over ``[header length u32 | header | lines]``. The header
(msgpack) says for each section which stream it came from and how many lines are its own. Lines are stored
as they were delivered, each ended by a newline.

Nothing here opens a file, and nothing here understands a line.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
import zstandard

PREFIX = struct.Struct("<II")
_HEADER_LENGTH = struct.Struct("<I")
LIMIT = 256 * 1024 * 1024
"""Largest decompressed payload, in bytes: 100 times what a group holds, so only damage or a bomb is above."""


UNLISTED = "0"
"""The cursor of a stream that is known and must be listed; an empty one forgets the stream."""


class Kind(StrEnum):
    """What a section is to its stream."""

    LISTED = "listed"
    """Bare objects of one LIST page; carries no cursor, or a crash between pages would skip the rest."""
    LIST_COMPLETE = "list-complete"
    """No lines; the cursor is the list's resourceVersion."""
    WATCHED = "watched"
    """Watch lines; the cursor is the last line's resourceVersion."""
    REFUSED = "refused"
    """Bytes that are no line to count on (not JSON, no resourceVersion, too long); carries no cursor."""
    CONTACT = "contact"
    """No lines; proof that the API server was in reach: a clean end, a bookmark, a connected minute."""
    CURSOR = "cursor"
    """No lines; a cursor repeated at a segment's start, so that retiring older ones keeps a quiet cluster's.
    :data:`UNLISTED` says that the stream must be listed again."""


class Stream(msgspec.Struct, frozen=True, array_like=True):
    """One list-and-watch: a resource of a cluster, in one namespace or (``""``) in all."""

    cluster_uid: str
    resource: str
    scope: str = ""
    incarnation: int = 0
    """How often its resourceVersions began anew, because the cluster's etcd was restored from a backup."""


class Section(msgspec.Struct, frozen=True, array_like=True):
    """Lines of one stream, in the order of delivery, and the cursor that is true once they are on disk."""

    stream: Stream
    cluster: str
    """The configured name of the cluster, for people; the stream holds its identity."""
    kind: Kind
    cursor: str | None = None
    lines: int = 0
    body: bytes = b""
    """``lines`` lines, each ended by a newline and free of others."""
    note: str = ""
    """Of a refused section: why."""
    received_at: int = 0
    """Microseconds since the epoch; stamped by the spool at append, never going backwards."""


class Frame(NamedTuple):
    """A frame as read back: where it begins in its segment, where the next one does, what it holds."""

    offset: int
    end: int
    sections: list[Section]


class Damaged(Exception):  # noqa: N818  a finding about bytes, handled by the reader of the segment
    """The bytes at an offset are no frame: torn, flipped, or absurdly large."""


class _Header(msgspec.Struct, frozen=True, array_like=True):
    stream: Stream
    cluster: str
    kind: Kind
    cursor: str | None
    lines: int
    size: int
    note: str
    received_at: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Header])


def encode_frame(sections: Sequence[Section], compressor: zstandard.ZstdCompressor) -> bytes:
    """Return the bytes of one frame that holds ``sections``; the compressor is the caller's to reuse."""
    header = _encoder.encode(
        [_Header(s.stream, s.cluster, s.kind, s.cursor, s.lines, len(s.body), s.note, s.received_at) for s in sections]
    )
    parts = [_HEADER_LENGTH.pack(len(header)), header, *(section.body for section in sections)]
    payload = compressor.compress(b"".join(parts))
    return PREFIX.pack(len(payload), zlib.crc32(payload)) + payload


def decode_payload(payload: bytes) -> list[Section]:
    """Return the sections of a payload whose CRC has been checked; raise :class:`Damaged` otherwise."""
    try:
        if zstandard.frame_content_size(payload) > LIMIT:
            message = f"larger than {LIMIT} bytes when decompressed"
            raise Damaged(message)
        raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=LIMIT)
        (length,) = _HEADER_LENGTH.unpack_from(raw)
        start = _HEADER_LENGTH.size + length
        headers = _decoder.decode(raw[_HEADER_LENGTH.size : start])
    except (zstandard.ZstdError, struct.error, msgspec.DecodeError) as error:
        raise Damaged(str(error)) from error
    if start + sum(h.size for h in headers) != len(raw):
        message = "lines are missing or too many"
        raise Damaged(message)
    return list(_sections(headers, raw, start))


def _sections(headers: list[_Header], raw: bytes, start: int) -> Iterator[Section]:
    for h in headers:
        body = raw[start : start + h.size]
        start += h.size
        yield Section(h.stream, h.cluster, h.kind, h.cursor, h.lines, body, h.note, h.received_at)


def frames(data: bytes, base: int = 0) -> Iterator[Frame]:
    """Yield the frames of ``data``, which begins at byte ``base`` of its segment, on a frame's boundary.

    Ends at the end of ``data``; raises :class:`Damaged` at the first frame that is cut or whose CRC fails,
    so that what was yielded before it can be trusted.
    """
    at = 0
    while at < len(data):
        begin = at + PREFIX.size
        if begin > len(data):
            message = f"cut inside a frame's prefix at byte {base + at}"
            raise Damaged(message)
        length, crc = PREFIX.unpack_from(data, at)
        payload = data[begin : begin + length]
        if len(payload) < length:
            message = f"cut inside a frame's payload at byte {base + at}"
            raise Damaged(message)
        if zlib.crc32(payload) != crc:
            message = f"checksum differs at byte {base + at}"
            raise Damaged(message)
        yield Frame(base + at, base + begin + length, decode_payload(payload))
        at = begin + length
