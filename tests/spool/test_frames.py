import contextlib
import zlib

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from batcher.spool.frames import PREFIX, Damaged, Kind, Section, Stream, decode_payload, encode_frame, frames
from tests.sections import lines

COMPRESSOR = zstandard.ZstdCompressor(level=1)

STREAMS = st.builds(
    Stream, st.text(max_size=4), st.sampled_from(["events", "namespaces"]), st.text(max_size=4), st.integers(0, 2)
)


@st.composite
def sections(draw: st.DrawFn) -> Section:
    raw = draw(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=3))
    return Section(
        draw(STREAMS),
        draw(st.text(max_size=8)),
        draw(st.sampled_from(Kind)),
        draw(st.none() | st.text(max_size=4)),
        len(raw),
        b"".join(line + b"\n" for line in raw),
        draw(st.text(max_size=4)),
        draw(st.integers(min_value=0, max_value=2**62)),
    )


FRAMES = st.lists(st.lists(sections(), max_size=3), max_size=4)


@given(FRAMES, st.integers(min_value=0, max_value=1000))
def test_frames_come_back_as_they_were_written_and_say_where_they_stand(
    written: list[list[Section]], base: int
) -> None:
    encoded = [encode_frame(group, COMPRESSOR) for group in written]
    read = list(frames(b"".join(encoded), base))
    assert [frame.sections for frame in read] == written
    ends = [base + sum(map(len, encoded[: index + 1])) for index in range(len(encoded))]
    assert [frame.end for frame in read] == ends
    assert [frame.offset for frame in read] == [base, *ends][: len(ends)]


def test_a_cut_at_any_byte_keeps_the_whole_frames_before_it() -> None:
    first, second = encode_frame([lines(b"one")], COMPRESSOR), encode_frame([lines(b"two")], COMPRESSOR)
    data = first + second
    for size in range(len(first) + 1, len(data)):
        reading = frames(data[:size])
        assert next(reading).sections == [lines(b"one")]
        with pytest.raises(Damaged, match=f"cut inside a frame's (prefix|payload) at byte {len(first)}"):
            next(reading)


def test_a_flipped_bit_anywhere_is_found() -> None:
    data = encode_frame([lines(b"one", b"two", cursor="7")], COMPRESSOR)
    for index in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[index] ^= 1 << bit
            with pytest.raises(Damaged):
                list(frames(bytes(flipped)))


@given(st.binary(max_size=64))
def test_noise_is_damage_and_nothing_else(noise: bytes) -> None:
    with contextlib.suppress(Damaged):
        assert [frame for frame in frames(noise) if frame.sections] == []


@pytest.mark.parametrize(
    ("payload", "finding"),
    [
        (b"not zstd", "content size"),
        (COMPRESSOR.compress(b""), "requires a buffer of at least 4 bytes"),
        (COMPRESSOR.compress(b"\x01\x00\x00\x00\x92"), "truncated"),
        (COMPRESSOR.compress(b"\x01\x00\x00\x00\x05"), "Expected `array`"),
        (COMPRESSOR.compress(bytes(257 * 1024 * 1024)), "larger than 268435456 bytes when decompressed"),
    ],
    ids=["no-zstd", "empty", "no-msgpack", "no-list", "bomb"],
)
def test_a_payload_whose_checksum_is_right_can_still_be_damaged(payload: bytes, finding: str) -> None:
    with pytest.raises(Damaged, match=finding):
        decode_payload(payload)


def test_a_body_that_is_shorter_than_its_header_says_is_damaged() -> None:
    frame = encode_frame([lines(b"one")], COMPRESSOR)
    raw = zstandard.ZstdDecompressor().decompress(frame[PREFIX.size :])
    payload = COMPRESSOR.compress(raw[:-1])
    with pytest.raises(Damaged):
        list(frames(PREFIX.pack(len(payload), zlib.crc32(payload)) + payload))


def test_a_stream_that_was_written_before_there_were_incarnations_is_in_the_first() -> None:
    written = bytes.fromhex(
        "3b000000fdd3acd828b52ffd203291010029000000919893a67569642d7573a66576656e7473a0a875732d7765737431a777617463686564"
        "a1370105a0096c696e650a"
    )
    (frame,) = frames(written)
    assert frame.sections == [lines(b"line", stream=Stream("uid-us", "events", "", 0), cursor="7", at=9)]


def test_the_kinds_on_disk_are_spelt_for_ever() -> None:
    assert msgspec.json.encode(list(Kind)) == b'["listed","list-complete","watched","refused","contact","cursor"]'
