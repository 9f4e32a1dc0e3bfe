"""kcp away for an hour or a day, or restored: batches on a real disk, a publisher, and time that jumps."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from batcher.archive import Deliverer
from batcher.batch import Commit, DataDirectory
from batcher.batch.requests import Kind, asked
from batcher.failed import ask, one, pick, prepare_asked, tried, waiting
from batcher.publish import Publisher
from batcher.service.offering import offers, record, unpublished_since
from batcher.spool import Section
from batcher.verify import verify
from tests.history import RULES, START_AT, History, history
from tests.publish.kcp import AWAY, FORBIDDEN, SHOP, Kcp, publishing
from tests.sections import event, watched
from tests.virtual_time import in_virtual_time

BOUNDED = replace(RULES, max_age=timedelta(hours=1), max_pending=1000)


@dataclass
class Service:
    """What the loop of a service does with a batch's result, a minute at a time."""

    h: History
    kcp: Kcp
    publisher: Publisher
    minute: int = 0
    version: int = 0

    async def tick(self, *sections: Section, minutes: int = 1) -> Commit:
        """Batch what was received, offer what is due, and let ``minutes`` pass."""
        resync = sorted(self.publisher.take_restored())
        outcomes = [record(outcome) for outcome in self.publisher.take_outcomes()]
        letters = prepare_asked(self.h.directory, self.h.batches).letters
        commit = self.h.batch(*sections, minute=self.minute, outcomes=outcomes, resync=resync, letters=letters)
        if resync:
            self.publisher.forget(resync)
        if commit.sums["dead_lettered"]:
            self.publisher.keep(set(self.h.batches.state["open_summaries"]["summary"]))
        now, no_wait = START_AT + timedelta(minutes=self.minute), timedelta(0)
        self.publisher.offer(
            offers(
                self.h.batches.state,
                now=now,
                look=BOUNDED.look,
                rewrite_after=no_wait,
                rewrite_most=no_wait,
                has=self.publisher.has,
            )
        )
        self.minute += minutes
        await asyncio.sleep(60 * minutes)
        return commit

    def deliver(self) -> None:
        """Deliver what is staged, and retire what that and the snapshots cover."""
        directory, batches = self.h.directory, self.h.batches
        deliverer = Deliverer(directory.archive, directory.staged, directory.id)
        batches.delivered(deliverer.deliver(list(batches.undelivered)))
        self.h.log.retire(batches.retire())

    @property
    def disk_bytes(self) -> int:
        """What the data directory takes."""
        return sum(path.stat().st_size for path in self.h.directory.root.rglob("*") if path.is_file())

    def happen(self, names: Sequence[str], count: int) -> Section:
        """The Events ``names``, each with the cumulative ``count``."""
        events = []
        for name in names:
            self.version += 1
            events.append(event(name, self.version, count=count))
        return watched(*events, cursor=str(self.version))

    @property
    def told(self) -> dict[str, int]:
        """The newest total that kcp has of each object now."""
        found: dict[str, int] = {}
        for stored in self.kcp.objects.values():
            total = int(stored["metadata"]["annotations"]["batcher.kcp.io/occurrences"])
            name = stored["involvedObject"]["name"]
            found[name] = found.get(name, 0) + total
        return found


@asynccontextmanager
async def service(folder: Path, **sizes: int) -> AsyncIterator[Service]:
    kcp = Kcp()
    with history(folder / "data", rules=BOUNDED, **sizes) as h:
        async with publishing(kcp) as publisher:
            yield Service(h, kcp, publisher)
        assert_proven(h)


def assert_proven(h: History) -> None:
    checks = verify(h.directory, h.directory.archive, deep=True)
    assert [(check.name, check.detail) for check in checks if not check.ok] == []


@contextmanager
def away(kcp: Kcp) -> Iterator[None]:
    kcp.lasting["/clusters/"] = AWAY
    yield
    del kcp.lasting["/clusters/"]


@in_virtual_time
async def test_after_fifty_minutes_without_kcp_every_summary_has_its_totals_by_one_write_each(tmp_path: Path) -> None:
    async with service(tmp_path) as s:
        await s.tick(s.happen(["a", "b", "c"], 1))
        with away(s.kcp):
            for minute in range(0, 50, 5):
                goes_on = ["a", "b"] if minute < 20 else ["a"]
                commit = await s.tick(s.happen([*goes_on, f"new-{minute // 10}"], minute + 5), minutes=5)
                assert commit.sums["received"] == len(goes_on) + 1
        before = len(s.kcp.asked)
        for _ in range(2):
            await s.tick()
        assert s.told == {"a": 50, "b": 20, "c": 1, **{f"new-{n}": 10 * n + 10 for n in range(5)}}
        written = [asked for asked in s.kcp.asked[before:] if asked.method in {"PUT", "POST"}]
        assert len(written) == len({asked.path for asked in written if asked.method == "PUT"}) + 5
        assert s.h.batches.last.totals["dead_lettered"] == 0


@in_virtual_time
async def test_what_waits_longest_for_its_first_write_is_told_until_it_is_written(tmp_path: Path) -> None:
    async with service(tmp_path) as s:
        await s.tick(s.happen(["a"], 1))
        await s.tick()
        assert unpublished_since(s.h.batches.state) is None
        with away(s.kcp):
            await s.tick(s.happen(["a"], 2))
            assert unpublished_since(s.h.batches.state) is None
            await s.tick(s.happen(["b"], 1))
            await s.tick(s.happen(["b", "c"], 2))
            assert unpublished_since(s.h.batches.state) == START_AT + timedelta(minutes=3)
        for _ in range(2):
            await s.tick()
        assert unpublished_since(s.h.batches.state) is None


