"""The log of a Delta table on a disk that loses power: what deltalake leaves to chance.

deltalake writes a version of a table and does not sync it. Staged files are removed once they are delivered, so
what says that they are must be on disk before; and a version that a power cut tore is removed, or the table could
never be opened again. Only the newest can be torn if each is on disk before the next is written: delivery and
maintenance, which are two processes, write versions one at a time. In a store nothing is torn, and of two who put
the same version it refuses one: there is nothing to do. Nothing here knows what a version says.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from batcher import disk, store
from batcher.store import Root, Store

_LOG = "_delta_log"
_HINT = "_last_checkpoint"
_LOCK = "_batcher_lock"
_PARQUET = b"PAR1"


def is_table(table: Root) -> bool:
    """Whether there is a table."""
    return store.is_there(table / _LOG)


@contextlib.contextmanager
def alone(table: Root) -> Iterator[None]:
    """Be the only process of this machine that writes a version of ``table``; wait for the other, which is soon done.

    The kernel frees it when the process dies. Raises :class:`OSError` if the archive cannot be written.
    """
    if isinstance(table, Store):
        yield
        return
    table.mkdir(parents=True, exist_ok=True)  # durable by sync, as all that deltalake makes in it
    descriptor = os.open(table / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync(table: Root, version: int) -> None:
    """Make ``version`` of ``table`` durable, and the names on the way to it; those before it are already."""
    if isinstance(table, Store):
        return
    log = table / _LOG
    with contextlib.suppress(FileNotFoundError):  # in a checkpoint only
        disk.sync_file(log / f"{version:020d}.json")
    for directory in (log, table, table.parent):
        disk.sync_directory(directory)


def mend(table: Root) -> None:
    """Remove the newest version of ``table`` if it is torn, and a hint to a checkpoint that is.

    Neither was relied upon: a version is synced before what it registers is forgotten, and a checkpoint repeats
    what the versions say.
    """
    if isinstance(table, Store):
        return
    log = table / _LOG
    newest = max(log.glob("*.json"), default=None)
    if newest and not _is_whole(newest.read_bytes()):
        disk.remove(newest)
    if any(not _ends(path) for path in log.glob("*.checkpoint.parquet")) or not _names_one(log):
        disk.remove(log / _HINT)
        for path in log.glob("*.checkpoint.parquet"):
            if not _ends(path):
                disk.remove(path)


def _is_whole(version: bytes) -> bool:
    try:
        return bool([msgspec.json.decode(line) for line in version.splitlines()])
    except msgspec.DecodeError:
        return False


def _ends(checkpoint: Path) -> bool:
    with checkpoint.open("rb") as file:
        file.seek(-min(len(_PARQUET), checkpoint.stat().st_size), 2)
        return file.read() == _PARQUET


class _Hint(msgspec.Struct):
    version: int


def _names_one(log: Path) -> bool:
    """Whether the hint names a checkpoint that is there; or there is no hint."""
    try:
        hint = msgspec.json.decode((log / _HINT).read_bytes(), type=_Hint)
    except FileNotFoundError:
        return True
    except msgspec.DecodeError:
        return False
    return (log / f"{hint.version:020d}.checkpoint.parquet").exists()
