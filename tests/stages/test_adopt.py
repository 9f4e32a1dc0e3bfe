"""What names were used for while nobody told of their Namespaces; adoption itself is in tests/test_adoption.py."""

from datetime import timedelta
from typing import Any

import polars as pl

from batcher.schema import SERVED, Columns
from batcher.stages.adopt import FRESH, served_now, uses
from tests.stages.rows import at, frame

LOCATED: Columns = {
    **{name: kind for name, kind in SERVED.items() if name != "seen_at"},
    "regarding_namespace": pl.String,
    "position": pl.Int64,
    "received_at": SERVED["seen_at"],
    "is_told": pl.Boolean,
}


def located(position: int, **changes: Any) -> dict[str, Any]:
    there = {"cluster_uid": "us", "namespace": "web", "regarding_namespace": "web"}
    said = {"workspace": "root:a", "target_namespace": "shop"}
    return {**there, **said, "position": position, "received_at": at(position), **changes}


def test_only_mapped_objects_in_namespaces_that_nobody_told_of_count_as_use() -> None:
    rows = [
        located(1),
        located(2, workspace="", target_namespace=""),
        located(3, is_told=True),
        located(4, namespace="default", regarding_namespace=""),
    ]
    assert uses(frame(LOCATED, rows)).select("namespace", "position").collect().rows() == [("web", 1)]


def test_the_newest_use_is_kept_and_renewed_only_when_it_is_another_or_long_ago() -> None:
    known = frame(
        SERVED, [{"cluster_uid": "us", "namespace": "web", "workspace": "root:a", "target_namespace": "shop"}]
    )

    def kept(*rows: dict[str, Any]) -> list[tuple[str, str]]:
        found = served_now(uses(frame(LOCATED, rows)), known).collect()
        return [(workspace, str(seen_at - at(0))) for workspace, seen_at in found.select("workspace", "seen_at").rows()]

    hour = FRESH // timedelta(minutes=1)
    assert kept(located(1), located(hour)) == []
    assert kept(located(hour + 1)) == [("root:a", "1:01:00")]
    assert kept(located(1, workspace="root:b"), located(2, workspace="root:c")) == [("root:c", "0:02:00")]
    assert kept(located(2, workspace="root:c"), located(3)) == []
