"""What of a chunk may be spooled: never a line that the cursor must not pass."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.watch.lines import Ending, Lines, error_of, read_lines


def event(version: int, kind: str = "ADDED", **more: Any) -> bytes:
    content = {"metadata": {"uid": "u", "resourceVersion": str(version)}, "message": "ünïcödé", **more}
    return json.dumps({"type": kind, "object": content}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


GOOD = event(1) + event(2, "MODIFIED")
ERROR = (
    b'{"type":"ERROR","object":{"kind":"Status","metadata":{"resourceVersion":"9"},"code":410,"reason":"Expired"}}\n'
)


def test_all_lines_of_a_chunk_are_taken_with_the_version_of_the_last() -> None:
    chunk = GOOD + event(3, "DELETED") + event(7, "BOOKMARK")
    assert read_lines(chunk) == Lines(chunk, 4, "7", Ending.NONE, b"")


def test_a_type_that_nobody_knows_is_taken_too() -> None:
    chunk = event(1) + event(2, "SURPRISE") + event(3)
    assert read_lines(chunk) == Lines(chunk, 3, "3", Ending.NONE, b"")


@pytest.mark.parametrize(
    "line",
    [b"<html>\n", b'{"type":"ADDED"\n', b"\n", b"null\n", b"[]\n", b'{"type":"ADDED"}\n', event(3)[:-2] + b"x}\n",
     b'{"type":"ADDED","object":null}\n', b'{"type":"ADDED","object":{"metadata":null}}\n',
     b'{"type":"ADDED","object":{"metadata":{}}}\n', event(3).replace(b'"3"', b'""'), event(3).replace(b'"3"', b"3"),
     event(3, source="?").replace(b'"?"', b'{"host":"\xff"}'), event(3, source="?").replace(b'"?"', b'"\xed\xa0\x80"'),
     event(3, source="?").replace(b'"?"', b'"\\ud800"'), event(3, source="?").replace(b'"?"', b'"\x00"'),
     event(3, source="?").replace(b'"?"', b"[" * 5000), event(3, source="?").replace(b'"?"', b"01"),
     event(3)[:-1] + event(4), event(3)[:-1] + b" " + event(4)],
    ids=["html", "cut", "empty", "null", "list", "rest", "no-object", "null-object", "no-metadata", "no-version",
         "empty-version", "number-version", "not-utf8", "utf8-surrogate", "lone-surrogate", "nul", "deep", "not-json",
         "two", "two-apart"],
)  # fmt: skip
def test_a_corrupt_line_is_not_taken_nor_what_follows_it(line: bytes) -> None:
    assert read_lines(GOOD + line + event(9)) == Lines(GOOD, 2, "2", Ending.CORRUPT, line.rstrip(b"\n"))


def test_a_value_over_two_lines_does_not_make_up_for_a_line_of_two_values() -> None:
    chunk = event(3)[:-1] + event(4) + event(5).replace(b',"object"', b',\n"object"')
    assert (chunk.count(b"\n"), read_lines(chunk).number) == (3, 0)
    assert read_lines(chunk).ending is Ending.CORRUPT


@pytest.mark.parametrize(
    "line",
    [ERROR, b'{"type":"ERROR","object":{}}\n', b'{"type":"ERROR"}\n', b'{"kind":"Status","code":500}\n',
     b'{"kind":"Status","type":"ADDED","object":{"metadata":{"resourceVersion":"9"}}}\n'],
    ids=["error-with-version", "empty", "bare", "not-wrapped", "disguised"],
)  # fmt: skip
def test_an_error_is_no_event(line: bytes) -> None:
    assert read_lines(GOOD + line + event(9)) == Lines(GOOD, 2, "2", Ending.ERROR, line[:-1])


def test_an_error_tells_its_code_and_reason_where_it_has_them() -> None:
    assert error_of(ERROR) == (410, "Expired")
    assert error_of(b'{"kind":"Status","code":500}') == (500, "")
    assert [error_of(line) for line in (b'{"type":"ERROR"}', b"[]", b"\xff", b'{"code":"500"}')] == [(0, "")] * 4


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=2)), max_size=3),
)
def test_whatever_became_of_the_bytes_what_is_taken_is_events_line_by_line(
    versions: list[int], damages: list[tuple[int, bytes]]
) -> None:
    chunk = b"".join(event(version) for version in versions)
    for place, put in damages:
        at = place % len(chunk)
        chunk = chunk[:at] + put + chunk[at + 1 :]
    chunk += b"\n"
    lines = read_lines(chunk)
    taken = lines.body.split(b"\n")[:-1]
    read = [json.loads(line.decode()) for line in taken]
    assert chunk.startswith(lines.body)
    assert len(read) == lines.number
    assert lines.cursor == (read[-1]["object"]["metadata"]["resourceVersion"] if read else None)
    assert all(one["object"]["metadata"]["resourceVersion"] and one.get("type") != "ERROR" for one in read)
