"""A directory is lost, and a new one takes its archive over: no total changes."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.archive import Deliverer, check_owner, remains, scan
from batcher.archive.compact import compact_all
from batcher.batch import Batches, Commit, DataDirectory
from batcher.batch.process import staged_paths
from batcher.batch.quarantine import kept_paths
from batcher.events import Selection, newest
from batcher.pipeline import Rules
from batcher.redact import Redaction
from batcher.schema import MEASURES, OCCURRENCES, SESSION, SLOT
from batcher.service import go_on
from batcher.spool import UNLISTED, Kind, Section, Stream
from batcher.stages.attribute import ObjectKind
from batcher.stages.filter import Filter, FilterRule
from batcher.stages.locate import Trust
from batcher.stages.match import Match
from batcher.stages.rule import Rule
from batcher.staging import StagedFile
from batcher.telemetry import Action
from batcher.verify import verify
from tests.batch.test_process import Dying
from tests.history import RULES, START_AT, History, history
from tests.sections import STREAM, event, lines, misplaced, watched

Receive = Callable[[History], object]
"""What happens in a history: a batch, usually."""


def received(*sections: Section, minute: int) -> Receive:
    def step(h: History) -> Commit:
        return h.batch(*sections, minute=minute, outcomes=h.written())

    return step


def listed(*events: bytes, stream: Stream = STREAM) -> Section:
    """A LIST of the cluster, as a new directory begins with."""
    return Section(stream, "us-west1", Kind.LISTED, None, len(events), b"\n".join(events) + b"\n")


def deliver(h: History, archive: Path) -> None:
    """Deliver all that is staged; the first delivery makes the directory the archive's owner."""
    check_owner(archive, h.directory.id)
    h.batches.delivered(Deliverer(archive, h.directory.staged, h.directory.id).deliver(h.batches.undelivered))


def take_over(
    directory: DataDirectory, archive: Path, *, minute: float, scopes: Sequence[str] = ("",), rules: Rules = RULES
) -> None:
    """Start a new directory on ``archive``, as a run does before it reads its spool."""
    with directory.owned():
        check_owner(archive, directory.id, take_over=directory.is_new)
        batches = Batches(directory, lambda _start, _end: iter(()), rules)
        batches.load()
        if directory.is_new:
            now = START_AT + timedelta(minutes=minute)
            go_on(batches, archive, rules=rules, scopes={"us-west1": scopes}, now=now)


def failed(h: History, archive: Path) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in verify(h.directory, archive) if not check.ok]


class Told(NamedTuple):
    """All that anybody sees of a history, and what is counted on from; nothing of numbers and places.

    Nor when an identity was repeated last, which no archive tells: a cluster repeats no Event that is older than its
    TTL, and an identity is kept for two.
    """

    occurrences: pl.DataFrame
    slots: pl.DataFrame
    summaries: pl.DataFrame
    seen: pl.DataFrame


def told(h: History, archive: Path) -> Told:
    staged = staged_paths(h.directory)
    rows = scan(archive, "occurrences", staged["occurrences"]).sort("position").select(*OCCURRENCES).collect()
    slots = scan(archive, "summaries", staged["summaries"]).collect()
    totals = [name for name in MEASURES if name != "position"]
    state = h.batches.state
    return Told(
        rows.drop("batch", "position", "delivered"),
        pl.concat([slots.select(*SLOT, *totals), state["open_slots"].select(*SLOT, *totals)]).sort(SLOT),
        state["open_summaries"].select("summary", *SESSION, *totals, "closed").sort("summary"),
        state["seen"].drop("touched").sort("identity_high"),
    )


def assert_told_the_same(found: Told, expected: Told) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.equals(other), f"{one}\n{other}"


def pods(minute: int, count: int) -> list[bytes]:
    """Pod a all the time, one that is new each time, and one in a namespace without a workspace."""
    return [
        event("a", minute + 1, count=count),
        event(f"b{minute}", 1000 + minute, minute=minute % 60, count=2),
        event("x", 2000 + minute, count=minute + 1, namespace="jobs"),
    ]


BEFORE = [received(watched(*pods(minute, minute + 1)), minute=minute) for minute in range(0, 100, 4)]
"""A session of a hundred minutes, longer than a slot and than what an identity needs; the directory is lost then."""
RELIST = received(listed(event("a", 97, count=97), event("b96", 1096, minute=36, count=2)), minute=100)
AFTER = [RELIST, *(received(watched(*pods(minute, minute + 1)), minute=minute) for minute in (102, 106, 130, 140))]


