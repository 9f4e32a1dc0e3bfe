"""Whether bytes are lines of one JSON object each, so that a decoder may read them all at once."""

_OPENS, _CLOSES = b"{}"


def number_of_lines(chunk: bytes) -> int:
    """Return how many lines ``chunk`` has, 0 unless each newline but the last is between two objects.

    To a decoder of lines a newline is white space like any other. No JSON value has one between a brace that closes
    and one that opens: if all do, and there are as many values as lines, then each line is one value.
    """
    number, start = 1, chunk.find(b"\n") + 1
    while start < len(chunk):
        if chunk[start] != _OPENS or chunk[start - 2] != _CLOSES:
            return 0
        number += 1
        start = chunk.find(b"\n", start) + 1
    return number
