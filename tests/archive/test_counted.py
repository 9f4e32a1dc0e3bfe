import msgspec
import polars as pl

from batcher.archive import counted
from batcher.decode import decode
from batcher.pipeline import empty_state, run
from batcher.schema import OCCURRENCES
from batcher.spool import Section
from batcher.spool.position import Place
from batcher.stages.settle import OUTCOMES
from tests.history import RULES, START_AT
from tests.sections import STREAM, event, watched


def archived(*sections: Section) -> pl.LazyFrame:
    frames = [(Place(1, number), [section]) for number, section in enumerate(sections)]
    nothing = pl.DataFrame(schema=OUTCOMES)
    result = run(decode(frames), nothing, empty_state(), batch=1, now=START_AT, rules=RULES)
    return result.tables["occurrences"].select(*OCCURRENCES).lazy()


def ask(occurrences: pl.LazyFrame, *events: bytes) -> list[tuple[int, ...]]:
    """Incarnation, resourceVersion and count of each identity that is known."""
    lines = decode([(Place(2, 0), [watched(*events)])]).lines
    found = counted(occurrences, lines)
    assert set(found.select("identity_high", "identity_low").rows()) <= set(
        lines.select("identity_high", "identity_low").rows()
    )
    return sorted(found.select("incarnation", "resource_version", "count").rows())


def test_the_largest_version_and_count_of_an_identity_are_known() -> None:
    rows = archived(watched(event("a", 5, count=3), event("a", 9, count=7), event("b", 20, count=1)))
    assert ask(rows, event("a", 6)) == [(0, 9, 7)]
    assert ask(rows, event("a", 6), event("b", 1)) == [(0, 9, 7), (0, 20, 1)]
    assert ask(rows, event("c", 1)) == []


def test_another_first_time_or_namespace_or_cluster_is_another_identity() -> None:
    rows = archived(watched(event("a", 5, count=3)))
    assert ask(rows, event("a", 6, minute=1)) == []
    assert ask(rows, event("a", 6, namespace="jobs")) == []
    other = msgspec.structs.replace(STREAM, cluster_uid="uid-eu")
    assert ask(archived(watched(event("a", 5), stream=other)), event("a", 6)) == []


def test_an_event_that_was_created_again_under_another_uid_is_the_same() -> None:
    again = event("a", 6).replace(b'"uid":"uid-a"', b'"uid":"uid-other"')
    assert ask(archived(watched(event("a", 5, count=3))), again) == [(0, 5, 3)]


def test_an_event_without_times_is_known_by_its_uid() -> None:
    bare = event("a", 5, count=3, firstTimestamp=None, lastTimestamp=None)
    assert ask(archived(watched(bare)), event("a", 6, firstTimestamp=None)) == [(0, 5, 3)]
    other = event("a", 6, firstTimestamp="").replace(b'"uid":"uid-a"', b'"uid":"uid-other"')
    assert ask(archived(watched(bare)), other) == []


def test_versions_count_within_the_latest_incarnation_and_counts_go_on() -> None:
    restored = msgspec.structs.replace(STREAM, incarnation=1)
    rows = archived(watched(event("a", 500, count=7)), watched(event("a", 9, count=8), stream=restored))
    assert ask(rows, event("a", 6)) == [(1, 9, 8)]
    assert ask(rows.with_columns(incarnation=pl.lit(None, pl.Int64)), event("a", 6)) == [(0, 500, 8)]
