from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.archive import scan
from batcher.batch.process import staged_paths
from batcher.errors import UsageError
from batcher.events import HEADERS, WIDE_HEADERS, chosen, in_order, newest, ordering, rows
from batcher.schema import OCCURRENCES
from batcher.spool import Stream
from tests.history import START_AT, history
from tests.sections import STREAM, event, watched

NOW = START_AT + timedelta(minutes=30)
OTHER = Stream("uid-eu", "events")


@pytest.fixture(scope="module")
def occurrences(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pl.LazyFrame]:
    folder = tmp_path_factory.mktemp("events")
    with history(folder / "data") as h:
        h.batch(
            watched(
                event("web", 10, count=3, minute=1, message="first"),
                event("job", 11, namespace="jobs", minute=2),
                event("idle", 12, minute=0, type="Normal"),
            ),
            minute=2,
        )
        h.batch(watched(event("web", 20, count=7, minute=1, lastTimestamp="2026-11-23T16:20:00Z")), minute=20)
        elsewhere = watched(event("web", 5, minute=3), stream=OTHER)
        h.batch(type(elsewhere)(OTHER, "eu-1", elsewhere.kind, "1", 1, elsewhere.body), minute=21)
        yield scan(folder / "archive", "occurrences", staged_paths(h.directory)["occurrences"])


def shown(occurrences: pl.LazyFrame, limit: int = 100, /, **flags: str) -> list[str]:
    """Cluster, Pod and count of each Event, in the order shown."""
    found = newest(occurrences, chosen(**flags, now=NOW), now=NOW, limit=limit)
    return [f"{c} {name} x{count}" for c, name, count in found.select("cluster", "regarding_name", "count").rows()]


ALL = ["us-west1 idle x1", "us-west1 job x1", "eu-1 web x1", "us-west1 web x7"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, ALL),
        ({"namespace": "jobs"}, ["us-west1 job x1"]),
        ({"namespace": "?ob*"}, ["us-west1 job x1"]),
        ({"namespace": "we"}, []),
        ({"cluster": "eu-1"}, ["eu-1 web x1"]),
        ({"cluster": "us-*"}, ["us-west1 idle x1", "us-west1 job x1", "us-west1 web x7"]),
        ({"types": "normal"}, ["us-west1 idle x1"]),
        ({"types": "Normal, warning"}, ALL),
        ({"since": "15m"}, ["eu-1 web x1", "us-west1 web x7"]),
        ({"since": "2026-11-23T16:21:00Z"}, ["eu-1 web x1"]),
        ({"since": "2026-11-23T17:20:30+01:00"}, ["eu-1 web x1"]),
        ({"until": "2026-11-23T16:10:00Z"}, ["us-west1 idle x1", "us-west1 web x3", "us-west1 job x1"]),
        ({"since": "29m", "until": "10m"}, ["us-west1 idle x1", "us-west1 job x1", "us-west1 web x7"]),
        ({"about": "pod/web"}, ["eu-1 web x1", "us-west1 web x7"]),
        ({"about": "po/j*", "types": "Warning"}, ["us-west1 job x1"]),
        ({"about": "deployment/web"}, []),
        ({"namespace": "web", "cluster": "us-west1", "types": "Warning", "since": "1h"}, ["us-west1 web x7"]),
    ],
    ids=str,
)
def test_events_are_selected_and_the_latest_stands_last(
    occurrences: pl.LazyFrame, flags: dict[str, str], expected: list[str]
) -> None:
    assert shown(occurrences, **flags) == expected


def test_the_newest_revision_tells_message_and_count_whatever_the_order_of_rows(occurrences: pl.LazyFrame) -> None:
    backwards = occurrences.sort("position", descending=True)
    found = newest(backwards, chosen(cluster="us-west1", namespace="web", types="Warning", now=NOW), now=NOW)
    assert found.select("count", "message").rows() == [(7, "Back-off restarting failed container")]