@pytest.fixture(scope="module")
def hundred_minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which :data:`BEFORE` has happened, and nothing is delivered."""
    folder = tmp_path_factory.mktemp("hundred") / "data"
    with history(folder) as h:
        for step in BEFORE:
            step(h)
    return folder


def test_no_row_no_slot_no_total_changes_when_a_new_directory_goes_on_with_the_archive(
    hundred_minutes: Path, tmp_path: Path
) -> None:
    with history(shutil.copytree(hundred_minutes, tmp_path / "whole")) as h:
        for step in AFTER:
            step(h)
        expected = told(h, tmp_path / "none")
    with history(shutil.copytree(hundred_minutes, tmp_path / "lost")) as h:
        deliver(h, tmp_path / "archive")
    shutil.rmtree(tmp_path / "lost")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=99)
    with history(new) as h:
        assert h.batches.last.batch == 26
        for step in AFTER:
            step(h)
        assert_told_the_same(told(h, tmp_path / "archive"), expected)
        assert failed(h, tmp_path / "archive") == []
        deliver(h, tmp_path / "archive")
        assert failed(h, tmp_path / "archive") == []
        batches = scan(tmp_path / "archive", "batches").sort("batch").collect()
    assert batches["batch"].to_list() == list(range(1, 32))
    # Pods a and x go on; of the others, all that ended within a TTL are told once more.
    assert batches.row(25, named=True)["opened"] == 2 + 15
    assert h.batches.last.totals["occurrences"] == expected.occurrences["grew"].sum()


FEW = replace(RULES, max_keys=2, max_live=48, event_ttl=timedelta(minutes=5), longest=timedelta(minutes=10))
"""With so short a TTL and slot, all that is read of an archive is the last quarter of an hour."""


PAIRS = [
    received(watched(*(event(name, 10 * n + m, count=n + 1) for m, name in enumerate(pair, 1))), minute=9 * n)
    for n, pair in enumerate(["ab", "cd", "ae", "fc", "bg", "ah", "ai"])
]


@pytest.fixture(scope="module")
def not_lost(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, pl.DataFrame]:
    """What is told where :data:`PAIRS` happen in one directory, and which places are taken."""
    folder = tmp_path_factory.mktemp("pairs")
    with history(folder / "whole", rules=FEW) as h:
        for happens in PAIRS:
            happens(h)
        expected = told(h, folder / "none")
        assert {"", "folded"} == set(expected.summaries["kind"])
        return expected, h.batches.state["places"].sort("level", "key")


@pytest.mark.parametrize("lost_after", [1, 3, 5])
def test_who_has_a_summary_of_its_own_and_who_has_not_is_the_same_after_a_take_over(
    not_lost: tuple[Told, pl.DataFrame], tmp_path: Path, lost_after: int
) -> None:
    expected, places = not_lost
    with history(tmp_path / "lost", rules=FEW) as h:
        for happens in PAIRS[:lost_after]:
            happens(h)
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=9 * (lost_after - 1), rules=FEW)
    with history(new, rules=FEW) as h:
        for happens in PAIRS[lost_after:]:
            happens(h)
        found = told(h, tmp_path / "archive")
        assert found.slots.equals(expected.slots)
        again = found.summaries.join(expected.summaries, on="summary", how="semi")
        assert again.equals(expected.summaries)
        assert h.batches.state["places"].sort("level", "key").equals(places)
        assert failed(h, tmp_path / "archive") == []


def test_what_was_filtered_is_not_told_by_who_takes_over_and_a_torn_batch_has_its_sum(tmp_path: Path) -> None:
    rules = replace(RULES, filter=Filter((FilterRule("noise", Action.DROP, Match(objects=("pod/b",))),)))
    with history(tmp_path / "lost", rules=rules) as h:
        received(watched(event("a", 1), event("b", 2)), minute=0)(h)
        received(watched(event("a", 3, count=2), event("b", 4, count=3)), minute=1)(h)
        torn = [file for file in h.batches.undelivered if file.table == "occurrences" or file.batch == 1]
        check_owner(tmp_path / "archive", h.directory.id)
        Deliverer(tmp_path / "archive", h.directory.staged, h.directory.id).deliver(torn)
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=2)
    with history(new, rules=rules) as h:
        assert h.batches.state["open_summaries"].select("regarding_name", "occurrences").rows() == [("a", 2)]
        assert failed(h, tmp_path / "archive") == []
        assert (h.batches.last.totals["kept"], h.batches.last.totals["filtered"]) == (2, 2)


LIMITED = replace(RULES, limit=2)


def test_a_source_that_has_used_its_minute_has_used_it_after_a_take_over_too(tmp_path: Path) -> None:
    before = [
        received(watched(*(event(f"a{n}", n) for n in range(first, first + 3))), minute=first) for first in (1, 8)
    ]
    after = received(watched(event("b", 20), event("c", 21, type="Normal")), minute=8)
    with history(tmp_path / "whole", rules=LIMITED) as h:
        for happens in [*before, after]:
            happens(h)
        expected, places = told(h, tmp_path / "none"), h.batches.state["places"].sort("level", "key")
    with history(tmp_path / "lost", rules=LIMITED) as h:
        for happens in before:
            happens(h)
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=8, rules=LIMITED)
    with history(new, rules=LIMITED) as h:
        assert after(h).sums["limited"] == 1  # type: ignore[attr-defined]  # a batch
        found = told(h, tmp_path / "archive")
        assert found.occurrences["verdict"].to_list().count("limited") == 3
        again = found.summaries.join(expected.summaries, on="summary", how="semi")
        assert_told_the_same(found._replace(summaries=again), expected)
        assert h.batches.state["places"].sort("level", "key").equals(places)
        assert failed(h, tmp_path / "archive") == []


Delivery = tuple[str, str, int, int, int]
"""cluster, event name, resourceVersion, cumulative count, minutes since the delivery before."""

deliveries = st.lists(
    st.tuples(
        st.sampled_from(["us", "eu"]),
        st.sampled_from(["web", "api"]),
        st.integers(1, 6),
        st.integers(0, 5),
        st.sampled_from([0, 1, 4, 6, 30]),
    ),
    min_size=2,
    max_size=5,
)
"""All within the time that an identity is kept."""


def step(delivery: Delivery, minute: int) -> Receive:
    cluster, name, version, count, _ = delivery
    stream = Stream(f"uid-{cluster}", "events")
    message = f"{'ab'[version % 2]}, seen {count}"
    section = watched(event(name, version, count=count, namespace="web", message=message), stream=stream)
    return received(msgspec.structs.replace(section, cluster=cluster), minute=minute)


@settings(max_examples=max(5, settings().max_examples // 20))  # three directories and an archive each, on disk
@given(deliveries, st.data())
def test_wherever_a_directory_is_lost_no_total_changes(made: list[Delivery], data: st.DataObject) -> None:
    minutes = [sum(delivery[4] for delivery in made[: n + 1]) for n in range(len(made))]
    steps = [step(delivery, minute) for delivery, minute in zip(made, minutes, strict=True)]
    lost_after = data.draw(st.integers(1, len(steps)))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with history(root / "whole") as h:
            for happens in steps:
                happens(h)
            h.batch(minute=minutes[-1])
            expected = told(h, root / "none")
        with history(root / "lost") as h:
            for happens in steps[:lost_after]:
                happens(h)
            deliver(h, root / "archive")
        new = DataDirectory(root / "new")
        take_over(new, root / "archive", minute=minutes[lost_after - 1])
        with history(new) as h:
            for happens in steps[lost_after:]:
                happens(h)
            h.batch(minute=minutes[-1])
            found = told(h, root / "archive")
            assert failed(h, root / "archive") == []
        # What the lost directory had ended is opened again, and ends again; totals are what counts.
        again = found.summaries.join(expected.summaries, on="summary", how="semi")
        assert_told_the_same(found._replace(summaries=again), expected)


def test_an_event_that_the_list_still_has_is_told_by_its_newest_count_and_the_archive_by_its_newest_row(
    tmp_path: Path,
) -> None:
    with history(tmp_path / "lost") as h:
        received(watched(event("a", 5, count=3)), minute=0)(h)
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=1)
    with history(new) as h:
        received(listed(event("a", 7, count=9)), minute=2)(h)
        rows = scan(tmp_path / "archive", "occurrences", staged_paths(new)["occurrences"])
        assert newest(rows, Selection(), now=START_AT)["count"].to_list() == [9]
        assert rows.sort("position").collect().select("batch", "grew").rows() == [(1, 3), (3, 6)]


@pytest.mark.parametrize(("minute", "gaps"), [(60, []), (61, [(0, 61)])], ids=["one TTL", "longer"])
def test_a_time_without_anybody_is_a_gap_if_it_was_longer_than_the_ttl(
    tmp_path: Path, minute: int, gaps: list[tuple[int, int]]
) -> None:
    with history(tmp_path / "lost") as h:
        received(watched(event("a", 5, count=3)), minute=0)(h)
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=minute - 1)
    with history(new) as h:
        received(listed(event("a", 5, count=3)), minute=minute)(h)
        found = scan(tmp_path / "archive", "gaps", staged_paths(new)["gaps"]).collect()
    told_at = [START_AT + timedelta(minutes=m) for gap in gaps for m in gap]
    assert [at for row in found.select("from_at", "to_at").rows() for at in row] == told_at


def test_each_namespace_that_is_watched_alone_has_its_gap(tmp_path: Path) -> None:
    with history(tmp_path / "lost") as h:
        received(watched(event("a", 5, count=3)), minute=0)(h)
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=100, scopes=["jobs", "web"])
    with history(new) as h:
        scopes = [lines(stream=Stream("uid-us", "events", scope)) for scope in ("jobs", "web")]
        assert h.batch(*scopes, minute=101).sums["gaps"] == 2


class Torn(Deliverer):
    """Is killed when the files of so many tables are registered."""

    tables = 0

    def _deliver(self, name: str, files: list[StagedFile]) -> int:  # type: ignore[explicit-override]  # typing.override came with 3.12
        if self.tables == 0:
            raise KeyboardInterrupt
        self.tables -= 1
        return super()._deliver(name, files)


@pytest.mark.parametrize("tables", range(8))
def test_rows_that_were_delivered_without_their_batch_get_one(tmp_path: Path, tables: int) -> None:
    archive = tmp_path / "archive"
    with history(tmp_path / "lost") as h:
        received(watched(event("a", 1, count=2)), minute=0)(h)
        deliver(h, archive)
        received(watched(event("x", 2, namespace="jobs", count=3)), minute=10)(h)
        received(watched(event("b", 3)), minute=19)(h)
        torn = Torn(archive, h.directory.staged, h.directory.id)
        torn.tables = tables
        try:
            torn.deliver(h.batches.undelivered)
        except KeyboardInterrupt:
            assert tables < 7
    new = DataDirectory(tmp_path / "new")
    take_over(new, archive, minute=20)
    with history(new) as h:
        assert failed(h, archive) == []
        everything = [event("a", 1, count=2), event("x", 2, namespace="jobs", count=3), event("b", 3)]
        received(listed(*everything), minute=21)(h)
        assert failed(h, archive) == []
        assert h.batches.last.totals["occurrences"] == 6
        assert h.batches.last.sums["occurrences"] == (4 if tables == 0 else 0)
        assert h.batches.last.batch == (3 if tables == 0 else 5)


CORRELATING = replace(RULES, longest=timedelta(minutes=10), correlation_window=timedelta(minutes=10))
MEMBER_TOTALS = ("incident", "summary", "cluster", "said", "last_at", "first_seen", "revisions", "occurrences")


def of_clusters(*events: bytes) -> list[Section]:
    """The same Events of two clusters."""
    streams = {"us-west1": STREAM, "eu": Stream("uid-eu", "events")}
    return [msgspec.structs.replace(watched(*events, stream=s), cluster=c) for c, s in streams.items()]


def goes_on(h: History, minutes: range) -> None:
    for minute in minutes:
        h.batch(*of_clusters(event("a", minute + 1, count=minute + 1)), minute=minute, outcomes=h.written())


def members(h: History) -> pl.DataFrame:
    return h.batches.state["members"].select(MEMBER_TOTALS).sort("incident", "summary")


def over(h: History) -> list[tuple[object, ...]]:
    """The incidents when all have ended."""
    h.batch(minute=60, outcomes=h.written())
    staged = staged_paths(h.directory)["incidents"]
    return scan(h.directory.archive, "incidents", staged).select("incident", "occurrences").collect().rows()


class Incident(NamedTuple):
    """An incident of twenty minutes: its members at the end, its name on their summaries, and what is told of it."""

    members: pl.DataFrame
    labels: set[str]
    over: list[tuple[object, ...]]


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Incident:
    """As it is where no directory is lost."""
    with history(tmp_path_factory.mktemp("incident") / "whole", rules=CORRELATING) as h:
        goes_on(h, range(20))
        return Incident(members(h), set(h.batches.state["open_summaries"]["incident"]), over(h))


@pytest.mark.parametrize("last", [2, 8, 12])
def test_an_incident_goes_on_under_its_name_when_a_new_directory_takes_over(
    incident: Incident, tmp_path: Path, last: int
) -> None:
    with history(tmp_path / "lost", rules=CORRELATING) as h:
        goes_on(h, range(last))
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=last, rules=CORRELATING)
    with history(new, rules=CORRELATING) as h:
        goes_on(h, range(last, 20))
        assert members(h).equals(incident.members)
        assert set(h.batches.state["open_summaries"]["incident"]) == incident.labels
        assert (over(h), len(incident.over)) == (incident.over, 1)
        assert failed(h, tmp_path / "archive") == []


def test_an_incident_that_was_over_is_not_told_again_by_a_new_directory(tmp_path: Path) -> None:
    with history(tmp_path / "lost", rules=CORRELATING) as h:
        h.batch(*of_clusters(event("a", 1)), minute=0)
        assert h.batch(minute=11).sums["incidents"] == 1
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=12, rules=CORRELATING)
    with history(new, rules=CORRELATING) as h:
        assert h.batches.state["members"].is_empty()
        h.batch(minute=13)
        assert h.batches.last.totals["incidents"] == 1


def test_what_a_workspace_refused_for_good_is_not_offered_again(tmp_path: Path) -> None:
    with history(tmp_path / "lost") as h:
        h.batch(watched(event("a", 1)), minute=0)
        refused = [msgspec.structs.replace(o, written=False, refusal="Invalid") for o in h.written()]
        assert h.batch(minute=6, outcomes=refused).sums["dead_lettered"] == 1
        deliver(h, tmp_path / "archive")
    take_over(DataDirectory(tmp_path / "new"), tmp_path / "archive", minute=7)
    with history(DataDirectory(tmp_path / "new")) as h:
        assert len(h.batches.state["open_summaries"]) == 0


def test_what_ended_within_a_ttl_is_told_once_more_and_what_is_older_is_not(tmp_path: Path) -> None:
    with history(tmp_path / "lost") as h:
        h.batch(watched(event("a", 1)), minute=0)
        h.batch(watched(event("b", 2)), minute=30)
        h.batch(minute=36)
        deliver(h, tmp_path / "archive")
    take_over(DataDirectory(tmp_path / "new"), tmp_path / "archive", minute=61)
    with history(DataDirectory(tmp_path / "new")) as h:
        again = h.batches.state["open_summaries"]
        assert again.select("regarding_name", "written_version", "written_at").rows() == [("b", 0, None)]
        assert h.batch(minute=62, outcomes=h.written()).sums["published"] == 1


def of(reason: str, version: int, minute: int, count: int = 1) -> bytes:
    """An Event of Pod ``a``, one object for each reason and two a quarter of an hour."""
    name = f"{reason}.{minute // 15}"
    message = "Back-off restarting failed container" if reason == "BackOff" else "Memory cgroup out of memory"
    metadata = {"name": name, "namespace": "web", "uid": name, "resourceVersion": str(version)}
    return event("a", version, minute=minute, count=count, reason=reason, message=message, metadata=metadata)


def test_what_led_to_what_is_linked_after_a_take_over_too_and_nothing_twice(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with history(tmp_path / "lost") as h:
        h.batch(watched(of("OOMKilling", 1, 0)), minute=0)
        h.batch(watched(of("BackOff", 2, 1)), minute=1)
        h.batch(watched(of("OOMKilling", 3, 15)), minute=15)
        h.batch(watched(of("BackOff", 4, 16)), minute=16)
        deliver(h, archive)
        assert h.batches.last.totals["links"] == 1
    take_over(DataDirectory(tmp_path / "new"), archive, minute=17)
    with history(DataDirectory(tmp_path / "new")) as h:
        assert len(h.batches.state["known_links"]) == len(h.batches.state["causes"]) == 1
        h.batch(watched(of("BackOff", 5, 16, count=2)), minute=18)
        assert h.batch(minute=50).sums["links"] == 1
        assert h.batches.last.totals["links"] == 2
        assert failed(h, archive) == []
        links = scan(archive, "links", staged_paths(h.directory)["links"]).collect()
    assert links.sort("cause_at").select("path", "cause_at").rows() == [
        ("OOMKilling > BackOff", START_AT), ("OOMKilling > BackOff", START_AT + timedelta(minutes=15)),
    ]  # fmt: skip
    assert not links.select("cause_summary", "effect_summary").is_duplicated().any()


STEPS = [
    "after the rules", "after the plan", "before the changes", "before the commit", "after the commit",
    "before the snapshot", "after the snapshot",
]  # fmt: skip


@pytest.fixture(scope="module")
def twenty_minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a directory that was lost after its fifth batch."""
    folder = tmp_path_factory.mktemp("twenty")
    with history(folder / "lost") as h:
        for happens in BEFORE[:5]:
            happens(h)
        deliver(h, folder / "archive")
    return folder / "archive"


