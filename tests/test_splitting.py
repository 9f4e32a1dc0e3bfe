"""The pipeline's promise, on random histories: where a batch is cut, and what is resent, changes no total."""

from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher import pipeline, schema
from batcher.decode import decode
from batcher.pipeline import Rules, State, advance, empty_state, run
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from batcher.stages.locate import Rule
from batcher.stages.settle import OUTCOMES

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = 60_000_000
MICROS = int(START.timestamp()) * 1_000_000
NOTHING = pl.DataFrame(schema=OUTCOMES)
RULES = Rules(
    mapping=(Rule("*", "web", "root:shop"),),
    event_ttl=timedelta(hours=1),
    window=timedelta(minutes=5),
    longest=timedelta(minutes=30),
    prefix=True,
    owner=True,
)

Delivery = tuple[str, str, int, int, int, int]
"""cluster, event name, resourceVersion, cumulative count, minutes since the delivery before, incarnation."""

histories = settings(max_examples=max(25, settings().max_examples // 4))
"""A history is several batches of 30 ms each: a quarter of the examples of other properties."""


def histories_of(*incarnations: int) -> st.SearchStrategy[list[Delivery]]:
    """Histories of clusters that are out of reach now and then, and that were restored so often."""
    delivery = st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["web.1", "web.2", "api.1"]),
        st.integers(1, 6),
        st.integers(0, 5),
        st.sampled_from([0, 1, 1, 4, 6, 40, 600]),
        st.sampled_from(incarnations),
    )
    return st.lists(delivery, min_size=1, max_size=12)


deliveries = histories_of(0, 0, 0, 1)
never_restored = histories_of(0)


def frames(history: list[Delivery]) -> list[tuple[Place, list[Section]]]:
    """One frame a delivery, at its time."""
    made, at = [], MICROS
    for number, (cluster, name, version, count, minutes, incarnation) in enumerate(history):
        at += minutes * MINUTE
        event = {
            "metadata": {"name": name, "namespace": name.partition(".")[0], "uid": f"{cluster}-{name}",
                         "resourceVersion": str(version), "creationTimestamp": "2026-11-23T12:00:00Z"},
            "involvedObject": {"kind": "Job", "name": "one", "namespace": name.partition(".")[0]},
            "firstTimestamp": "2026-11-23T12:00:00Z", "lastTimestamp": "2026-11-23T12:00:00Z",
            "reason": "BackOff", "type": "Warning", "message": f"seen {count}", "count": count,
        }  # fmt: skip
        line = msgspec.json.encode({"type": "MODIFIED", "object": event}) + b"\n"
        stream = Stream(f"uid-{cluster}", "events", incarnation=incarnation)
        made.append((Place(1, number), [Section(stream, cluster, Kind.WATCHED, str(version), 1, line, received_at=at)]))
    return made


def batch(
    state: State, part: list[tuple[Place, list[Section]]], number: int, now: int
) -> tuple[State, pipeline.Result]:
    result = run(decode(part), NOTHING, state, batch=number, now=_time(now), rules=RULES)
    return advance(state, result.changes), result


def _time(micros: int) -> datetime:
    return START + timedelta(microseconds=micros - MICROS)


def play(
    parts: list[list[tuple[Place, list[Section]]]],
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Occurrences, archived slots, what is still open, and the sums, after one batch a part and a last one later."""
    state = empty_state()
    occurrences, slots, sums = [], [], dict.fromkeys(schema.SUMS, 0)
    ends = [part[-1][1][0].received_at for part in parts if part]
    last = max(ends) + 1 * MINUTE
    for number, part in enumerate([*(part for part in parts if part), []], 1):
        now = part[-1][1][0].received_at if part else last
        state, result = batch(state, part, number, now)
        occurrences.append(result.tables["occurrences"].drop("batch"))
        slots.append(result.tables["summaries"].drop("batch", "closed_at"))
        sums = {name: sums[name] + result.sums[name] for name in sums}
    still = state["open_summaries"].drop("version").sort("summary")
    return pl.concat(occurrences), pl.concat(slots).sort("summary", "slot"), still, sums


@histories
@given(deliveries, st.integers(0, 10), st.integers(0, 10))
def test_cutting_batches_anywhere_changes_no_row_no_verdict_no_total(
    history: list[Delivery], one: int, other: int
) -> None:
    whole = frames(history)
    first, second = sorted((one, other))
    in_one = play([whole])
    in_three = play([whole[:first], whole[first:second], whole[second:]])
    for a, b in zip(in_one[:3], in_three[:3], strict=True):
        assert a.equals(b), f"{a}\n{b}"
    assert in_one[3] == in_three[3]


@histories
@given(deliveries)
def test_delivering_everything_again_adds_nothing(history: list[Delivery]) -> None:
    whole = frames(history)
    state, first = batch(empty_state(), whole, 1, whole[-1][1][0].received_at)
    _, again = batch(state, whole, 2, whole[-1][1][0].received_at)
    assert again.sums["occurrences"] == 0
    assert again.sums["repeats"] == first.sums["received"]


@histories
@given(deliveries)
def test_every_sum_adds_up_and_every_summary_ends_once_or_is_open(history: list[Delivery]) -> None:
    occurrences, _, still, sums = play([frames(history)])
    assert sums["received"] == sums["revisions"] + sums["repeats"] + sums["ignored"] + sums["quarantined"]
    assert sums["revisions"] == sums["kept"] + sums["unmapped"] == len(occurrences)
    assert sums["opened"] == sums["published"] + sums["dead_lettered"] + sums["archived"] + len(still)


@histories
@given(deliveries)
def test_two_clusters_together_are_each_alone(history: list[Delivery]) -> None:
    together = play([frames(history)])[0]
    for cluster in {delivery[0] for delivery in history}:
        others = [frame for frame, delivery in zip(frames(history), history, strict=True) if delivery[0] == cluster]
        assert play([others])[0].equals(together.filter(pl.col("cluster") == cluster))


@histories
@given(never_restored)
def test_the_highest_count_of_an_event_whose_versions_only_grow_is_its_total(history: list[Delivery]) -> None:
    ordered = sorted(history, key=lambda delivery: delivery[2])
    occurrences = play([frames(ordered)])[0]
    for (cluster, name), rows in occurrences.group_by("cluster", "name"):
        versions: dict[int, int] = {}
        for c, n, version, count, *_ in ordered:
            if (c, n) == (cluster, name):
                versions.setdefault(version, max(1, count))
        assert rows["grew"].sum() == max(versions.values())


@histories
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 9)), min_size=1, max_size=12))
def test_however_long_a_cluster_is_out_of_reach_its_events_go_on_from_their_counts(
    outages: list[tuple[int, int]],
) -> None:
    """Each: so many minutes without contact, then a list with a count that grew by so much."""
    history: list[Delivery] = [("a", "web.1", 1, 5, 0, 0)]
    for minutes, growth in outages:
        _, _, version, count, *_ = history[-1]
        history.append(("a", "web.1", version + bool(growth), count + growth, minutes, 0))
    occurrences = play([frames(history)])[0]
    assert occurrences["grew"].sum() == history[-1][3]
    assert occurrences["resource_version"].is_unique().all()
