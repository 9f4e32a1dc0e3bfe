"""A watch into a spool on disk while everything goes wrong, held against a ledger of what happened.

Protects the promise of the watch: every revision that a server delivered, or would have, is in the spool, whatever
breaks and however often the process dies. What is missing must be proven to have been unreadable: the spool has
the list that passed it over, and the ledger that it was superseded by then. Each revision is looked for; a total
could hide one lost and one invented.
"""

import asyncio
import random
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from batcher import clock
from batcher.connect import connect
from batcher.sandbox import Answer, Chunking, Cluster, Compacted, Faults, Sandbox
from batcher.spool import Kind, Section
from batcher.spool.log import FrameEnd, Log
from batcher.spool.position import START
from batcher.spool.writer import SpoolWriter
from batcher.watch import ClusterSpec, Fleet
from benchmarks.measure import Figure, figure
from benchmarks.serving import CLUSTER

NAMESPACE = "web"
SECONDS = 60.0
PAUSES = (0.0, 0.01, 0.05, 0.2, 1.0)
SETTLE_SECONDS = 900.0
"""For the last stalled watch to reach its deadline, and the longest backoff after it."""


class Revision(NamedTuple):
    """An Event at a resourceVersion."""

    uid: str
    version: int


class Jump(NamedTuple):
    """A list at ``to`` that the spool went on with after ``after``: what was superseded between, nobody sent."""

    after: int
    to: int


@dataclass
class Ledger:
    """What happened on the server, in order, and what was done to those who watch it."""

    revisions: list[Revision] = field(default_factory=list)
    deleted: set[Revision] = field(default_factory=set)
    compacted: list[int] = field(default_factory=list)
    """Versions up to which the server forgot its history, each when it was the newest."""
    wrongs: Counter[str] = field(default_factory=Counter)

    def superseded_at(self, revision: Revision) -> int | None:
        """Return the version at which lists showed ``revision`` no more; None while they show it."""
        if revision in self.deleted:
            return revision.version
        later = (other.version for other in self.revisions if other.uid == revision.uid)
        return next((version for version in later if version > revision.version), None)


@dataclass
class Report:
    """The ledger and the spool, compared."""

    made: int
    invented: set[Revision]
    """In the spool, and never happened."""
    unreadable: set[Revision]
    """Not in the spool, superseded before the list that came next, and forgotten by the server."""
    passed_over: set[Revision]
    """As unreadable, but the server could still have told: a list came after a corrupt line or three failures."""
    lost: set[Revision]
    """Not in the spool, for no reason."""
    lists: int
    wrongs: Counter[str]


class World:
    """A cluster on which things happen, and go wrong, at random."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        """Use the seeded ``rng`` for all."""
        self._cluster = cluster
        self._rng = rng
        self.ledger = Ledger()

    def happen(self) -> None:
        """Create an Event, raise the count of one, or delete one."""
        known = self._cluster.events(NAMESPACE)
        chance = self._rng.random()
        if not known or chance < 0.4:
            name = f"e{len(self.ledger.revisions)}"
            made = self._cluster.create_event({"metadata": {"name": name, "namespace": NAMESPACE}, "count": 1})
            self.ledger.revisions.append(_revision(made))
            return
        event = self._rng.choice(known)
        name, count = event["metadata"]["name"], event["count"]
        if chance < 0.9:
            made = self._cluster.update_event(NAMESPACE, name, {"count": count + 1})
            self.ledger.revisions.append(_revision(made))
            return
        self._cluster.delete_event(NAMESPACE, name)
        gone = Revision(event["metadata"]["uid"], self._cluster.latest_revision)
        self.ledger.revisions.append(gone)
        self.ledger.deleted.add(gone)

    def go_wrong(self) -> None:
        """Let one thing go wrong, or all be well again."""
        name, faults = self._rng.choice(list(self._wrongs().items()))
        self.ledger.wrongs[name] += 1
        self._cluster.faults = faults
        if name == "compacted":
            self.ledger.compacted.append(self._cluster.latest_revision)
            self._cluster.compact()

    def be_well(self) -> None:
        """Let nothing be wrong any more."""
        self._cluster.faults = Faults()

    def _wrongs(self) -> dict[str, Faults]:
        now, rng = self._cluster.faults, self._rng
        code, times = rng.choice([401, 403, 410, 429, 500, 503]), rng.randrange(1, 4)
        line = rng.choice([b"<html>\n", b'{"type":"ADDED"\n', b'{"type":"ERROR","object":{"code":500}}\n'])
        return {
            "well": Faults(),
            "reset": replace(now, resets=1),
            "ended": replace(now, ends=1),
            "refused": replace(now, answers=(Answer(code, rng.choice(["watch", "list", "get"]), times=times),)),
            "dropped": replace(now, drop=frozenset({rng.choice(["watch", "list"])})),
            "stalled": replace(now, stall=frozenset({"watch"})),
            "garbled": replace(now, inserts=(line,)),
            "cut": replace(now, chunking=rng.choice(list(Chunking))),
            "compacted": replace(now, ends=1, compacted=rng.choice(list(Compacted))),
        }


def _revision(made: dict[str, dict[str, str]]) -> Revision:
    return Revision(made["metadata"]["uid"], int(made["metadata"]["resourceVersion"]))


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield how many revisions there were, and how many of them are in the spool, excused, and lost."""
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(soak(Path(folder), seed=1, seconds=5.0 if quick else SECONDS))
    wrongs = sum(report.wrongs.values())
    yield figure(f"soak: revisions made while {wrongs:,} things went wrong", "revisions", [report.made])
    yield figure("superseded and compacted before anyone could read them", "revisions", [len(report.unreadable)])
    yield figure("superseded before the list that a broken watch ended in", "revisions", [len(report.passed_over)])
    yield figure("revisions lost, or invented", "lost", [len(report.lost) + len(report.invented)])


