"""Which Events are asked for: what the flags of a command say, checked, and as a condition on rows.

Everything that is wrong is said in one line that names the flag and shows what would be right. A glob knows ``*`` and
``?`` and becomes an expression that polars evaluates in time linear in the text.
"""

import re
from datetime import datetime
from typing import NamedTuple

import polars as pl

from batcher.errors import UsageError
from batcher.events.named import Named, is_about, named
from batcher.settings import moment_flag
from batcher.stages.rule import glob
from batcher.text import safe

LIMIT = 10_000
"""Events that are listed at most, unless more are asked for: as many as anybody reads, and no month of them."""
TYPES = ("Normal", "Warning")

_LABEL_GLOB = re.compile(r"[-a-z0-9*?]{1,63}")


class Selection(NamedTuple):
    """Which rows; what is empty or None asks for no restriction."""

    namespace: str = ""
    """A glob, as is ``cluster``."""
    cluster: str = ""
    types: tuple[str, ...] = ()
    about: Named | None = None
    since: datetime | None = None
    """Received then or later."""
    until: datetime | None = None
    """Received then or before: what was known at that time."""
    through: int | None = None
    """Of no later batch."""


def chosen(
    *, namespace: str = "", cluster: str = "", types: str = "", about: str = "", since: str = "", until: str = "",
    now: datetime,
) -> Selection:  # fmt: skip
    """Return the selection that flags of these names ask for. Raises :class:`UsageError` for one that is wrong."""
    begin = moment_flag("--since", since, now) if since else None
    end = moment_flag("--until", until, now) if until else None
    if begin and end and begin > end:
        message = f"--since: {begin:%Y-%m-%dT%H:%M:%SZ} is after --until {end:%Y-%m-%dT%H:%M:%SZ}; nothing is between"
        raise UsageError(message)
    return Selection(
        namespace=_label("--namespace", namespace),
        cluster=_label("--cluster", cluster),
        types=_types(types),
        about=named("--for", about) if about else None,
        since=begin,
        until=end,
    )


def _label(flag: str, text: str) -> str:
    if text and not _LABEL_GLOB.fullmatch(text):
        message = f"{flag}: {safe(text)!r} is no name, nor a glob such as shop-* (* and ? stand for other characters)"
        raise UsageError(message)
    return text


def _types(text: str) -> tuple[str, ...]:
    """In any case, as kubectl takes them."""
    known = {name.lower(): name for name in TYPES}
    said = [part.strip() for part in text.split(",")] if text else []
    for part in said:
        if part.lower() not in known:
            message = f"--types: {safe(part)!r} is no type of Events; there are: {', '.join(TYPES)}"
            raise UsageError(message)
    return tuple(known[part.lower()] for part in said)


def condition(selection: Selection) -> pl.Expr:
    """Whether a row of :data:`batcher.schema.OCCURRENCES` is asked for.

    Comparisons of plain columns come first: files and row groups that cannot have such a row are never read.
    """
    given = [_matches(name, getattr(selection, name)) for name in ("namespace", "cluster") if getattr(selection, name)]
    if selection.since:
        given.insert(0, pl.col("received_at") >= selection.since)
    if selection.until:
        given.insert(0, pl.col("received_at") <= selection.until)
    if selection.through is not None:
        given.append(pl.col("batch") <= selection.through)
    if selection.types:
        given.append(pl.col("type").is_in(selection.types))
    if selection.about:
        given.append(is_about(selection.about))
    return pl.all_horizontal(given) if given else pl.lit(value=True)


def _matches(column: str, text: str) -> pl.Expr:
    is_glob = "*" in text or "?" in text
    return pl.col(column).str.contains(glob(text)) if is_glob else pl.col(column) == text