@pytest.mark.parametrize("killed", STEPS)
def test_killed_anywhere_a_take_over_is_finished_by_the_next_start(
    twenty_minutes: Path, tmp_path: Path, killed: str
) -> None:
    archive = shutil.copytree(twenty_minutes, tmp_path / "archive")
    with pytest.raises(KeyboardInterrupt):
        take_over(Dying(tmp_path / "new", killed), archive, minute=20)
    new = DataDirectory(tmp_path / "new")
    with new.owned():
        check_owner(archive, new.id)  # the owner is the new one already
        assert new.is_new == (killed in STEPS[:4])
    take_over(new, archive, minute=20)
    take_over(DataDirectory(tmp_path / "at-once"), shutil.copytree(archive, tmp_path / "copy"), minute=20)
    with history(new) as h, history(DataDirectory(tmp_path / "at-once")) as other:
        assert h.batches.last.batch == other.batches.last.batch == 6
        assert_told_the_same(told(h, archive), told(other, tmp_path / "copy"))
        received(listed(event("a", 17, count=17)), minute=21)(h)
        assert h.batches.last.sums["repeats"] == 1
        assert failed(h, archive) == []


def test_one_after_the_other_may_take_over_and_each_only_once(tmp_path: Path) -> None:
    archive, count = tmp_path / "archive", 0
    for number, name in enumerate(("first", "second", "third"), 1):
        directory = DataDirectory(tmp_path / name)
        for _ in range(2):
            take_over(directory, archive, minute=number * 2)
        with history(directory) as h:
            received(listed(event("a", number, count=number * 5)), minute=number * 2)(h)
            count += h.batches.last.sums["occurrences"]
            assert failed(h, archive) == []
            deliver(h, archive)
            assert failed(h, archive) == []
    assert count == 15
    batches = scan(archive, "batches").sort("batch").collect()
    assert batches.select("batch", "opened", "archived", "occurrences").rows() == [
        (1, 1, 0, 5), (2, 1, 1, 0), (3, 0, 0, 5), (4, 1, 1, 0), (5, 0, 0, 5),
    ]  # fmt: skip


