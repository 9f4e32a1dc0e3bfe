"""The data directory: where each thing is, who owns it, which format it has.

    format  id  lock                     version of this layout; a random name for life; one process at a time
    archive.path archive.options         where the archive is, for the commands that only read
    spool/<segment>.seg                  what was received
    quarantine/                          bytes of the spool that were no frames
    configs/<digest>.json                the rules that plans name
    requests/<kind>-<name>               what the next plan is asked to do
    batches/<n>/plan.json changes commit.json
    snapshots/<n>                        the newest two
    staged/<table>/date=<day>/<id>-<n>.parquet

Everything is written durably, whole or not at all. Nothing here decides when.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from batcher import disk, store
from batcher.batch.records import Commit, Plan, Snapshot, decode_snapshot, encode_snapshot
from batcher.errors import DataDirError
from batcher.store import Root

T = TypeVar("T")

FORMAT = 2
OLDEST_FORMAT = 1
"""A version reads what the version before it wrote: format 1 has fewer columns in its state and its tables."""
SNAPSHOTS_KEPT = 2


class DataDirectory:
    """Paths below a data directory, and the small files in it."""

    def __init__(self, root: Path, *, storage: dict[str, str] | None = None) -> None:
        """Use ``root``, and ``storage`` as options of the archive's store; nothing is read or made yet."""
        self.root = root
        self._storage = storage or {}
        self.spool = root / "spool"
        self.quarantine = root / "quarantine"
        self.staged = root / "staged"
        self.requests = root / "requests"
        self._configs = root / "configs"
        self._batches = root / "batches"
        self._snapshots = root / "snapshots"

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Create what is missing, check the format, and hold the lock until the block ends.

        Raises :class:`DataDirError`: in use, of a newer format, or not writable.
        """
        try:
            for path in (
                self.spool,
                self.quarantine,
                self.staged,
                self.requests,
                self._configs,
                self._batches,
                self._snapshots,
            ):
                disk.make_directory(path)
        except OSError as error:
            message = f"{self.root}: {error.strerror}; choose a writable --data-dir"
            raise DataDirError(message) from None
        with disk.lock(self.root / "lock"):
            with disk.trusted(f"preparing {self.root}"):
                if not (self.root / "format").exists():
                    disk.write_file(self.root / "id", f"{secrets.token_hex(8)}\n".encode("ascii"))
                    disk.write_file(self.root / "format", f"{FORMAT}\n".encode("ascii"))
                disk.settle(self.root)
            self.check()
            yield

    def check(self) -> None:
        """Raise :class:`DataDirError` unless this is a data directory that this version can read."""
        try:
            found = int((self.root / "format").read_text(encoding="ascii"))
        except (OSError, ValueError):
            message = f"{self.root}: no batcher data here; give the --data-dir of a run"
            raise DataDirError(message) from None
        if found > FORMAT:
            message = f"{self.root}: format {found} is newer than {FORMAT}, which this version reads; upgrade batcher"
            raise DataDirError(message)
        if found < OLDEST_FORMAT:
            message = f"{self.root}: format {found} is older than {OLDEST_FORMAT}, the oldest that this version reads"
            raise DataDirError(message)

    def raise_format(self) -> None:
        """Make this version's format durable, before anything is written that the one before would misread."""
        path = self.root / "format"
        if path.read_text(encoding="ascii") != f"{FORMAT}\n":
            disk.write_file(path, f"{FORMAT}\n".encode("ascii"))

    @property
    def id(self) -> str:
        """The random name of this directory."""
        return (self.root / "id").read_text(encoding="ascii").strip()

    @property
    def archive(self) -> Root:
        """Where the archive of this directory is; a store's credentials are of the configuration or environment."""
        try:
            path = (self.root / "archive.path").read_text(encoding="utf-8").strip()
        except OSError:
            message = f"{self.root}: no run has been here yet; start one with this --data-dir"
            raise DataDirError(message) from None
        options = self.root / "archive.options"
        known = _decoded(options, dict[str, str]) if store.is_url(path) and options.exists() else {}
        return store.place(path, known | self._storage, os.environ)

    @property
    def is_archived_in_store(self) -> bool:
        """Whether the archive is in a store, for which credentials are needed."""
        path = self.root / "archive.path"
        return path.exists() and store.is_url(path.read_text(encoding="utf-8"))

    @property
    def is_new(self) -> bool:
        """Whether nothing was received and no batch committed here yet."""
        batches = any(self._batches.glob("*/commit.json"))
        return not (batches or self._snapshot_paths() or any(self.spool.iterdir()))

    def write_archive(self, path: Root) -> None:
        """Remember that the archive is at ``path``, and of a store how it is reached, but no credentials."""
        if options := store.without_secrets(path):
            disk.write_file(self.root / "archive.options", msgspec.json.format(msgspec.json.encode(options)))
        disk.write_file(self.root / "archive.path", f"{path}\n".encode())

    def write_rules(self, digest: str, rules: bytes) -> None:
        """Keep ``rules`` under their ``digest``."""
        path = self._configs / f"{digest}.json"
        if not path.exists():
            disk.write_file(path, rules)

    def read_rules(self, digest: str) -> bytes:
        """Return the rules kept under ``digest``."""
        return _read(self._configs / f"{digest}.json")

    def write_plan(self, plan: Plan) -> None:
        """Make ``plan`` durable."""
        disk.make_directory(self._batch(plan.batch))
        disk.write_file(self._batch(plan.batch) / "plan.json", msgspec.json.format(msgspec.json.encode(plan)))

    def write_changes(self, batch: int, data: bytes) -> str:
        """Make the changes of ``batch`` durable and return their digest."""
        disk.write_file(self._batch(batch) / "changes", data)
        return disk.digest(data)

    def write_commit(self, commit: Commit) -> None:
        """Make ``commit`` durable: from here on the batch has happened."""
        disk.write_file(self._batch(commit.batch) / "commit.json", msgspec.json.format(msgspec.json.encode(commit)))

    def plan_after(self, batch: int) -> Plan | None:
        """Return the plan of the batch after ``batch``, if there is one without a commit."""
        return self.plan(batch + 1)

    def plan(self, batch: int) -> Plan | None:
        """Return the plan of ``batch``, if it is here."""
        path = self._batch(batch) / "plan.json"
        return _decoded(path, Plan) if path.exists() else None

    def commits_after(self, batch: int) -> Iterator[Commit]:
        """Yield the commits after ``batch``, in order, as far as there is no gap."""
        while (path := self._batch(batch + 1) / "commit.json").exists():
            yield _decoded(path, Commit)
            batch += 1

    def commits(self) -> list[Commit]:
        """Return the newest commits, in order, as far back as there is no gap: retiring may have been cut short."""
        there = {int(path.parent.name) for path in self._batches.glob("*/commit.json")}
        first = max(there, default=0) + 1
        while first - 1 in there:
            first -= 1
        return list(self.commits_after(first - 1))

    def read_changes(self, commit: Commit) -> bytes:
        """Return the changes of ``commit``; raise :class:`DataDirError` if they are not those committed."""
        data = _read(self._batch(commit.batch) / "changes")
        if disk.digest(data) != commit.changes:
            message = f"{self._batch(commit.batch) / 'changes'}: its bytes differ from the digest in commit.json"
            raise DataDirError(message)
        return data

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Make ``snapshot`` durable and drop those before the newest two."""
        disk.write_file(self._snapshots / f"{snapshot.commit.batch:012d}", encode_snapshot(snapshot))
        for path in self._snapshot_paths()[SNAPSHOTS_KEPT:]:
            disk.remove(path)

    def snapshots(self) -> Iterator[Snapshot]:
        """Yield the snapshots that are whole, oldest first."""
        for path in reversed(self._snapshot_paths()):
            with contextlib.suppress(DataDirError):
                yield decode_snapshot(_read(path))

    def newest_snapshot(self) -> Snapshot | None:
        """Return the newest snapshot that is whole."""
        for path in self._snapshot_paths():
            with contextlib.suppress(DataDirError):
                return decode_snapshot(path.read_bytes())
        return None

    def oldest_snapshot_batch(self) -> int:
        """Return the batch of the older of two snapshots, 0 if there are fewer: what came before may go."""
        paths = self._snapshot_paths()
        return int(paths[-1].name) if len(paths) >= SNAPSHOTS_KEPT else 0

    def retire(self, through: int) -> None:
        """Delete plans, changes and commits of batches up to ``through``."""
        for path in sorted(self._batches.iterdir()):
            if int(path.name) <= through:
                disk.remove_directory(path)

    def _snapshot_paths(self) -> list[Path]:
        return sorted((p for p in self._snapshots.iterdir() if p.name.isdigit()), reverse=True)

    def _batch(self, batch: int) -> Path:
        return self._batches / f"{batch:012d}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror}; restore it from a backup, or start with another --data-dir"
        raise DataDirError(message) from None


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(_read(path), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{path}: {error}; restore it from a backup, or start with another --data-dir"
        raise DataDirError(message) from None
