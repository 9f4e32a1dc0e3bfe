"""Text for people: hostile bytes made harmless, times made short, rows made columns.

Event text is written by anyone who can create an Event. Every line that a person reads on a terminal goes
through :func:`safe`. JSON output does not: it escapes by itself and must stay exact.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 with ESC, DEL, C1
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # bidi controls, zero-width, line separators
    "\ud800-\udfff]+"  # halves of characters, which no terminal can print
)


def safe(text: str) -> str:
    """Return ``text`` with every run of control, bidi and invisible characters as one space."""
    return _HOSTILE.sub(" ", text).strip()


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago ``at`` was, as kubectl prints ages: ``45s``, ``5m10s``, ``3h``, ``2d``."""
    seconds = max(0, int((now - at).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:  # noqa: PLR2004  the limits of apimachinery's duration.HumanDuration
        return f"{seconds}s"
    if minutes < 10:  # noqa: PLR2004
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:  # noqa: PLR2004
        return f"{minutes}m"
    return f"{hours}h" if hours < 48 else f"{days}d"  # noqa: PLR2004


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    numbers: Collection[int] = (),
) -> list[str]:
    """Return lines of aligned columns, three spaces apart; every cell is made safe.

    Columns of ``numbers`` stand to the right. A line longer than ``width`` is cut, so that only the last
    column suffers.
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
    return [cut(line, width) if width else line for line in lines]


def cut(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` characters, with three dots where something is missing."""
    return text if len(text) <= width else text[: width - 3] + "..."
