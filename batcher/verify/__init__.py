"""Prove the promise: that every delivered line is accounted for, exactly once.

Changes nothing, and may run beside a service. The sums are added up again from what batches said and the rows
that they left; ``deep``, the batches whose input is still here are run again as well, and compared row by row.
"""

from collections.abc import Callable

from batcher.archive.read import ATTEMPTS, settled
from batcher.archive.removals import Removals, removals
from batcher.batch import DataDirectory
from batcher.batch.process import latest
from batcher.errors import ArchiveError, DataDirError
from batcher.store import Root
from batcher.verify.check import Check
from batcher.verify.committed import check_committed
from batcher.verify.recompute import check_recomputed
from batcher.verify.sums import check_sums

__all__ = ["Check", "verify"]


def verify(directory: DataDirectory, archive: Root, *, deep: bool = False) -> list[Check]:
    """Return every check over what is on disk.

    Raises :class:`batcher.errors.ArchiveError` if a file is missing or cannot be read, unless a check says so.
    """
    return _undisturbed(directory, archive, lambda: _verify(directory, archive, deep=deep))


def _verify(directory: DataDirectory, archive: Root, *, deep: bool) -> list[Check]:
    """A part that cannot be read is told by the checks of the bytes; if they hold, it is an error."""
    checks: list[Check] = []
    unread: list[ArchiveError | DataDirError] = []
    parts = [lambda: check_sums(directory, archive, *latest(directory))]
    parts += [lambda: check_recomputed(directory, archive)] if deep else []
    for part in parts:
        try:
            checks += settled(part)
        except (ArchiveError, DataDirError) as error:
            unread.append(error)
    checks += check_committed(directory, archive, files=deep or bool(unread))
    if unread and all(check.ok for check in checks):
        raise unread[0]
    return checks


def _undisturbed(directory: DataDirectory, archive: Root, read: Callable[[], list[Check]]) -> list[Check]:
    """What ``read`` returns, reading again when a part of it was retired or removed meanwhile."""
    for _ in range(ATTEMPTS - 1):
        before = _gone(directory, archive)
        try:
            found = read()
        except DataDirError:
            if _gone(directory, archive) == before:
                raise
        else:
            if _gone(directory, archive) == before:
                return found
    return read()


def _gone(directory: DataDirectory, archive: Root) -> tuple[int, Removals]:
    """Before which batch the directory has none, and of which the archive has lost rows."""
    return next((commit.batch for commit in directory.commits()), 0), removals(archive)
