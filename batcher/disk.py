"""Writes that are on disk when they return, in the one order that survives a power cut.

A new file is written under a temporary name, fsynced, renamed, and its directory fsynced; a reader sees the
whole file or none. Every durable write of the data directory goes through here, so that a test can put a
file layer underneath that forgets what was not synced. Nothing here knows what the bytes mean.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from batcher.errors import InUse

_TEMPORARY = ".tmp"


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` as ``path``, whole or not at all, and return when it would survive a power cut."""
    temporary = path.with_name(path.name + _TEMPORARY)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
    sync_directory(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of ``data``: a short write is not an error of the system call, so go on until done."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make names added to or removed from ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create ``path`` and its missing parents, each durable in its own parent; private to the user."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        sync_directory(directory.parent)


def remove(path: Path) -> None:
    """Remove ``path`` if it is there. Not synced: whoever finds it again removes it again."""
    path.unlink(missing_ok=True)


def make_empty_files(directory: Path, names: Iterable[str]) -> None:
    """Make ``directory`` have files of these ``names``, and return when all would survive a power cut.

    One that is there stays as it is. An empty file is nothing but its name, so one sync makes them all durable.
    """
    for name in names:
        os.close(os.open(directory / name, os.O_WRONLY | os.O_CREAT, 0o600))
    sync_directory(directory)


def remove_files(directory: Path, names: Iterable[str]) -> None:
    """Remove files of these ``names`` from ``directory``, and return when none would come back after a power cut."""
    for name in names:
        (directory / name).unlink(missing_ok=True)
    sync_directory(directory)


def digest(data: bytes) -> str:
    """Return the sha256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file's content does, a swapped symlink included; zeros if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` until the block ends; the kernel frees it when the process dies.

    Raises :class:`InUse` at once if another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            message = (
                f"{path.parent}: in use by another batcher (process {holder}); stop it first or use another --data-dir"
            )
            raise InUse(message) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)
