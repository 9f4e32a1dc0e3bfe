"""Text for people: hostile bytes made harmless, times made short, rows made columns.

Event text is written by anyone who can create an Event. Every line that a person reads on a terminal goes
through :func:`safe`. JSON output does not: it escapes by itself, or by :func:`escaped`, and must stay exact.
"""

import json
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

INVISIBLE = (
    "\x00-\x1f\x7f-\x9f"  # C0 with ESC, DEL, C1
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # bidi controls, zero-width, line separators
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # annotations and tags: text that hides in text
)
"""What stands between the brackets of a class of characters, for Python and for polars."""
_HALVES = "\ud800-\udfff"
"""Of characters: no terminal can print them, and polars has none."""
_HOSTILE = re.compile(f"[{INVISIBLE}{_HALVES}]+")
_IN_JSON = re.compile(f"(?!\n)[{INVISIBLE}{_HALVES}]")


_ROOM = 24
"""Columns that are worth to be folded into."""


class _Unit(NamedTuple):
    name: str
    seconds: int
    smaller: "_Unit | None" = None


_SECOND = _Unit("s", 1)
_MINUTE = _Unit("m", 60, _SECOND)
_HOUR = _Unit("h", 3600, _MINUTE)
_DAY = _Unit("d", 86400, _HOUR)
_AGES = ((_SECOND, 120, 0), (_MINUTE, 180, 10), (_HOUR, 48, 8))
"""Unit, below how many of it an age is told in it, below how many with the smaller unit too.
The limits of apimachinery's ``duration.HumanDuration``; its years are days here."""


def safe(text: str) -> str:
    """Return ``text`` with every run of control, bidi and invisible characters as one space."""
    return _HOSTILE.sub(" ", text).strip()


def escaped(text: str) -> str:
    """Return JSON ``text``, of whoever leaves letters as they are, with what :func:`safe` takes out as JSON escapes it.

    Newlines stay: in JSON they stand between values only.
    """
    return _IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago ``at`` was, as kubectl prints ages: ``45s``, ``5m10s``, ``3h``, ``2d4h``."""
    seconds = max(0, int((now - at).total_seconds()))
    for unit, below, exact_below in _AGES:
        if seconds < below * unit.seconds:
            return _in_units(seconds, unit, exact=seconds < exact_below * unit.seconds)
    return _in_units(seconds, _DAY, exact=seconds < 8 * _DAY.seconds)


def _in_units(seconds: int, unit: _Unit, *, exact: bool) -> str:
    whole, rest = divmod(seconds, unit.seconds)
    smaller = rest // unit.smaller.seconds if exact and unit.smaller else 0
    return f"{whole}{unit.name}{smaller}{unit.smaller.name}" if smaller and unit.smaller else f"{whole}{unit.name}"


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    numbers: Collection[int] = (),
    fold: bool = False,
) -> list[str]:
    """Return lines of aligned columns, three spaces apart; every cell is made safe.

    Columns of ``numbers`` stand to the right. A line longer than ``width`` is cut, so that only the last
    column suffers; or, with ``fold``, its last column goes on below.
    """
    cells = [[safe(cell) for cell in row] for row in rows]
    shown = [list(headers), *cells] if headers else cells
    if not shown:
        return []
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    aligned = (
        (cell.rjust(w) if column in numbers else cell.ljust(w)
         for column, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in shown
    )  # fmt: skip
    lines = ["   ".join(row).rstrip() for row in aligned]
    if not width:
        return lines
    if not fold:
        return [cut(line, width) for line in lines]
    last = sum(widths[:-1]) + 3 * (len(widths) - 1)
    return [part for line in lines for part in folded(line[:last], line[last:], width)]


def folded(title: str, text: str, width: int | None) -> list[str]:
    """Return ``title`` and safe ``text`` behind it, in lines of at most ``width``; the text goes on below its begin.

    Without a width it is one line. Where the title leaves too little room, the text stands below it.
    """
    said = safe(text)
    if not width or len(title) + len(said) <= width:
        return [f"{title}{said}".rstrip()]
    indent = " " * (len(title) if width - len(title) >= _ROOM else 4)
    parts = textwrap.wrap(said, max(1, width - len(indent)), break_on_hyphens=False)
    first = [] if len(indent) == len(title) else [cut(title.rstrip(), width)]
    lines = [*first, *(f"{indent}{part}" for part in parts)]
    return lines if first else [f"{title}{lines[0][len(title) :]}", *lines[1:]]


def cut(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` characters, with three dots where something is missing."""
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."[:width]