async def soak(folder: Path, *, seed: int, seconds: float, pauses: Sequence[float] = PAUSES) -> Report:
    """Watch a simulated cluster into a spool in ``folder`` for ``seconds`` of the loop, then compare."""
    rng = random.Random(seed)
    loop = asyncio.get_running_loop()
    async with Sandbox([CLUSTER], {}, now=clock.now) as sandbox:
        world = World(sandbox.clusters[CLUSTER], rng)
        sandbox.write_kubeconfig(folder / "kubeconfig")
        end = loop.time() + seconds
        while loop.time() < end:
            async with _watching(folder):
                for _ in range(rng.randrange(1, 40)):
                    for _ in range(rng.randrange(6)):
                        world.happen()
                    world.go_wrong()
                    await asyncio.sleep(rng.choice(pauses))
            world.ledger.wrongs["killed"] += 1
        world.be_well()
        world.happen()
        latest = world.ledger.revisions[-1].version
        async with _watching(folder) as log, asyncio.timeout(SETTLE_SECONDS):
            while max(map(int, log.cursors.values()), default=0) < latest:  # noqa: ASYNC110  the disk's state
                await asyncio.sleep(0.1)
    return _compared(world.ledger, _sections(folder))


class _Log(Log):
    """A log that can be closed while its last append is still running in a thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, folder, segment_bytes=1 << 16)
        self._busy = threading.Lock()

    def append(self, sections: Sequence[Section]) -> FrameEnd:  # type: ignore[explicit-override]
        with self._busy:
            return super().append(sections)

    def close(self) -> None:  # type: ignore[explicit-override]  # typing.override came with 3.12
        with self._busy:
            super().close()


@asynccontextmanager
async def _watching(folder: Path) -> AsyncIterator[Log]:
    """Watch from the spool's cursors until the block ends; then die with what was not on disk."""
    log = _Log(folder)
    writer = SpoolWriter(log, log.recover(START), now=clock.now, max_bytes=2**40)
    connection = connect(name=CLUSTER, kubeconfig=folder / "kubeconfig", context=CLUSTER)
    fleet = Fleet(
        [ClusterSpec(CLUSTER, connection)], sink=writer, cursors=lambda: log.cursors, now=clock.now,
        rng=random.Random(1),
    )  # fmt: skip
    try:
        async with asyncio.TaskGroup() as writes:
            writing = writes.create_task(writer.run())
            async with asyncio.TaskGroup() as watches:
                watching = watches.create_task(fleet.run())
                yield log
                writing.cancel()
                watching.cancel()
    finally:
        log.close()


def _sections(folder: Path) -> list[Section]:
    log = Log(folder, folder)
    end = log.recover(START).end
    log.close()
    return [section for _, sections in log.read(START, end) for section in sections]


def _compared(ledger: Ledger, sections: list[Section]) -> Report:
    happened, found = set(ledger.revisions), set(_found(sections))
    jumps = _jumps(sections)
    passed = {revision: _passed_by(ledger, revision, jumps) for revision in happened - found}
    unreadable = {revision for revision, jump in passed.items() if jump and _forgotten(ledger, revision, jump)}
    lost = {revision for revision, jump in passed.items() if jump is None}
    return Report(
        made=len(happened),
        invented=found - happened,
        unreadable=unreadable,
        passed_over=passed.keys() - unreadable - lost,
        lost=lost,
        lists=len(jumps),
        wrongs=ledger.wrongs,
    )


def _found(sections: list[Section]) -> Iterator[Revision]:
    for section in sections:
        if section.kind in {Kind.LISTED, Kind.WATCHED}:
            for line in section.body.splitlines():
                decoded = msgspec.json.decode(line)
                yield _revision(decoded.get("object", decoded))


def _jumps(sections: list[Section]) -> list[Jump]:
    """Return what each list passed over: from the cursor before it to its own version."""
    jumps, at = [], 0
    for section in sections:
        if section.cursor:
            if section.kind is Kind.LIST_COMPLETE:
                jumps.append(Jump(at, int(section.cursor)))
            at = int(section.cursor)
    return jumps


def _passed_by(ledger: Ledger, revision: Revision, jumps: list[Jump]) -> Jump | None:
    """Return the list that passed ``revision`` over because it showed a later one, or its Event no more."""
    superseded_at = ledger.superseded_at(revision)
    if superseded_at is None:
        return None
    return next((jump for jump in jumps if jump.after < revision.version and superseded_at <= jump.to), None)


def _forgotten(ledger: Ledger, revision: Revision, jump: Jump) -> bool:
    """Whether the server had forgotten ``revision`` when it was listed."""
    return any(revision.version <= compacted <= jump.to for compacted in ledger.compacted)
