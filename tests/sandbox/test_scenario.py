from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batcher.sandbox.scenario import CLUSTERS, Emitter, play

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Memory:
    """A recorder that keeps the newest revision of each Event."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], dict[str, Any]] = {}

    def create_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        key = (event["metadata"]["namespace"], event["metadata"]["name"])
        assert key not in self.events
        self.events[key] = dict(event)
        return self.events[key]

    def update_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        self.events[namespace, name] |= changes
        return self.events[namespace, name]


@given(rate=st.integers(1, 400), seed=st.integers(0, 5))
def test_the_ledger_is_the_sum_of_the_counts_that_clusters_show(rate: int, seed: int) -> None:
    clusters = {name: Memory() for name in CLUSTERS}
    emitter = Emitter(clusters)
    for happening in play(duration=timedelta(minutes=1), rate=rate, seed=seed):
        emitter.emit(happening, NOW)
    shown = [event for cluster in clusters.values() for event in cluster.events.values()]
    counts = [(event.get("series") or {}).get("count") or event.get("count") or 1 for event in shown]
    assert sum(counts) == emitter.occurrences
    assert emitter.revisions == rate


def test_the_same_seed_plays_the_same_outage() -> None:
    def once() -> list[object]:
        return list(play(duration=timedelta(minutes=1), rate=200, seed=3))

    assert once() == once()
    assert once() != list(play(duration=timedelta(minutes=1), rate=200, seed=4))


def test_the_bad_image_reaches_two_of_three_clusters_after_its_rollout() -> None:
    played = list(play(duration=timedelta(minutes=1), rate=2000))
    pulls = [h for h in played if h.reason == "Failed"]
    assert {h.cluster for h in pulls} == {"us-west1", "eu-central1"}
    assert min(h.at for h in pulls) >= timedelta(minutes=1) * 0.18
