from collections.abc import Iterator
from datetime import timedelta

import polars as pl
import pytest

from batcher.archive import scan
from batcher.archive.events import HEADERS, Selection, newest, rows
from batcher.batch.process import staged_paths
from batcher.errors import UsageError
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


def shown(occurrences: pl.LazyFrame, selection: Selection) -> list[str]:
    """Cluster, Pod and count of each Event, in the order shown."""
    found = newest(occurrences, selection, now=NOW).select("cluster", "regarding_name", "count")
    return [f"{cluster} {name} x{count}" for cluster, name, count in found.rows()]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["us-west1 idle x1", "us-west1 job x1", "eu-1 web x1", "us-west1 web x7"]),
        (Selection(namespace="jobs"), ["us-west1 job x1"]),
        (Selection(cluster="eu-1"), ["eu-1 web x1"]),
        (Selection(types="normal"), ["us-west1 idle x1"]),
        (Selection(types="Normal, warning"), ["us-west1 idle x1", "us-west1 job x1", "eu-1 web x1", "us-west1 web x7"]),
        (Selection(since="15m"), ["eu-1 web x1", "us-west1 web x7"]),
        (Selection(namespace="web", cluster="us-west1", types="Warning", since="1h"), ["us-west1 web x7"]),
        (Selection(namespace="we"), []),
    ],
    ids=["all", "namespace", "cluster", "type", "types", "since", "everything", "no-globs"],
)
def test_events_are_selected_and_the_latest_stands_last(
    occurrences: pl.LazyFrame, selection: Selection, expected: list[str]
) -> None:
    assert shown(occurrences, selection) == expected


def test_the_newest_revision_tells_message_and_count_whatever_the_order_of_rows(occurrences: pl.LazyFrame) -> None:
    backwards = occurrences.sort("position", descending=True)
    found = newest(backwards, Selection(cluster="us-west1", namespace="web", types="Warning"), now=NOW)
    assert found.select("count", "message").rows() == [(7, "Back-off restarting failed container")]


@pytest.mark.parametrize("since", ["yesterday", "-5m", "5", "1w"])
def test_a_since_that_is_no_duration_is_a_usage_error(occurrences: pl.LazyFrame, since: str) -> None:
    with pytest.raises(UsageError, match=r"--since: .* is not a duration such as 30s") as caught:
        newest(occurrences, Selection(since=since), now=NOW)
    assert caught.value.exit_code == 2


def test_cells_stand_under_their_headers(occurrences: pl.LazyFrame) -> None:
    (cells,) = rows(newest(occurrences, Selection(namespace="jobs"), now=NOW), now=NOW)
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


def test_the_uid_of_one_cluster_says_nothing_about_another(occurrences: pl.LazyFrame) -> None:
    assert STREAM.cluster_uid != OTHER.cluster_uid
    assert shown(occurrences, Selection(namespace="web", types="Warning")) == ["eu-1 web x1", "us-west1 web x7"]
