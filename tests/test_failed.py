"""Retrying lines of quarantine: counted once, whatever was counted meanwhile, and whatever crashed in between."""

from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.archive import Deliverer, scan
from batcher.batch import Commit, DataDirectory, Plan, Retry, Work
from batcher.batch.process import staged_paths
from batcher.batch.quarantine import ask, asked
from batcher.errors import DataDirError, InUse, UsageError
from batcher.failed import one, pick, retry_here, tried, waiting
from batcher.failed.letters import of
from batcher.spool import Kind, Section
from batcher.spool.position import Place
from batcher.verify import verify
from tests.history import History, history
from tests.sections import STREAM, event, lines, misplaced, watched


def assert_proven(h: History) -> None:
    checks = verify(h.directory, h.directory.archive, deep=True)
    assert [(check.name, check.detail) for check in checks if not check.ok] == []


def counted(h: History) -> dict[str, int]:
    names = ("received", "retried", "revisions", "repeats", "ignored", "quarantined", "occurrences")
    return {name: h.batches.last.totals[name] for name in names}


def refused(body: bytes) -> Section:
    return Section(STREAM, "us-west1", Kind.REFUSED, None, 1, body + b"\n", note="longer than 4194304 bytes")


def test_a_line_that_can_be_read_now_is_a_revision_like_any(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(event("a", 7, count=3)), minute=0)
        h.batch(minute=1, retry=h.waiting())
        assert counted(h) == {
            "received": 1, "retried": 1, "revisions": 1, "repeats": 0, "ignored": 0, "quarantined": 1, "occurrences": 3,
        }  # fmt: skip
        (path,) = staged_paths(h.directory)["occurrences"]
        row = pl.read_parquet(path).row(0, named=True)
        assert (row["delivered"], row["grew"], row["verdict"], row["batch"]) == ("RETRIED", 3, "kept", 2)
        assert h.waiting() == []
        assert_proven(h)


