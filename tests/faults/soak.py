"""Kill a service again and again, and compare what is left with what happened.

Generator and service are processes of their own. After each kill the dead service's spool is read: what is on
disk there must be in the archive in the end, once. What never was on disk may be missing only if the Event went on,
and is listed.
"""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from batcher.archive import scan
from batcher.batch import DataDirectory
from batcher.spool import Kind, Section
from batcher.spool.frames import Damaged, frames
from batcher.verify import verify
from tests.faults.ledger import Name, Revision
from tests.service.world import batcher, finish, totals, until

SHORT_LIFE_SECONDS, LONG_LIFE_SECONDS = 0.8, 5.0
"""Counted from when the data directory is locked. In most lives there is time for a batch; in every tenth, for what has
gathered to be delivered: else the spool is full one day, and nothing more is read."""
PATIENCE_SECONDS = 300.0
"""For the last life, which may have much to catch up with."""


@dataclass
class Report:
    """What a soak found; empty lists are what is promised."""

    kills: int
    revisions: int
    recreated: int
    occurrences: int
    counted: int
    archived: int
    told: dict[str, int]
    happened: dict[str, int]
    lost: list[Revision]
    """On disk once, or the last of its Event, and not in the archive."""
    doubled: list[Revision]
    invented: list[Revision]
    superseded: list[Revision]
    """Replaced before anyone had read them; their counts came with their successors."""
    failed_checks: list[str]
    batches: int

    def closing(self) -> str:
        """Return what to print at the end."""
        return "\n".join([
            f"{self.kills} kills; {self.batches} batches; {self.revisions} revisions of Events happened,",
            f"of which {self.recreated} were Events created again after they had expired",
            f"archived {self.archived}, superseded before anyone read them {len(self.superseded)}",
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, invented {len(self.invented)}",
            f"occurrences: happened {self.occurrences}, counted {self.counted}",
            *(f"  {path}: happened {n}, told {self.told[path]}" for path, n in self.happened.items()),
            f"verify: {'; '.join(self.failed_checks) or 'every sum holds'}",
        ])  # fmt: skip