@pytest.mark.parametrize("limit", [1, 2, 3, 0])
def test_a_limit_keeps_the_events_that_were_received_last(occurrences: pl.LazyFrame, limit: int) -> None:
    received = ["eu-1 web x1", "us-west1 web x7", "us-west1 idle x1", "us-west1 job x1"]
    kept = {0: received, 1: received[:1], 2: received[:2], 3: [*received[:2], "us-west1 idle x1"]}[limit]
    assert sorted(shown(occurrences, limit)) == sorted(kept)


def test_batches_after_the_last_that_is_asked_for_are_not_looked_at(occurrences: pl.LazyFrame) -> None:
    through = {
        batch: chosen(namespace="web", cluster="us-west1", now=NOW)._replace(through=batch) for batch in (0, 1, 2)
    }
    counts = {batch: newest(occurrences, asked, now=NOW)["count"].to_list() for batch, asked in through.items()}
    assert counts == {0: [], 1: [1, 3], 2: [1, 7]}


def row(**given_: Any) -> dict[str, Any]:
    filled: dict[str, Any] = {name: "" if kind == pl.String else None for name, kind in OCCURRENCES.items()}
    return filled | {"batch": 1, "count": 1} | given_


@given(
    st.lists(st.tuples(st.integers(0, 70), st.sampled_from("abc"), st.sampled_from("xy")), max_size=12),
    st.integers(1, 5),
)
def test_days_are_looked_at_one_by_one_and_nothing_is_missed(said: list[tuple[int, str, str]], limit: int) -> None:
    said.sort(reverse=True)
    table = pl.LazyFrame(
        [
            row(position=place, received_at=NOW - timedelta(days=days), last_at=NOW, uid=uid, cluster_uid=cluster)
            for place, (days, uid, cluster) in enumerate(said)
        ],
        schema=OCCURRENCES,
    )
    last = {(cluster, uid): place for place, (_, uid, cluster) in enumerate(said)}
    found = newest(table, chosen(now=NOW), now=NOW, limit=limit)
    assert found["position"].to_list() == sorted(last.values())[-limit:]
    assert found.schema == pl.Schema(OCCURRENCES)


def test_cells_stand_under_their_headers(occurrences: pl.LazyFrame) -> None:
    found = newest(occurrences, chosen(namespace="jobs", now=NOW), now=NOW)
    (cells,) = rows(found, now=NOW)
    assert dict(zip(HEADERS, cells, strict=True)) == {
        "LAST SEEN": "28m",
        "CLUSTER": "us-west1",
        "NAMESPACE": "jobs",
        "TYPE": "Warning",
        "REASON": "BackOff",
        "COUNT": "1",
        "OBJECT": "pod/job",
        "MESSAGE": "Back-off restarting failed container",
    }
    (wide,) = rows(found, now=NOW, wide=True)
    more = dict(zip(WIDE_HEADERS, wide, strict=True))
    assert [more[name] for name in ("SOURCE", "FIRST SEEN", "NAME", "VERDICT", "WORKSPACE")] == [
        "kubelet", "28m", "job.1", "unmapped", "",
    ]  # fmt: skip


def test_the_uid_of_one_cluster_says_nothing_about_another(occurrences: pl.LazyFrame) -> None:
    assert STREAM.cluster_uid != OTHER.cluster_uid
    assert shown(occurrences, namespace="web", types="Warning") == ["eu-1 web x1", "us-west1 web x7"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("count", ["idle", "job", "web", "web"]),
        ("-count", ["web", "idle", "job", "web"]),
        (".involvedObject.name", ["idle", "job", "web", "web"]),
        ("{.lastTimestamp}", ["idle", "job", "web", "web"]),
        ("-.metadata.name", ["web", "web", "job", "idle"]),
    ],
)
def test_events_are_sorted_by_what_kubectl_calls_it_too(
    occurrences: pl.LazyFrame, said: str, expected: list[str]
) -> None:
    found = newest(occurrences, chosen(now=NOW), now=NOW)
    assert in_order(found, ordering("--sort-by", said))["regarding_name"].to_list() == expected


def test_nothing_to_sort_by_is_a_usage_error_that_says_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"^--sort-by: 'size' is nothing to sort by; there are: last, first, .*count"):
        ordering("--sort-by", "size")