def test_rows_of_retries_stand_behind_what_was_counted_before_and_before_what_comes(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(lines(b"no JSON"), misplaced(*(event(name, 5) for name in "abc")), minute=0)
        bad, first, second, third = h.waiting()
        h.batch(watched(event("d", 6)), minute=1)
        h.batch(minute=1, retry=[bad, first])
        h.batch(minute=1, retry=[second])
        h.receive(watched(event("e", 7)), minute=2)
        h.batch(minute=9, retry=[third])
        rows = scan(h.directory.archive, "occurrences", staged_paths(h.directory)["occurrences"]).sort("position")
        found = rows.select("name", "batch", "received_at").collect()
        assert found.select("name", "batch").rows() == [("d.1", 2), ("a.1", 3), ("b.1", 4), ("c.1", 5), ("e.1", 5)]
        assert found["received_at"].is_sorted()


def test_more_retries_than_there_are_places_are_refused_and_go_on_with_the_next_line(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(event("a", 5), event("b", 6)), minute=0)
        first, second = h.waiting()
        end = Place(*h.batches.last.end).line(0)
        h.batches.next(Work(h.batches.end, h.batches.last.now, [], Retry([first], end - 1)))
        with pytest.raises(DataDirError, match="too many lines were tried again since the last was received"):
            h.batch(minute=1, retry=[second])
        h.batch(watched(event("c", 7)), minute=1)
        h.batch(minute=2, retry=[second])
        assert h.waiting() == []
        assert_proven(h)


def test_a_line_that_cannot_be_read_stays_and_changes_no_sum(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(lines(b"no JSON"), minute=0)
        before = counted(h)
        position = h.waiting()
        h.batch(minute=1, retry=position)
        assert (counted(h), h.waiting()) == (before, position)
        (line,) = waiting(h.directory)
        assert (line.cause, line.tries, line.line) == ("not-json", 1, b"no JSON")
        assert_proven(h)


@pytest.mark.parametrize(
    ("again", "occurrences", "repeats"),
    [
        pytest.param(event("a", 5, count=2), 5, 1, id="older than what was counted"),
        pytest.param(event("a", 7, count=5), 5, 1, id="the same"),
        pytest.param(event("a", 9, count=7), 7, 0, id="newer"),
    ],
)
@pytest.mark.parametrize("quiet_minutes", [1, 600], ids=["known to the state", "long forgotten"])
@pytest.mark.parametrize("delivered", [False, True], ids=["staged", "delivered"])
def test_what_was_counted_meanwhile_is_not_counted_again(
    tmp_path: Path, again: bytes, occurrences: int, repeats: int, quiet_minutes: int, *, delivered: bool
) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(again), minute=0)
        h.batch(watched(event("a", 7, count=5)), minute=1)
        for minute in range(5, quiet_minutes, 5):
            h.receive(watched(event(f"other{minute}", 1000 + minute, count=1, minute=1)), minute=minute)
        h.batch(minute=quiet_minutes)
        others = h.batches.last.totals["occurrences"] - 5
        h.batch(minute=quiet_minutes + 1)
        assert ("a.1" in names(h)) == (quiet_minutes == 1)
        if delivered:
            files = h.batches.undelivered
            h.batches.delivered(Deliverer(h.directory.archive, h.directory.staged, h.directory.id).deliver(files))
        h.batch(minute=quiet_minutes + 1, retry=h.waiting())
        assert (counted(h)["occurrences"] - others, counted(h)["repeats"]) == (occurrences, repeats)
        assert_proven(h)


def names(h: History) -> set[str]:
    """Which Events the state still knows: the only one whose largest count is 5 is ``a``."""
    return {"a.1"} if (h.batches.state["seen"]["count"] == 5).any() else set()


def test_what_comes_after_a_retry_goes_on_from_it(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(event("a", 7, count=3)), minute=0)
        for minute in range(5, 600, 5):
            h.receive(watched(event("o", minute, count=minute)), minute=minute)
        h.batch(minute=600)
        before = counted(h)["occurrences"]
        h.batch(watched(event("a", 9, count=4)), minute=601, retry=h.waiting())
        assert counted(h)["occurrences"] - before == 4
        assert h.batches.last.sums["revisions"] == 2
        assert_proven(h)


def test_a_deletion_that_can_be_read_now_is_ignored_and_has_left(tmp_path: Path) -> None:
    deleted = b'{"type":"DELETED","object":' + event("a", 9) + b"}\n"
    with history(tmp_path / "data") as h:
        h.batch(Section(STREAM, "us-west1", Kind.LISTED, None, 1, deleted), minute=0)
        h.batch(minute=1, retry=h.waiting())
        assert [counted(h)[name] for name in ("retried", "ignored", "revisions")] == [1, 1, 0]
        assert h.waiting() == []
        assert_proven(h)


def test_a_part_of_a_line_is_never_counted(tmp_path: Path) -> None:
    """Of a line that is too long only the key is kept, and that would decode as an Event without a reason."""
    with history(tmp_path / "data") as h:
        h.batch(refused(event("a", 7)), minute=0)
        (line,) = h.waiting()
        with pytest.raises(UsageError, match="only a part was kept"):
            pick(h.directory, [str(line)], everything=False, cause="")
        assert pick(h.directory, [], everything=True, cause="") == []
        h.batch(minute=1, retry=[line])
        assert (counted(h)["revisions"], h.waiting()) == (0, [line])


def test_a_line_that_left_cannot_be_retried_twice(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(event("a", 7, count=3)), minute=0)
        (position,) = h.waiting()
        h.batch(minute=1, retry=[position])
        before = counted(h)
        h.batch(minute=2, retry=[position])
        assert counted(h) == before
        with pytest.raises(UsageError) as caught:
            pick(h.directory, [str(position)], everything=False, cause="")
        assert str(caught.value) == (
            f"{position}: left quarantine already, in batch 2 (as a revision); it cannot be counted twice"
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": []}, "failed retry: give IDs, or --all, or --cause CAUSE"),
        ({"names": ["1"], "everything": True}, "failed retry: give IDs, or --all, or --cause CAUSE"),
        ({"names": ["7"]}, "7: no such line in quarantine; see: batcher failed list"),
        ({"names": ["\x1b[31m"]}, "[31m: is no ID; see: batcher failed list"),
        ({"cause": "no-uid"}, "--cause no-uid: nothing that failed has it; causes that are there: not-json"),
    ],
)
def test_what_cannot_be_picked_is_told_in_one_line(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with history(tmp_path / "data") as h:
        h.batch(lines(b"no JSON"), minute=0)
        with pytest.raises(UsageError) as caught:
            pick(h.directory, **{"names": [], "everything": False, "cause": "", **arguments})  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_lines_are_picked_by_cause(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(lines(b"no JSON"), misplaced(event("a", 7)), minute=0)
        bad, wrong = h.waiting()
        assert pick(h.directory, [], everything=False, cause="wrong-shape") == [str(wrong)]
        assert pick(h.directory, [], everything=True, cause="") == [str(bad), str(wrong)]
        assert pick(h.directory, [str(wrong), str(wrong)], everything=False, cause="") == [str(wrong)]
        assert one(h.directory, str(bad)).text == "no JSON"


class Dying(DataDirectory):
    """Dies after one kind of write, as a process that is killed there."""

    step = ""

    def write_plan(self, plan: Plan) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        super().write_plan(plan)
        self._at("plan")

    def write_changes(self, batch: int, data: bytes) -> str:  # type: ignore[explicit-override]  # as above
        self._at("staged")
        return super().write_changes(batch, data)

    def write_commit(self, commit: Commit) -> None:  # type: ignore[explicit-override]  # as above
        super().write_commit(commit)
        self._at("commit")

    def _at(self, step: str) -> None:
        if step == self.step:
            raise KeyboardInterrupt(step)


@pytest.mark.parametrize("step", ["plan", "staged", "commit"])
def test_a_crash_anywhere_repeats_nothing_and_forgets_the_request_after_the_commit(tmp_path: Path, step: str) -> None:
    dying = Dying(tmp_path / "data")
    with pytest.raises(KeyboardInterrupt), history(dying) as h:
        h.batch(lines(b"no JSON"), misplaced(event("a", 7, count=3)), minute=0)
        ask(h.directory, h.waiting())
        dying.step = step
        h.batch(minute=1, retry=asked(h.directory))
    assert len(asked(DataDirectory(tmp_path / "data"))) == 2
    with history(tmp_path / "data") as h:
        assert asked(h.directory) == []
        assert [counted(h)[name] for name in ("retried", "occurrences", "quarantined")] == [1, 3, 2]
        assert [line.tries for line in waiting(h.directory)] == [1]
        assert_proven(h)


def test_a_version_that_reads_more_leaves_nothing_behind_of_the_one_that_was_killed(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1)), minute=0)
        for table in ("quarantine", "retries"):
            left = h.directory.staged / table / "date=2026-11-20" / "0123456789abcdef-000000000002.parquet"
            left.parent.mkdir(parents=True)
            left.write_bytes(b"staged by a version that was killed before its commit")
        h.batch(watched(event("b", 2)), minute=1)
    (tmp_path / "data/batches/000000000002/commit.json").unlink()
    with history(tmp_path / "data") as h:
        assert h.batches.last.batch == 2
        assert waiting(h.directory) == []
        assert_proven(h)


