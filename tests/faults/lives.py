"""Lives of a batcher without network: what a source cluster has goes through spool, batches and archive.

A cluster keeps no history here: what was promised to be on disk is not sent again, so that whoever loses it cannot
make up for it. :func:`finish` lets the next life go to its end, and says what then differs from the truth.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batcher import disk
from batcher.archive import Deliverer, check_owner, scan
from batcher.batch import DataDirectory
from batcher.errors import ArchiveError, BatcherError, Unavailable
from batcher.pipeline import Rules
from batcher.verify import verify
from tests.faults.volume import Kind, Recorder, Step
from tests.history import RULES, History
from tests.sections import STREAM, event, watched

GROUPS = 7
"""Frames that a whole life receives; two to a batch, two batches to a snapshot, and one to a delivery."""
SEGMENT_BYTES = 500
"""Two frames fill one."""


@dataclass(frozen=True)
class Truth:
    """What happened up to group ``groups``: each brings the next count of Pod a, and a Pod of its own."""

    groups: int

    @property
    def revisions(self) -> list[int]:
        return sorted([*range(1, self.groups + 1), *range(101, self.groups + 101)])

    @property
    def occurrences(self) -> int:
        return 2 * self.groups


class Unsynced(disk.System):
    """Spares the time of syncs."""

    def sync(self, descriptor: int) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Nothing."""

    def sync_data(self, descriptor: int) -> None:  # type: ignore[explicit-override]  # as above
        """Nothing."""


class Life(History):
    """One process of a batcher; what it promises, it marks."""

    def __init__(self, root: Path, directory: DataDirectory, recorder: Recorder | None, rules: Rules) -> None:
        super().__init__(directory, segment_bytes=SEGMENT_BYTES, snapshot_every=2, rules=rules)
        self._recorder = recorder
        self.deliverer = Deliverer(root / "archive", directory.staged, directory.id)
        self.mark("committed", self.batches.last.batch)
        self.mark("received", self.read)  # nobody asks the cluster for it again

    def mark(self, what: str, number: int) -> None:
        if self._recorder:
            self._recorder.mark(f"{what} {number}")

    @property
    def read(self) -> int:
        """The last group that is on disk."""
        return int(self.log.cursors.get(STREAM, "0"))

    def group(self, n: int) -> None:
        """Receive group ``n``."""
        self.receive(watched(event("a", n, count=n), event(f"b{n}", n + 100, minute=n), cursor=str(n)), minute=n)
        self.mark("received", n)

    def run_batch(self, minute: int) -> None:
        """Commit what is on disk."""
        commit = self.batch(minute=minute, outcomes=self.written())
        self.mark("committed", commit.batch)

    def deliver(self) -> None:
        """Deliver and forget."""
        through = self.deliverer.deliver(self.batches.undelivered)
        with disk.trusted("removing what is delivered"):
            self.batches.delivered(through)
            self.log.retire(self.batches.retire())

    def live(self, first: int, last: int) -> None:
        """Receive groups ``first`` to ``last``; batches and deliveries as they are due."""
        for n in range(first, last + 1):
            patiently(lambda n=n: self.group(n))  # type: ignore[misc]  # mypy does not know what n is here
            if n % 2 == 0:
                patiently(lambda n=n: self.run_batch(n))  # type: ignore[misc]  # as above
                patiently(self.deliver)
        patiently(lambda: self.run_batch(last))


def patiently(work: Callable[[], None]) -> None:
    """Do ``work``; once more if what it needs is away, as the service does at the next tick."""
    try:
        work()
    except (Unavailable, ArchiveError):
        work()


@contextmanager
def life(root: Path, system: disk.System | None = None, *, rules: Rules = RULES) -> Iterator[Life]:
    """Begin a life in ``root`` as :func:`batcher.service.opened` does."""
    recorder = system if isinstance(system, Recorder) else None
    directory = DataDirectory(root / "data")
    with disk.using(system or Unsynced()), directory.owned():
        check_owner(root / "archive", directory.id)
        with disk.trusted("recovering"):
            directory.write_archive(root / "archive")
            alive = Life(root, directory, recorder, rules)
        try:
            yield alive
        finally:
            alive.log.close()


@dataclass(frozen=True)
class Promised:
    """What was promised when power failed: the newest group on disk, the newest batch committed."""

    received: int = 0
    committed: int = 0

    @classmethod
    def by(cls, steps: list[Step]) -> "Promised":
        """Read the marks of ``steps``."""
        newest = {"received": 0, "committed": 0}
        for what, number in (step.name.split() for step in steps if step.kind is Kind.MARK):
            newest[what] = max(newest[what], int(number))
        return cls(**newest)


def finish(root: Path, promised: Promised, groups: int = GROUPS) -> str:
    """Let a life go from what is found in ``root`` to its end; say what differs from the truth, or nothing."""
    try:
        with life(root) as h:
            if h.batches.last.batch < promised.committed:
                return f"batch {promised.committed} was committed, and {h.batches.last.batch} is the last"
            for n in range(max(h.read, promised.received) + 1, groups + 1):
                h.group(n)
            h.run_batch(groups)
            h.deliver()
            return _differs(h, root, Truth(groups))
    except (BatcherError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def _differs(h: Life, root: Path, truth: Truth) -> str:
    rows = scan(root / "archive", "occurrences").select("resource_version", "grew").collect()
    if sorted(rows["resource_version"]) != truth.revisions:
        return f"revisions: {sorted(rows['resource_version'])}"
    if rows["grew"].sum() != truth.occurrences or h.batches.last.totals["occurrences"] != truth.occurrences:
        return f"occurrences: {rows['grew'].sum()} archived, {h.batches.last.totals['occurrences']} counted"
    failed = [f"{check.name}: {check.detail}" for check in verify(h.directory, root / "archive") if not check.ok]
    return "; ".join(failed)