def test_quarantined_lines_are_lost_with_their_directory_and_the_proof_holds_all_the_same(tmp_path: Path) -> None:
    with history(tmp_path / "lost") as h:
        h.batch(lines(b"no JSON"), misplaced(event("b", 2)), watched(event("a", 1)), minute=0)
        h.batch(minute=1, retry=h.waiting())
        deliver(h, tmp_path / "archive")
    take_over(DataDirectory(tmp_path / "new"), tmp_path / "archive", minute=1)
    with history(DataDirectory(tmp_path / "new")) as h:
        h.batch(lines(b"no JSON either"), minute=2)
        assert failed(h, tmp_path / "archive") == []
        for path in kept_paths(new := h.directory, "quarantine", h.batches.last.batch):
            path.unlink()
        assert [sum_.partition(":")[0] for sum_ in failed(h, tmp_path / "archive")] == [
            "quarantined = quarantined lines"
        ]
        assert new.commits()[0].batch == 3


def test_what_was_retried_is_in_the_session_that_it_came_to(tmp_path: Path) -> None:
    """Its line is older than the session that was closed and the one that is open, and it belongs to the latter."""
    with history(tmp_path / "lost") as h:
        h.batch(misplaced(event("a", 1, count=3)), minute=0)
        position = h.waiting()
        h.batch(watched(event("a", 2, count=4)), minute=1)
        h.batch(minute=20, outcomes=h.written())
        h.batch(watched(event("a", 5, count=6)), minute=30)
        late = event("a", 9, count=9, metadata=metadata(9))
        h.batch(misplaced(late), minute=31)
        h.batch(watched(event("a", 6, count=7)), minute=32)
        h.batch(minute=33, retry=[*position, *h.waiting()])
        h.batch(watched(event("a", 10, count=11)), minute=34)
        open_before = totals(h)
        deliver(h, tmp_path / "archive")
    take_over(DataDirectory(tmp_path / "new"), tmp_path / "archive", minute=35)
    with history(DataDirectory(tmp_path / "new")) as h:
        assert open_before == [(START_AT + timedelta(minutes=30), 7, 4)]
        assert set(open_before) < set(totals(h))  # what ended within a TTL is told once more
        assert failed(h, tmp_path / "archive") == []