@in_virtual_time
async def test_after_a_day_without_kcp_what_is_older_than_an_hour_is_a_dead_letter_and_little_waits(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, segment_bytes=1 << 14, snapshot_every=4) as s:
        most_open = most_pending = 0
        on_disk = []
        with away(s.kcp):
            for half_hour in range(48):
                await s.tick(s.happen([f"w{half_hour}-{n}" for n in range(15)], 1), minutes=30)
                most_open = max(most_open, len(s.h.batches.state["open_summaries"]))
                most_pending = max(most_pending, s.publisher.status.pending)
                if half_hour % 4 == 3:
                    s.deliver()
                    on_disk.append(s.disk_bytes)
        assert most_open <= 60
        assert most_pending <= 60
        assert max(on_disk) < 150_000  # 116,000 after two and a half days
        for _ in range(3):
            await s.tick(minutes=5)
        dead = waiting(s.h.directory)
        assert {letter.cause for letter in dead} == {"Expired"}
        assert len(dead) + len(s.told) == 720
        assert {letter.kind for letter in dead} == {"letter"}
        assert 30 <= len(s.told) <= 60


@in_virtual_time
async def test_of_more_than_may_wait_the_oldest_are_dead_letters(tmp_path: Path) -> None:
    async with service(tmp_path) as s:
        s.h.batches.plan_with(replace(BOUNDED, max_pending=10))
        with away(s.kcp):
            for minute in range(4):
                await s.tick(s.happen([f"w{minute}-{n}" for n in range(10)], 1))
            for _ in range(8):
                await s.tick()
        for _ in range(2):
            await s.tick()
        assert set(s.told) == {f"w3-{n}" for n in range(10)}
        assert len(waiting(s.h.directory)) == 30


@in_virtual_time
async def test_a_dead_letter_that_is_asked_for_is_written_after_all_and_only_once_a_letter(tmp_path: Path) -> None:
    async with service(tmp_path) as s:
        s.kcp.lasting[SHOP] = FORBIDDEN
        await s.tick(s.happen(["a", "b"], 3))
        for _ in range(5):
            await s.tick(minutes=10)
        assert [letter.cause for letter in waiting(s.h.directory)] == ["Forbidden"] * 2
        names = pick(s.h.directory, [], everything=True, cause="")
        assert one(s.h.directory, names[0]).workspace == SHOP
        ask(s.h.directory, names)
        s.kcp.lasting.clear()
        for _ in range(3):
            await s.tick()
        assert s.told == {"a": 3, "b": 3}
        assert asked(s.h.directory, Kind.REVIVE) == []
        assert waiting(s.h.directory) == []
        assert [each.fate for each in tried(s.h.directory, names, since=1)] == ["revived"] * 2
        totals = s.h.batches.last.totals
        assert (totals["opened"], totals["revived"], totals["dead_lettered"], totals["published"]) == (2, 2, 2, 2)


@in_virtual_time
async def test_a_revived_letter_that_is_refused_again_is_a_dead_letter_again(tmp_path: Path) -> None:
    async with service(tmp_path) as s:
        s.kcp.lasting[SHOP] = FORBIDDEN
        await s.tick(s.happen(["a"], 3))
        for _ in range(5):
            await s.tick(minutes=10)
        (name,) = pick(s.h.directory, [], everything=True, cause="")
        for tries in (1, 2):
            ask(s.h.directory, [name, name])
            for _ in range(5):
                await s.tick(minutes=10)
            (letter,) = waiting(s.h.directory)
            assert (letter.id, letter.tries, letter.cause) == (name, tries, "Forbidden")


@in_virtual_time
async def test_what_a_restored_kcp_has_forgotten_is_written_again_as_soon_as_one_write_shows_it(tmp_path: Path) -> None:
    async with service(tmp_path) as s:
        await s.tick(s.happen(["a", "b"], 1))
        backup, version = dict(s.kcp.objects), s.kcp.version
        await s.tick(s.happen(["a", "b", "c"], 5))
        s.kcp.version += 1000
        await s.tick(s.happen(["c"], 6))
        s.kcp.objects, s.kcp.version = dict(backup), version
        await s.tick(s.happen(["c"], 7))
        assert s.told == {"a": 1, "b": 1, "c": 7}
        for _ in range(2):
            await s.tick()
        assert s.told == {"a": 5, "b": 5, "c": 7}


@in_virtual_time
async def test_a_kcp_that_only_goes_on_is_never_taken_for_a_restored_one(tmp_path: Path) -> None:
    async with service(tmp_path) as s:
        for count in range(1, 6):
            s.kcp.version += 90 if count == 2 else 0
            await s.tick(s.happen(["a", "b"], count))
            assert s.publisher.take_restored() == set()


@in_virtual_time
async def test_a_directory_that_is_asked_for_a_resync_writes_what_is_open_again(tmp_path: Path) -> None:
    async with service(tmp_path) as s:
        await s.tick(s.happen(["a"], 2))
        s.kcp.objects.clear()
        await s.tick()
        assert s.told == {}
        s.h.batch(minute=s.minute, resync=[SHOP], outcomes=[])
        s.publisher.forget([SHOP])
        for _ in range(2):
            await s.tick()
        assert s.told == {"a": 2}


def test_a_request_is_forgotten_when_its_batch_is_committed(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1)), minute=0)
        directory = DataDirectory(tmp_path / "data")
        (directory.requests / f"{Kind.RESYNC}{SHOP}").touch()
        assert asked(directory, Kind.RESYNC) == [SHOP]
        h.batch(minute=1, resync=asked(directory, Kind.RESYNC))
        assert asked(directory, Kind.RESYNC) == []