def test_no_time_passes_in_a_retry_without_a_service(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(event("a", 7, count=3)), watched(event("b", 8)), minute=0)
        h.receive(watched(event("c", 9)), minute=9)
        positions, now = h.waiting(), h.batches.last.now
    retry_here(DataDirectory(tmp_path / "data"), [*map(str, positions)])
    with history(tmp_path / "data") as h:
        assert (h.batches.last.batch, h.batches.last.now) == (2, now)
        assert [line.fate for line in tried(h.directory, [*map(str, positions)], since=1)] == ["revision"]
        h.batch(minute=10)
        assert [counted(h)[name] for name in ("received", "retried", "occurrences")] == [3, 1, 5]
        assert_proven(h)


def test_a_retry_without_a_service_runs_the_plan_that_was_left_and_what_others_asked_for(tmp_path: Path) -> None:
    dying = Dying(tmp_path / "data")
    with pytest.raises(KeyboardInterrupt), history(dying) as h:
        h.batch(misplaced(event("a", 7, count=3), event("b", 8)), minute=0)
        first, second = h.waiting()
        ask(h.directory, [second])
        dying.step = "plan"
        h.batch(watched(event("c", 9)), minute=1)
    retry_here(DataDirectory(tmp_path / "data"), [str(first)])
    with history(tmp_path / "data") as h:
        assert (h.batches.last.batch, h.waiting(), asked(h.directory)) == (3, [], [])
        assert_proven(h)