def metadata(version: int) -> dict[str, str]:
    return {"name": "a.1", "namespace": "web", "uid": "uid-a", "resourceVersion": str(version),
            "creationTimestamp": "2026-11-23T16:00:00Z"}  # fmt: skip


def totals(h: History) -> list[tuple[object, ...]]:
    """When each open summary began, how often it happened, and in how many revisions."""
    return h.batches.state["open_summaries"].select("began_at", "occurrences", "revisions").rows()


def test_versions_begin_anew_where_they_began_anew_before_and_the_counts_go_on(tmp_path: Path) -> None:
    restored = Stream("uid-us", "events", incarnation=2)
    with history(tmp_path / "lost") as h:
        h.batch(watched(event("a", 900, count=4), event("b", 901, count=2)), minute=0)
        h.batch(watched(event("a", 7, count=6), stream=restored), minute=1)
        deliver(h, tmp_path / "archive")
    take_over(DataDirectory(tmp_path / "new"), tmp_path / "archive", minute=2)
    with history(DataDirectory(tmp_path / "new")) as h:
        assert h.log.cursors == {restored: UNLISTED}
        h.batch(listed(event("a", 7, count=6), event("b", 8, count=5), stream=restored), minute=3)
        assert (h.batches.last.sums["repeats"], h.batches.last.sums["occurrences"]) == (1, 3)
        h.batch(watched(event("a", 9, count=7), stream=restored), minute=4)
        assert h.batches.last.sums["occurrences"] == 1
        assert failed(h, tmp_path / "archive") == []


