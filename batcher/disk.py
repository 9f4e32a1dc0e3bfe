"""Writes that are on disk when they return, in the one order that survives a power cut.

A new file is written under a temporary name, fsynced, renamed, and its directory fsynced; a reader sees the
whole file or none. Whatever changes the data directory durably goes through :class:`System`, so that a test can put
one underneath that forgets what was not synced (:func:`using`). Nothing here knows what the bytes mean.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from batcher.errors import DataDirError, InUse, Unavailable

_TEMPORARY = ".tmp"
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


class SyncFailed(OSError):  # noqa: N818  named by what happened
    """A sync failed: what the disk holds is unknown, and asking again would be answered with a lie."""


class System:
    """The system calls that change a disk."""

    def open(self, path: Path, flags: int) -> int:
        """Open ``path`` with ``flags``; a file that is made is private to the user."""
        return os.open(path, flags, 0o600)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of ``data``, and return how much."""
        return os.write(descriptor, data)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file to ``size`` bytes."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Make a file or the names in a directory durable."""
        os.fsync(descriptor)

    def sync_data(self, descriptor: int) -> None:
        """Make a file's bytes and size durable."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close ``descriptor``."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in the place of what had it."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        path.unlink()

    def make(self, path: Path) -> None:
        """Make a directory, private to the user."""
        path.mkdir(mode=0o700)

    def unmake(self, path: Path) -> None:
        """Remove an empty directory."""
        path.rmdir()


_SYSTEM: ContextVar[System] = ContextVar("system", default=System())  # noqa: B039  it holds nothing


@contextlib.contextmanager
def using(system: System) -> Iterator[None]:
    """Put ``system`` underneath until the block ends."""
    token = _SYSTEM.set(system)
    try:
        yield
    finally:
        _SYSTEM.reset(token)


@contextlib.contextmanager
def trusted(doing: str) -> Iterator[None]:
    """Tell an error that can pass (:class:`Unavailable`) from a failed sync, after which the process must end.

    The latter is a :class:`DataDirError`; any other error of the system goes through as it is.
    """
    try:
        yield
    except SyncFailed as error:
        message = f"{error.strerror} while {doing}; the disk cannot be trusted"
        raise DataDirError(message) from error
    except OSError as error:
        if error.errno not in _PASSING:
            raise
        message = f"{error.strerror} while {doing}"
        raise Unavailable(message) from error


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = _SYSTEM.get().open(path, flags)
    try:
        yield descriptor
    finally:
        close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` as ``path``, whole or not at all, and return when it would survive a power cut."""
    temporary = path.with_name(path.name + _TEMPORARY)
    with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
        write_all(descriptor, data)
        _sync(descriptor)
    _SYSTEM.get().rename(temporary, path)
    sync_directory(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of ``data``: a short write is not an error of the system call, so go on until done."""
    view = memoryview(data)
    while view:
        view = view[_SYSTEM.get().write(descriptor, view) :]


def open_to_append(path: Path) -> int:
    """Open ``path`` to write at its end; its name is durable when this returns."""
    descriptor = _SYSTEM.get().open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        sync_directory(path.parent)
    except OSError:
        close(descriptor)
        raise
    return descriptor


def sync_data(descriptor: int) -> None:
    """Make what was written durable; raise :class:`SyncFailed` if it may not be."""
    try:
        _SYSTEM.get().sync_data(descriptor)
    except OSError as error:
        raise SyncFailed(error.errno, error.strerror) from error


def truncate(descriptor: int, size: int) -> None:
    """Cut an open file to ``size`` bytes. Not synced: what was there may come back after a power cut."""
    _SYSTEM.get().truncate(descriptor, size)


def cut_file(path: Path, size: int) -> None:
    """Cut ``path`` to ``size`` bytes, durably."""
    with _opened(path, os.O_WRONLY) as descriptor:
        truncate(descriptor, size)
        _sync(descriptor)


def close(descriptor: int) -> None:
    """Close ``descriptor``; nothing becomes durable by it."""
    _SYSTEM.get().close(descriptor)


def sync_file(path: Path) -> None:
    """Make the bytes of ``path`` durable, whoever wrote them."""
    with _opened(path, os.O_WRONLY) as descriptor:
        _sync(descriptor)


def sync_directory(path: Path) -> None:
    """Make names added to or removed from ``path`` durable."""
    with _opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        _sync(descriptor)


def settle(path: Path) -> None:
    """Make all names below ``path`` durable, and its own; remove the temporary files of whoever was killed.

    A process that was killed may have left names that were not synced yet: whoever builds on them, and is then
    cut off from power, would stand on nothing.
    """
    with contextlib.suppress(PermissionError):  # then it was not made by us
        sync_directory(path.parent)
    for directory, _, files in os.walk(path):
        for name in files:
            if name.endswith(_TEMPORARY):
                remove(Path(directory, name))
        sync_directory(Path(directory))


def make_directory(path: Path) -> None:
    """Create ``path`` and its missing parents, each durable in its own parent; private to the user."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            _SYSTEM.get().make(directory)
        sync_directory(directory.parent)


def remove(path: Path) -> None:
    """Remove ``path`` if it is there. Not synced: whoever finds it again removes it again."""
    with contextlib.suppress(FileNotFoundError):
        _SYSTEM.get().unlink(path)


def remove_directory(path: Path) -> None:
    """Remove ``path`` and the files in it, in any order and not synced: whoever finds the rest removes it again."""
    for file in sorted(path.iterdir()):
        remove(file)
    _SYSTEM.get().unmake(path)


def _sync(descriptor: int) -> None:
    try:
        _SYSTEM.get().sync(descriptor)
    except OSError as error:
        raise SyncFailed(error.errno, error.strerror) from error


def make_empty_files(directory: Path, names: Iterable[str]) -> None:
    """Make ``directory`` have files of these ``names``, and return when all would survive a power cut.

    One that is there stays as it is. An empty file is nothing but its name, so one sync makes them all durable.
    """
    for name in names:
        with _opened(directory / name, os.O_WRONLY | os.O_CREAT):
            pass
    sync_directory(directory)


def remove_files(directory: Path, names: Iterable[str]) -> None:
    """Remove files of these ``names`` from ``directory``, and return when none would come back after a power cut."""
    for name in names:
        remove(directory / name)
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
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        message = f"{path.parent}: {error.strerror}; choose a writable --data-dir"
        raise DataDirError(message) from None
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
