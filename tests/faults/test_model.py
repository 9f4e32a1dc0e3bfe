"""Spool, batches and delivery against a model of a few dictionaries, whatever is done to them in whatever order."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from batcher.archive import scan
from batcher.spool import Kind, Section
from batcher.verify import verify
from tests.faults.lives import Life, life
from tests.faults.volume import Killed, Recorder
from tests.sections import STREAM, event, watched

NAMES = st.sampled_from(["a", "b", "c"])


class Cluster:
    """Events that come, grow, expire and come again; a history to watch, and what is there to list."""

    def __init__(self) -> None:
        self.version = 0
        self.counts: dict[str, int] = {}
        self.uids: dict[str, str] = {}
        self.history: list[tuple[int, str, str, int]] = []
        """(resourceVersion, name, uid, count)."""

    def grow(self, name: str, growth: int, *, under_a_new_uid: bool) -> None:
        """Raise a cumulative count, in place or after the Event has expired."""
        self.version += 1
        self.counts[name] = self.counts.get(name, 0) + growth
        if under_a_new_uid or name not in self.uids:
            self.uids[name] = f"{name}-{self.version}"
        self.history.append((self.version, name, self.uids[name], self.counts[name]))

    def current(self) -> list[tuple[int, str, str, int]]:
        """The newest revision of each Event."""
        return sorted({name: change for change in self.history for name in [change[1]]}.values(), key=lambda c: c[1])


class Delivered:
    """What is durable, and what it must be counted as."""

    def __init__(self) -> None:
        self.revisions: set[tuple[str, int]] = set()
        self.versions: dict[str, int] = {}
        self.counts: dict[str, int] = {}

    def add(self, changes: list[tuple[int, str, str, int]]) -> None:
        """A revision is new above all that were seen of its Event, and adds what its count grew by."""
        for version, name, uid, count in changes:
            if version > self.versions.get(name, 0):
                self.versions[name] = version
                self.counts[name] = max(count, self.counts.get(name, 0))
                self.revisions.add((uid, version))


def encoded(changes: list[tuple[int, str, str, int]]) -> list[bytes]:
    return [
        event(name, version, count=count).replace(b'"uid":"uid-%s"' % name.encode(), b'"uid":"%s"' % uid.encode())
        for version, name, uid, count in changes
    ]


class Batcher(RuleBasedStateMachine):
    """One batcher and its lives."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.recorder = Recorder(self.folder)
        self.cluster, self.delivered = Cluster(), Delivered()
        self.minute = 0
        self.lives = ExitStack()

    @initialize()
    def begin(self) -> None:
        """Begin a life; what the one before left is finished."""
        self.life: Life = self.lives.enter_context(life(self.folder, self.recorder))

    def do(self, work: Callable[[], None]) -> bool:
        """Do ``work``; if the process is killed meanwhile, begin another life and return False."""
        self.minute += 1
        try:
            work()
        except Killed:
            self.restart()
            return False
        return True

    @rule()
    def restart(self) -> None:
        """Kill the process between two things, and begin another."""
        self.recorder.dies_at = -1
        self.lives.close()
        self.begin()

    @rule(steps=st.integers(0, 60))
    def doom(self, steps: int) -> None:
        """Let the process be killed so many steps from here, if nobody does it before."""
        self.recorder.dies_at = len(self.recorder.steps) + steps

    @rule(name=NAMES, growth=st.integers(1, 4), under_a_new_uid=st.booleans())
    def happen(self, name: str, growth: int, under_a_new_uid: bool) -> None:  # noqa: FBT001  drawn by name
        """Something happens again."""
        self.cluster.grow(name, growth, under_a_new_uid=under_a_new_uid)

    @rule(most=st.integers(1, 4))
    def watch(self, most: int) -> None:
        """Deliver what comes after the cursor."""
        changes = [change for change in self.cluster.history if change[0] > self.life.read][:most]
        if changes:
            self.receive(watched(*encoded(changes), cursor=str(changes[-1][0])), changes=changes)

    @rule()
    def relist(self) -> None:
        """Deliver all there is: what was superseded before nobody will ever see."""
        changes = self.cluster.current()
        body = b"".join(line + b"\n" for line in encoded(changes))
        listed = Section(STREAM, "us-west1", Kind.LISTED, None, len(changes), body)
        complete = Section(STREAM, "us-west1", Kind.LIST_COMPLETE, str(self.cluster.version))
        if changes:
            self.receive(listed, complete, changes=changes)

    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        """Deliver something that is durable again, as another watcher does: it carries no cursor that is behind."""
        old = [change for change in self.cluster.history if change[0] <= self.life.read]
        if old:
            change = data.draw(st.sampled_from(old))
            if change[0] <= self.delivered.versions.get(change[1], 0):
                self.receive(watched(*encoded([change]), cursor=str(self.life.read)), changes=[])

    def receive(self, *sections: Section, changes: list[tuple[int, str, str, int]]) -> None:
        """Append ``sections``; if the process was killed over it, the cursor tells whether they are on disk."""
        survived = self.do(lambda: self.life.receive(*sections, minute=self.minute))
        if survived or (changes and self.life.read >= max(version for version, *_ in changes)):
            self.delivered.add(changes)

    @rule()
    def batch(self) -> None:
        """Run a batch, with the outcomes of what was written since."""
        self.do(lambda: self.life.run_batch(self.minute))

    @rule()
    def deliver(self) -> None:
        """Deliver and forget."""
        self.do(lambda: self.life.deliver())  # noqa: PLW0108  the life of then

    def teardown(self) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Let everything arrive, and compare."""
        self.recorder.dies_at = -1
        try:
            self.life.run_batch(self.minute + 1)
            self.life.deliver()
            self.compare()
        finally:
            self.lives.close()
            shutil.rmtree(self.folder)

    def compare(self) -> None:
        """The archive holds what was durable, once, and the totals are the model's."""
        rows = scan(self.folder / "archive", "occurrences").select("uid", "resource_version", "grew").collect()
        revisions = rows.select("uid", "resource_version").rows()
        assert sorted(revisions) == sorted(self.delivered.revisions)
        assert rows["grew"].sum() == sum(self.delivered.counts.values())
        assert self.life.batches.last.totals["occurrences"] == sum(self.delivered.counts.values())
        failed = [check for check in verify(self.life.directory, self.folder / "archive") if not check.ok]
        assert failed == []


TestBatcher = Batcher.TestCase
TestBatcher.settings = settings(
    max_examples=max(4, settings().max_examples // 20), stateful_step_count=20, deadline=None
)