def test_a_long_time_without_anybody_forgets_nothing(tmp_path: Path) -> None:
    with history(tmp_path / "lost") as h:
        h.batch(watched(event("a", 5, count=50)), minute=0)
        deliver(h, tmp_path / "archive")
    take_over(DataDirectory(tmp_path / "new"), tmp_path / "archive", minute=600)
    with history(DataDirectory(tmp_path / "new")) as h:
        h.batch(listed(event("a", 8, count=80)), minute=601)
        assert (h.batches.last.sums["occurrences"], h.batches.last.sums["gaps"]) == (30, 1)
        h.batch(minute=602)
        assert len(h.batches.state["seen"]) == 1


def saying(first: int, minute: int) -> list[bytes]:
    """Three Events about Pod a: two say the same but for a number, one says something else."""
    said = ("x timed out after 5s", "x refused", "x timed out after 7s")
    metadata = {"namespace": "web", "creationTimestamp": "2026-11-23T16:00:00Z"}
    return [
        event("a", n, minute=minute % 60, message=message, metadata=metadata | {
            "name": f"a.{n}", "uid": f"uid-{n}", "resourceVersion": f"{n}"})
        for n, message in enumerate(said, first)
    ]  # fmt: skip


@pytest.mark.parametrize("by_template", [True, False])
@pytest.mark.parametrize("lost_after", range(1, 5))
def test_no_occurrence_is_told_twice_or_lost_if_messages_count_otherwise_since_the_loss(
    tmp_path: Path, lost_after: int, *, by_template: bool
) -> None:
    before, after = (replace(RULES, by_template=value) for value in (not by_template, by_template))
    minutes = (0, 3, 40, 43, 47)
    steps = [received(watched(*saying(10 * n + 1, minute)), minute=minute) for n, minute in enumerate(minutes)]
    with history(tmp_path / "lost", rules=before) as h:
        for happens in steps[:lost_after]:
            happens(h)
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=minutes[lost_after - 1], rules=after)
    with history(new, rules=after) as h:
        for happens in steps[lost_after:]:
            happens(h)
        found = told(h, tmp_path / "archive")
        assert failed(h, tmp_path / "archive") == []
    assert found.slots["occurrences"].sum() == 3 * len(steps)