class Generator:
    """The process of :mod:`tests.faults.generator`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def answer(self, command: str = "") -> Any:
        """Return its next answer, after sending ``command`` if there is one."""
        assert self._process.stdin
        assert self._process.stdout
        if command:
            self._process.stdin.write(f"{command}\n".encode())
        return msgspec.json.decode(await self._process.stdout.readline())


@asynccontextmanager
async def generating(folder: Path, seed: int) -> AsyncIterator[Generator]:
    """Run the generator; it ends with the block."""
    command = (sys.executable, "-m", "tests.faults.generator", str(folder), str(seed))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=1 << 30)
    generator = Generator(process)
    try:
        await generator.answer()
        yield generator
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()


def configure(folder: Path) -> Path:
    """Write the configuration of a batcher that is in a hurry, with a spool of small segments."""
    clusters = yaml.safe_load((folder / "clusters").read_text())["contexts"]
    names = [context["name"] for context in clusters]
    path = folder / "batcher.yaml"
    document = {
        "apiVersion": "batcher.kcp.io/v1alpha1",
        "kind": "BatcherConfig",
        "dataDir": str(folder / "data"),
        "clusters": [{"name": n, "kubeconfig": str(folder / "clusters"), "context": n} for n in names],
        "kcp": {"kubeconfig": str(folder / "kcp"), "context": "root:shop", "workspaces": [{"path": "root:*"}]},
        "mapping": {"rules": [
            {"namespace": "web", "workspace": "root:shop"},
            {"namespace": "jobs", "workspace": "root:team-a"},
        ]},
        "batch": {"interval": "200ms"},
        "spool": {"maxBytes": 256 * 1024},
        "archive": {"path": str(folder / "archive"), "interval": "500ms"},
        "publish": {"rewriteAfter": "200ms", "rewriteMost": "200ms"},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(document))
    return path


@dataclass
class Spool:
    """What is on disk in ``folder``, read on from where it was read before."""

    folder: Path
    on_disk: set[Revision] = field(default_factory=set)
    _read: dict[str, int] = field(default_factory=dict)

    def read(self) -> None:
        """Add the revisions that were written since the last time."""
        for path in sorted(self.folder.glob("*.seg")):
            at = self._read.get(path.name, 0)
            with suppress(Damaged):
                for frame in frames(path.read_bytes()[at:], at):
                    self._read[path.name] = frame.end
                    self.on_disk.update(_revisions(frame.sections))


def _revisions(sections: list[Section]) -> Iterator[Revision]:
    for section in sections:
        for line in section.body.splitlines():
            decoded = msgspec.json.decode(line)
            if section.kind is Kind.LISTED or decoded["type"] in {"ADDED", "MODIFIED"}:
                metadata = (decoded if section.kind is Kind.LISTED else decoded["object"])["metadata"]
                yield section.stream.cluster_uid, metadata["uid"], int(metadata["resourceVersion"])


async def live(process: Process, directory: DataDirectory, seconds: float) -> None:
    """Return ``seconds`` after ``process`` has taken the directory; it must not end by itself."""
    lock = directory.root / "lock"
    await until(lambda: process.returncode is not None or (lock.exists() and lock.read_text() == f"{process.pid}\n"))
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), seconds)
        assert process.stderr
        message = (await process.stderr.read()).decode()
        raise AssertionError(message)


async def soak(folder: Path, *, kills: int, seed: int) -> Report:
    """Kill a service ``kills`` times at moments chosen by ``seed``; then let one finish, and compare."""
    rng = random.Random(seed)  # noqa: S311  moments, not secrets
    directory, spool = DataDirectory(folder / "data"), Spool(folder / "data" / "spool")
    async with generating(folder, seed) as generator:
        run = ("run", "--config", str(configure(folder)))
        for _ in range(kills):
            longest = LONG_LIFE_SECONDS if rng.random() < 0.1 else SHORT_LIFE_SECONDS
            async with batcher(*run) as process:
                await live(process, directory, rng.uniform(0, longest))
            spool.read()
        ledger = await generator.answer("stop")
        async with batcher(*run) as process:
            await until(lambda: totals(directory).get("occurrences", 0) >= ledger["occurrences"], PATIENCE_SECONDS)
            await _told(generator, ledger["workspaces"])
            code, _, err = await finish(process)
        assert code == 0, err
        spool.read()
        return compare(directory, ledger, await generator.answer("told"), spool.on_disk, kills)


async def _told(generator: Generator, workspaces: dict[str, int]) -> None:
    """Return when the workspaces were told everything; in the end they never will be, and are compared."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await generator.answer("told") != workspaces:
                await asyncio.sleep(0.1)


def compare(
    directory: DataDirectory, ledger: dict[str, Any], told: dict[str, int], on_disk: set[Revision], kills: int
) -> Report:
    """Hold the archive, the last commit and the workspaces against the ledger."""
    occurrences = scan(directory.archive, "occurrences")
    rows: list[Revision] = occurrences.select("cluster_uid", "uid", "resource_version").collect().rows()
    archived = set(rows)
    happened: dict[Revision, Name] = {(c, uid, version): Name(*name) for c, uid, version, name in ledger["revisions"]}
    last = {name: revision for revision, name in happened.items()}
    missing = happened.keys() - archived
    lost = {revision for revision in missing if revision in on_disk or last[happened[revision]] == revision}
    checks = verify(directory, directory.archive)
    return Report(
        kills=kills,
        revisions=len(happened),
        recreated=ledger["recreated"],
        occurrences=ledger["occurrences"],
        counted=totals(directory)["occurrences"],
        archived=len(archived),
        told=told,
        happened=ledger["workspaces"],
        lost=sorted(lost),
        doubled=sorted({row for row in rows if rows.count(row) > 1}) if len(rows) > len(archived) else [],
        invented=sorted(archived - happened.keys()),
        superseded=sorted(missing - lost),
        failed_checks=[f"{check.name}: {check.detail}" for check in checks if not check.ok],
        batches=int(scan(directory.archive, "batches").collect().height),
    )
