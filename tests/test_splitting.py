"""The pipeline's promise, on random histories: where a batch is cut, and what is resent, changes no total."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher import pipeline, schema
from batcher.decode import decode
from batcher.pipeline import Rules, State, advance, empty_state, run
from batcher.pipeline.hits import add_counts
from batcher.schema import REVISION
from batcher.spool import Kind, Section, Stream
from batcher.spool.position import Place
from batcher.stages.filter import Filter, FilterRule
from batcher.stages.match import Match
from batcher.stages.rule import Rule
from batcher.stages.settle import OUTCOMES
from batcher.telemetry import Action, RuleCount

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

histories = settings(max_examples=max(6, settings().max_examples // 4))
"""A history is several batches of 30 ms each: a quarter of the examples of other properties."""


def histories_of(*incarnations: int, longest: int = 600) -> st.SearchStrategy[list[Delivery]]:
    """Histories of clusters that are out of reach now and then, and that were restored so often."""
    delivery = st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["web.1", "web.2", "api.1"]),
        st.integers(1, 6),
        st.integers(0, 5),
        st.sampled_from([0, 1, 1, 4, 6, 40, longest]),
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
            "reason": "BackOff", "type": "Warning", "message": f"{'ab'[version % 2]}, seen {count}", "count": count,
        }  # fmt: skip
        line = msgspec.json.encode({"type": "MODIFIED", "object": event}) + b"\n"
        stream = Stream(f"uid-{cluster}", "events", incarnation=incarnation)
        made.append((Place(1, number), [Section(stream, cluster, Kind.WATCHED, str(version), 1, line, received_at=at)]))
    return made


def batch(
    state: State, part: list[tuple[Place, list[Section]]], number: int, now: int, rules: Rules = RULES
) -> tuple[State, pipeline.Result]:
    result = run(decode(part), NOTHING, state, batch=number, now=_time(now), rules=rules)
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
@given(deliveries | histories_of(0, longest=60 * 24 * 31), st.integers(0, 10), st.integers(0, 10))
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


Frames = list[tuple[Place, list[Section]]]

cuts = st.lists(st.floats(0, 1), max_size=3)
"""Where a history is cut into batches."""


def parts_of(whole: Frames, where: list[float]) -> list[Frames]:
    """``whole`` cut at these fractions of its length."""
    ends = [0, *sorted(round(fraction * len(whole)) for fraction in where), len(whole)]
    return [whole[first:last] for first, last in pairwise(ends)]


FILTERED = replace(
    RULES,
    filter=Filter(
        (
            FilterRule("odd", Action.SHADOW, Match(message="[135]$")),
            FilterRule("a-two", Action.DROP, Match(message="2$", clusters=("a",))),
            FilterRule("api", Action.KEEP, Match(namespaces=("api",))),
            FilterRule("small", Action.DROP, Match(message="[1-3]$")),
        ),
        include_types=("warning",),
    ),
)


@histories
@given(deliveries, cuts)
def test_cutting_batches_anywhere_changes_no_verdict_of_a_rule_and_no_count_of_one(
    history: list[Delivery], where: list[float]
) -> None:
    whole = frames(history)
    found: list[tuple[pl.DataFrame, list[RuleCount]]] = []
    for parts in ([whole], parts_of(whole, where)):
        state, rows = empty_state(), []
        counts: list[RuleCount] = []
        for number, part in enumerate((part for part in parts if part), 1):
            state, result = batch(state, part, number, part[-1][1][0].received_at, FILTERED)
            counts = add_counts(counts, result.rules)
            rows.append(result.tables["occurrences"].drop("batch"))
            assert sum(c.hits for c in result.rules if c.action is Action.DROP) == result.sums["filtered"]
        found.append((pl.concat(rows), [msgspec.structs.replace(count, since=0) for count in counts]))
    assert found[0][0].equals(found[1][0])
    assert found[0][1] == found[1][1]
    filtered = found[0][0].filter(pl.col("verdict").str.starts_with("filtered:"))
    assert set(filtered["verdict"]) <= {"filtered:a-two", "filtered:small"}


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


def listening(whole: Frames, minutes: int) -> Frames:
    """``whole``, and a contact with each of its clusters every five minutes of the time after it."""
    last, clusters = whole[-1][1][0].received_at, {frame[1][0].cluster for frame in whole}
    return [
        *whole,
        *((Place(2, minute), [Section(Stream(f"uid-{cluster}", "events"), cluster, Kind.CONTACT,
                                      received_at=last + minute * MINUTE) for cluster in sorted(clusters)])
          for minute in range(5, minutes + 1, 5)),
    ]  # fmt: skip


@histories
@given(never_restored, never_restored, st.integers(0, 150), cuts)
def test_cutting_batches_while_nothing_but_contacts_comes_changes_no_row(
    before: list[Delivery], after: list[Delivery], minutes: int, where: list[float]
) -> None:
    whole = listening(frames(before), minutes)
    later = whole[-1][1][0].received_at - MICROS
    whole += [
        (
            Place(3, n),
            [msgspec.structs.replace(section, received_at=section.received_at + later) for section in sections],
        )
        for n, (_, sections) in enumerate(frames(after))
    ]
    in_one, in_many = play([whole]), play(parts_of(whole, where))
    assert in_one[0].equals(in_many[0])
    assert in_one[3] == in_many[3]


@histories
@given(deliveries)
def test_all_is_forgotten_after_two_ttls_of_listening_and_a_month_of_none(history: list[Delivery]) -> None:
    whole = frames(history)
    last = whole[-1][1][0].received_at
    state, _ = batch(empty_state(), whole, 1, last)

    def left(delivered: Frames, minutes: int) -> int:
        return len(batch(state, delivered, 2, last + minutes * MINUTE)[0]["seen"])

    assert left(listening(whole, 135)[len(whole) :], 135) == 0
    assert left([], 60 * 24 * 30) > 0
    assert left([], 60 * 24 * 30 + 601 * len(history)) == 0


class Restorable:
    """A cluster whose emitters remember their counts, and whose etcd forgets some."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.history: list[Delivery] = []
        self.objects: dict[str, tuple[int, int]] = {}
        self.version = self.incarnation = 0
        self.backup = self.version, self.objects

    def happen(self, name: str, *, watched: bool) -> None:
        """Raise the emitter's own count, and create or update the Event with it."""
        self.counts[name] = self.counts.get(name, 0) + 1
        self.version += 1
        self.objects = self.objects | {name: (self.version, self.counts[name])}
        if watched:
            self._deliver(name)

    def back_up(self) -> None:
        self.backup = self.version, self.objects

    def restore(self) -> None:
        """Go back to the backup; what is there then is listed, in a new incarnation."""
        self.version, self.objects = self.backup
        self.incarnation += 1
        for name in self.objects:
            self._deliver(name)

    def _deliver(self, name: str) -> None:
        version, count = self.objects[name]
        self.history.append(("a", name, version, count, 1, self.incarnation))


def lived_through(steps: list[str]) -> Restorable:
    """What a cluster goes through; each Event happens once more at the end, so that all counts are shown."""
    cluster = Restorable()
    for step in [*steps, "web.1", "web.2"]:
        if step in ("back_up", "restore"):
            getattr(cluster, step)()
        else:
            cluster.happen(step.removeprefix("unseen "), watched=not step.startswith("unseen "))
    return cluster


steps = st.lists(
    st.sampled_from(["web.1", "web.1", "web.2", "unseen web.1", "unseen web.2", "back_up", "restore"]), max_size=12
)


@histories
@given(steps, cuts)
def test_a_restored_cluster_whose_emitters_count_on_is_counted_exactly(lived: list[str], where: list[float]) -> None:
    cluster = lived_through(lived)
    whole = frames(cluster.history)
    again = [(Place(2, n), sections) for n, (_, sections) in enumerate(frames([*cluster.history, *cluster.history]))]
    occurrences = play(parts_of([*whole, *again[len(whole) :]], where))[0]
    for (name,), rows in occurrences.group_by("name"):
        assert rows["grew"].sum() == cluster.counts[str(name)]
    assert not occurrences.select(REVISION).is_duplicated().any()