def test_what_was_redacted_in_the_archive_is_not_redacted_again(tmp_path: Path) -> None:
    """Else what is open would have another template after the loss, and go on as something else."""
    rules = replace(RULES, redact_archive=(Redaction("x", "xx"),))
    steps = [received(watched(*saying(10 * n + 1, n)), minute=n) for n in range(4)]
    with history(tmp_path / "whole", rules=rules) as h:
        for happens in steps:
            happens(h)
        expected = h.batches.state["open_summaries"].sort("summary").select("summary", "template", "occurrences")
    with history(tmp_path / "lost", rules=rules) as h:
        for happens in steps[:2]:
            happens(h)
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=1, rules=rules)
    with history(new, rules=rules) as h:
        for happens in steps[2:]:
            happens(h)
        found = h.batches.state["open_summaries"].sort("summary").select("summary", "template", "occurrences")
    assert sorted(found["template"]) == ["xx refused", "xx timed out after <n>"]
    assert found.equals(expected)


def test_an_archive_of_the_format_before_is_gone_on_with(tmp_path: Path) -> None:
    format_1 = Path(__file__).parent.parent / "batch" / "format-1" / "archive"
    archive = Path(shutil.copytree(format_1, tmp_path / "archive"))
    take_over(DataDirectory(tmp_path / "new"), archive, minute=1)
    with history(DataDirectory(tmp_path / "new")) as h:
        h.batch(listed(event("a", 1, count=3), event("x", 2, namespace="jobs"), event("b", 4, count=2)), minute=2)
        assert (h.batches.last.sums["repeats"], h.batches.last.sums["occurrences"]) == (2, 2)
        assert h.batches.state["open_summaries"]["first_seen"].to_list() == [START_AT] * 3
        deliver(h, archive)
        assert failed(h, archive) == []


