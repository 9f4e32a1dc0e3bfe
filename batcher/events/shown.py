"""Events as the command lists them: cells, and the order in which they stand."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import polars as pl

from batcher.errors import UsageError
from batcher.text import ago, safe

HEADERS = ("LAST SEEN", "CLUSTER", "NAMESPACE", "TYPE", "REASON", "COUNT", "OBJECT", "MESSAGE")
WIDE_HEADERS = (
    "LAST SEEN", "CLUSTER", "NAMESPACE", "TYPE", "REASON", "COUNT", "OBJECT", "SUBOBJECT", "SOURCE", "FIRST SEEN",
    "NAME", "VERDICT", "WORKSPACE", "TARGET", "MESSAGE",
)  # fmt: skip
NUMBERS = (5,)

SORTED_BY = {
    "last": "last_at",
    "first": "first_at",
    "created": "created_at",
    "received": "received_at",
    "count": "count",
    "cluster": "cluster",
    "namespace": "namespace",
    "type": "type",
    "reason": "reason",
    "kind": "regarding_kind",
    "object": "regarding_name",
    "name": "name",
    "message": "message",
    "verdict": "verdict",
}
"""What Events can be sorted by, and the column that has it."""
_PATHS = {
    ".lastTimestamp": "last", ".firstTimestamp": "first", ".metadata.creationTimestamp": "created", ".count": "count",
    ".metadata.namespace": "namespace", ".type": "type", ".reason": "reason", ".involvedObject.kind": "kind",
    ".involvedObject.name": "object", ".metadata.name": "name", ".message": "message",
}  # fmt: skip
"""The same in the words of kubectl's ``--sort-by``."""


class Ordering(NamedTuple):
    """A column, and whether its largest value stands first."""

    column: str
    descending: bool = False


def ordering(flag: str, text: str) -> Ordering:
    """Return the order that ``text`` says, one of :data:`SORTED_BY` or a path of kubectl, with a ``-`` for backwards.

    Raises :class:`UsageError` if it says none.
    """
    bare = text.removeprefix("-").strip()
    path = bare.removeprefix("{").removesuffix("}")
    said = _PATHS.get(path if path.startswith(".") else f".{path}", bare)
    if said not in SORTED_BY:
        message = f"{flag}: {safe(text)!r} is nothing to sort by; there are: {', '.join(SORTED_BY)}; and -count"
        raise UsageError(message)
    return Ordering(SORTED_BY[said], text.startswith("-"))


def in_order(found: pl.DataFrame, order: Ordering) -> pl.DataFrame:
    """Return ``found`` in ``order``; what is equal stays as it stood."""
    return found.sort(order.column, descending=order.descending, nulls_last=True, maintain_order=True)


def rows(found: pl.DataFrame, *, now: datetime, wide: bool = False) -> Iterator[tuple[str, ...]]:
    """Yield the cells of :data:`HEADERS`, or of :data:`WIDE_HEADERS`, for each row."""
    for event in found.iter_rows(named=True):
        narrow = (
            ago(event["last_at"], now),
            event["cluster"],
            event["namespace"],
            event["type"],
            event["reason"],
            str(event["count"]),
            f"{event['regarding_kind'].lower()}/{event['regarding_name']}",
        )
        yield (*narrow, *(_more(event, now) if wide else ()), event["message"])


def _more(event: dict[str, object], now: datetime) -> tuple[str, ...]:
    source = ", ".join(str(event[part]) for part in ("component", "host") if event[part])
    first = event["first_at"]
    return (
        str(event["regarding_field_path"] or ""),
        source,
        ago(first, now) if isinstance(first, datetime) else "",
        str(event["name"]),
        str(event["verdict"]),
        str(event["workspace"] or ""),
        str(event["target_namespace"] or ""),
    )


def name(event: dict[str, object]) -> str:
    """Return what ``kubectl get events -o name`` calls it; it is not safe yet."""
    return f"event/{event['name']}"