def test_more_lines_than_a_batch_takes_are_retried_in_several(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(*(event(f"e{n}", n + 1) for n in range(1100))), minute=0)
        positions = h.waiting()
    retry_here(DataDirectory(tmp_path / "data"), [*map(str, positions)])
    with history(tmp_path / "data") as h:
        assert (h.batches.last.batch, h.batches.last.totals["retried"], h.waiting()) == (3, 1100, [])


def test_a_running_service_keeps_the_directory(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(event("a", 7)), minute=0)
        with pytest.raises(InUse, match="in use by another batcher"):
            retry_here(DataDirectory(tmp_path / "data"), [*map(str, h.waiting())])


def test_a_request_for_what_is_not_there_is_forgotten(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(misplaced(event("a", 7)), minute=0)
        (position,) = h.waiting()
        ask(h.directory, [position, 12])
        (h.directory.requests / "retry-x").touch()
        (h.directory.requests / "else").touch()
        assert asked(h.directory) == [12, position]
        h.batch(minute=1, retry=asked(h.directory))
        assert asked(h.directory) == []


def test_damaged_quarantine_is_told_in_one_line(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(lines(b"no JSON"), minute=0)
        (path,) = (h.directory.staged / "quarantine").glob("*/*.parquet")
        path.write_bytes(b"x")
        with pytest.raises(DataDirError, match="quarantine: ") as caught:
            waiting(h.directory)
    assert "\n" not in str(caught.value)


Delivery = tuple[str, int, int, bool, bool]
"""Event name, resourceVersion, cumulative count, whether it is quarantined first, whether a batch ends here."""


@settings(max_examples=max(5, settings().max_examples // 10))
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.integers(1, 5), st.booleans(), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.integers(0, 7), max_size=6),
)
def test_whatever_is_retried_however_often_every_sum_holds_and_nothing_counts_twice(
    tmp_path_factory: pytest.TempPathFactory, deliveries: list[Delivery], retried: list[int]
) -> None:
    with history(tmp_path_factory.mktemp("property") / "data") as h:
        for minute, (name, version, count, wrong, ends) in enumerate(deliveries):
            made = event(name, version, count=count)
            h.receive(misplaced(made) if wrong else watched(made), minute=minute)
            if ends:
                h.batch(minute=minute)
        h.batch(minute=len(deliveries))
        came = h.waiting()
        for index in retried:
            h.batch(minute=len(deliveries), retry=came[index : index + 2])
        totals = h.batches.last.totals
        most = {name: max(d[2] for d in deliveries if d[0] == name) for name in {d[0] for d in deliveries}}
        assert totals["occurrences"] <= sum(most.values())
        assert totals["quarantined"] - totals["retried"] == len(h.waiting())
        assert_proven(h)


def test_a_dead_letter_of_a_version_that_knew_less_of_summaries_is_a_plain_one_again(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1)), minute=0)
        answers = [msgspec.structs.replace(o, written=False, refusal="Invalid") for o in h.written()]
        h.batch(minute=6, outcomes=answers)
        (path,) = (h.directory.staged / "dead_letters").glob("*/*.parquet")
        known = pl.read_parquet(path, hive_partitioning=False).drop("kind", "template", "objects")
        known.write_parquet(path)
        (letter,) = of(h.directory, h.batches, known["summary"].to_list()).to_dicts()
    assert (letter["kind"], letter["template"], letter["objects"], letter["occurrences"]) == ("", "", 0, 1)