def test_what_a_namespace_was_used_for_is_known_after_the_loss_so_that_another_tenant_gets_nothing_of_between(
    tmp_path: Path,
) -> None:
    configured = [replace(RULES, mapping=(Rule("*", "web", workspace),), hold=timedelta(hours=1))
                  for workspace in ("root:shop", "", "root:other")]  # fmt: skip
    for rules, minute in zip(configured[:2], (0, 1), strict=True):
        with history(tmp_path / "lost", rules=rules) as h:
            h.batch(watched(event("a", minute + 1, count=minute + 1)), minute=minute)
            deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=2)
    with history(new, rules=configured[2]) as h:
        h.batch(watched(event("a", 3, count=3)), minute=3)
        found = h.batches.state["open_summaries"].sort("began_at").select("workspace", "occurrences").rows()
    assert found == [("root:shop", 1), ("", 1), ("root:other", 1)]


OBJECTS = Trust(objects=(ObjectKind("apps", "Deployment"),))
LABELLED = replace(RULES, mapping=(), trust=OBJECTS, hold=timedelta(hours=1))


def about(version: int) -> bytes:
    of = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "web", "name": "x1-y2", "uid": "u1"}
    return event("a", version, count=version, involvedObject=of)


def says(workspace: str) -> Section:
    said = {"labels": {"syncagent.kcp.io/remote-object-cluster": workspace},
            "annotations": {"syncagent.kcp.io/remote-object-name": "mine"}}  # fmt: skip
    metadata = {"name": "x1-y2", "namespace": "web", "uid": "u1"} | said
    line = msgspec.json.encode({"type": "MODIFIED", "object": {"metadata": metadata}})
    return lines(line, stream=Stream("uid-us", "Deployment.v1.apps=deployments"), cursor="1")


def open_summaries(h: History) -> list[tuple[object, ...]]:
    rows = h.batches.state["open_summaries"].sort("began_at")
    return rows.select("workspace", "regarding_name", "occurrences").rows()


def test_a_summary_about_an_object_is_gone_on_with_under_the_name_that_its_workspace_knows(tmp_path: Path) -> None:
    with history(tmp_path / "lost", rules=LABELLED) as h:
        h.batch(says("1abc"), watched(about(1)), minute=0)
        assert open_summaries(h) == [("1abc", "mine", 1)]
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=1, rules=LABELLED)
    with history(new, rules=LABELLED) as h:
        h.batch(says("1abc"), watched(about(3)), minute=2)
        assert open_summaries(h) == [("1abc", "mine", 3)]
        assert failed(h, tmp_path / "archive") == []


def test_what_an_object_said_is_known_after_the_loss_so_that_another_tenant_gets_nothing_of_between(
    tmp_path: Path,
) -> None:
    with history(tmp_path / "lost", rules=LABELLED) as h:
        h.batch(says("1abc"), watched(about(1)), minute=0)
        deliver(h, tmp_path / "archive")
    new = DataDirectory(tmp_path / "new")
    take_over(new, tmp_path / "archive", minute=1, rules=LABELLED)
    with history(new, rules=LABELLED) as h:
        h.batch(watched(about(2)), minute=2)
        h.batch(says("2def"), minute=3)
        h.batch(watched(about(3)), minute=4)
        assert open_summaries(h) == [("1abc", "mine", 1), ("", "x1-y2", 1), ("2def", "mine", 1)]


def test_an_archive_without_rows_has_nothing_to_go_on_with(tmp_path: Path) -> None:
    with history(tmp_path / "empty") as h:
        deliver(h, tmp_path / "archive")
    assert remains(tmp_path / "archive", rules=RULES, scopes={}, now=START_AT) is None
    take_over(DataDirectory(tmp_path / "new"), tmp_path / "archive", minute=1)
    with history(DataDirectory(tmp_path / "new")) as h:
        assert h.batch(watched(event("a", 1)), minute=2).batch == 1


def test_an_archive_that_was_compacted_is_taken_over_as_it_would_have_been(
    hundred_minutes: Path, tmp_path: Path
) -> None:
    archive, kept = tmp_path / "archive", tmp_path / "kept"
    with history(shutil.copytree(hundred_minutes, tmp_path / "lost")) as h:
        deliver(h, archive)
    shutil.copytree(archive, kept)
    compact_all(kept, now=START_AT + timedelta(days=1))
    found = []
    for root in (archive, kept):
        directory = DataDirectory(tmp_path / f"new-{root.name}")
        take_over(directory, root, minute=100)
        with history(directory) as h:
            h.directory.write_archive(root)
            for step in AFTER:
                step(h)
            deliver(h, root)
            assert failed(h, root) == []
            found.append((told(h, root), h.batches.last.totals))
    assert_told_the_same(found[1][0], found[0][0])
    assert found[1][1] == found[0][1]
