from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import Expired
from batcher.sandbox.collection import Key
from batcher.sandbox.resources import EVENTS
from batcher.sandbox.store import EVERYWHERE, Store

NAMES = st.sampled_from(["a", "b", "c", "d"])
CLUSTERS = st.sampled_from(["one", "two"])
WRITES = st.lists(st.tuples(st.sampled_from(["put", "delete"]), CLUSTERS, NAMES), max_size=12)


def content(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def written(store: Store, writes: list[tuple[str, str, str]]) -> list[int]:
    """Do ``writes``; return the revision after each that changed something."""
    revisions = []
    for verb, cluster, name in writes:
        key = Key(cluster, "default", name)
        change = store.put(EVENTS, key, content(name)) if verb == "put" else store.delete(EVENTS, key)
        revisions += [change.revision] if change else []
    return revisions


def replayed(store: Store, cluster: str, revision: int) -> list[tuple[str, str, int]]:
    collection = store.collection(EVENTS, cluster)
    changes = collection.read(collection.after(revision), 1000)
    return [(change.type.value, change.key.name, change.revision) for change in changes]


@given(WRITES)
def test_the_resource_version_strictly_grows_over_all_clusters(writes: list[tuple[str, str, str]]) -> None:
    revisions = written(Store(), writes)
    assert all(before < after for before, after in pairwise(revisions))


@given(WRITES, st.integers(0, 12))
def test_a_watch_from_any_retained_version_replays_exactly_the_later_changes(
    writes: list[tuple[str, str, str]], cut: int
) -> None:
    store = Store()
    written(store, writes[:cut])
    seen = store.revision
    before = {change.key: change.revision for change in store.page(EVENTS, EVERYWHERE).changes}
    revisions = written(store, writes[cut:])
    changes = replayed(store, EVERYWHERE, seen)
    assert [revision for _, _, revision in changes] == revisions
    collection = store.collection(EVENTS, EVERYWHERE)
    for change in collection.read(collection.after(seen), 1000):
        if change.type == "DELETED":
            del before[change.key]
        else:
            before[change.key] = change.revision
    assert before == {change.key: change.revision for change in store.page(EVENTS, EVERYWHERE).changes}


@given(WRITES, WRITES, st.integers(1, 3))
def test_pages_concatenated_equal_the_full_list_whatever_is_written_between(
    writes: list[tuple[str, str, str]], between: list[tuple[str, str, str]], limit: int
) -> None:
    store = Store()
    written(store, writes)
    at = store.revision
    full = [change.line for change in store.page(EVENTS, EVERYWHERE, revision=at).changes]
    paged: list[bytes] = []
    start: Key | None = None
    for index in range(20):
        page = store.page(EVENTS, EVERYWHERE, revision=at, start=start, limit=limit)
        paged += [change.line for change in page.changes]
        if not page.remaining:
            break
        start = Key(*page.changes[-1].key[:2], page.changes[-1].key.name + "\0")
        written(store, between[index : index + 1])
    assert paged == full


@given(WRITES)
def test_a_rolled_back_list_equals_the_list_of_that_time(writes: list[tuple[str, str, str]]) -> None:
    store = Store()
    then: dict[int, list[bytes]] = {}
    for write in writes:
        written(store, [write])
        then[store.revision] = [change.line for change in Store.page(store, EVENTS, "one").changes]
    for revision, lines in then.items():
        assert [change.line for change in store.page(EVENTS, "one", revision=revision).changes] == lines


def test_events_that_expire_together_share_one_resource_version() -> None:
    store, now = Store(), datetime(2026, 11, 23, tzinfo=UTC)
    for name in ("a", "b"):
        store.put(EVENTS, Key("", "default", name), content(name), expires_at=now + timedelta(hours=1))
    seen = store.revision
    assert store.expire(now + timedelta(minutes=59)) == 0
    assert store.expire(now + timedelta(hours=1)) == 2
    assert replayed(store, "", seen) == [("DELETED", "a", 4), ("DELETED", "b", 4)]


def test_each_write_sets_the_time_of_expiry_anew() -> None:
    store, now = Store(), datetime(2026, 11, 23, tzinfo=UTC)
    key = Key("", "default", "a")
    store.put(EVENTS, key, content("a"), expires_at=now + timedelta(hours=1))
    store.put(EVENTS, key, content("a"), expires_at=now + timedelta(hours=2))
    assert store.expire(now + timedelta(hours=1)) == 0
    assert store.get(EVENTS, key) is not None


def test_a_watch_from_before_the_compaction_expires() -> None:
    store = Store()
    written(store, [("put", "", "a"), ("put", "", "b")])
    store.compact(2)
    assert replayed(store, "", 2) == [("ADDED", "b", 3)]
    with pytest.raises(Expired):
        replayed(store, "", 1)


def test_history_is_bounded_and_a_reader_that_falls_behind_expires() -> None:
    store = Store(history=3)
    collection = store.collection(EVENTS, "")
    position = collection.end
    written(store, [("put", "", "a")] * 6)
    assert replayed(store, "", 4) == [("MODIFIED", "a", 5), ("MODIFIED", "a", 6), ("MODIFIED", "a", 7)]
    with pytest.raises(Expired):
        collection.read(position, 10)


def test_a_lost_update_is_in_lists_and_in_no_watch() -> None:
    store = Store()
    store.lose(1)
    written(store, [("put", "", "lost"), ("put", "", "seen")])
    assert replayed(store, "", 1) == [("ADDED", "seen", 3)]
    assert [change.key.name for change in store.page(EVENTS, "").changes] == ["lost", "seen"]


def test_a_restored_store_goes_back_in_objects_and_in_versions() -> None:
    store = Store()
    written(store, [("put", "", "a"), ("put", "", "b"), ("delete", "", "a")])
    store.rewind(2)
    assert [change.key.name for change in store.page(EVENTS, "").changes] == ["a"]
    assert written(store, [("put", "", "c")]) == [3]
