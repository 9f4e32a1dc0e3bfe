import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batcher.errors import UsageError
from batcher.sandbox.replay import Dump, read_dump

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DUMP = Path(__file__).parent.parent / "real-events" / "k3s-default.json"


class Target:
    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def create_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        self.events.append(event)
        return dict(event)


def test_the_real_dump_holds_56_events_and_99_occurrences() -> None:
    dump = read_dump(DUMP)
    assert (len(dump.items), dump.occurrences) == (56, 99)


def test_times_are_moved_together_so_that_the_newest_is_now() -> None:
    target = Target()
    items: list[dict[str, Any]] = [
        {"metadata": {"name": "a", "namespace": "n", "creationTimestamp": "2025-09-11T20:00:00Z"},
         "firstTimestamp": "2025-09-11T20:00:00Z", "lastTimestamp": "2025-09-11T20:30:00Z", "eventTime": None},
        {"metadata": {"name": "b", "namespace": "n", "creationTimestamp": "2025-09-11T20:10:00Z"},
         "eventTime": "2025-09-11T20:10:00.000250Z"},
    ]  # fmt: skip
    Dump(items).play(target, now=NOW)
    first, second = target.events
    assert (first["firstTimestamp"], first["lastTimestamp"]) == ("2026-11-23T11:30:00Z", "2026-11-23T12:00:00Z")
    assert first["metadata"]["creationTimestamp"] == "2026-11-23T11:30:00Z"
    assert first["eventTime"] is None
    assert second["eventTime"] == "2026-11-23T11:40:00.000250Z"


def test_what_is_no_list_of_events_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    for name, content in {"text": "hello", "other": json.dumps({"items": [{"kind": "Pod"}]}), "list": "[]"}.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(UsageError, match="kubectl get events -A -o json"):
            read_dump(tmp_path / name)
