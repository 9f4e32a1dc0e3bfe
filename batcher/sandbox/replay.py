"""A dump of real Events, as ``kubectl get events -o json`` prints it, played into a simulated cluster.

Times are moved so that the newest is now, because a cluster that reports Events of last year would be
reporting expired ones; what lies between them is kept.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from batcher.errors import UsageError

_TIMES = ("firstTimestamp", "lastTimestamp", "eventTime")


class Target(Protocol):
    """What a dump is played into: the in-process writes of a simulated cluster."""

    def create_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Store ``event``, its uid and creationTimestamp included, at the next resourceVersion."""
        ...


@dataclass(frozen=True)
class Dump:
    """The items of a dump."""

    items: list[dict[str, Any]]

    @property
    def occurrences(self) -> int:
        """How often all that happened: the sum of the cumulative counts, as kubectl shows them."""
        return sum(max(1, (item.get("series") or {}).get("count") or item.get("count") or 1) for item in self.items)

    def play(self, cluster: Target, *, now: datetime) -> None:
        """Store every Event in ``cluster``, in the order of the dump."""
        shift = now - max((at for item in self.items for at in _times(item)), default=now)
        for item in self.items:
            cluster.create_event(_moved(item, shift))


def read_dump(path: Path) -> Dump:
    """Read a dump. Raises :class:`UsageError` if ``path`` holds none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        items = [item for item in document["items"] if item["metadata"]["name"] and item["metadata"]["namespace"]]
    except OSError as error:
        message = f"--replay {path}: {error.strerror}"
    except (ValueError, KeyError, TypeError):
        message = f"--replay {path}: not a list of Events; make one with: kubectl get events -A -o json"
    else:
        return Dump(items)
    raise UsageError(message)


def _times(item: dict[str, Any]) -> list[datetime]:
    texts = [item["metadata"].get("creationTimestamp"), *(item.get(name) for name in _TIMES)]
    texts.append((item.get("series") or {}).get("lastObservedTime"))
    return [_parse(text) for text in texts if text]


def _moved(item: dict[str, Any], shift: timedelta) -> dict[str, Any]:
    moved = {**item, **{name: _shifted(item.get(name), shift) for name in _TIMES if name in item}}
    created = _shifted(item["metadata"].get("creationTimestamp"), shift)
    moved["metadata"] = {**item["metadata"], "creationTimestamp": created}
    if item.get("series"):
        observed = _shifted(item["series"].get("lastObservedTime"), shift)
        moved["series"] = {**item["series"], "lastObservedTime": observed}
    return moved


def _shifted(text: str | None, shift: timedelta) -> str | None:
    if not text:
        return text
    at = (_parse(text) + shift).astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ")


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text)
