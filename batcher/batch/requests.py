"""What the next batch is asked to do: files that commands drop, and the names of which a plan repeats.

A request is an empty file named after what is asked for, so that asking twice is asking once, and nobody needs to
be allowed to read it. It is removed only when the batch that it is an input of is committed.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from batcher import disk
from batcher.batch.directory import DataDirectory
from batcher.errors import DataDirError


class Kind(StrEnum):
    """What is asked for; with what the rest of the name says."""

    RETRY = "retry-"
    """A quarantined line, by its position."""
    REVIVE = "revive-"
    """A dead letter, by its summary."""
    RESYNC = "resync-"
    """The open summaries of a workspace, by its name."""
    RETIRE = "retire-"
    """All of the spool that is batched: that it may go as soon as possible. By the time (microseconds) of asking."""


def ask(directory: DataDirectory, kind: Kind, names: Iterable[str]) -> None:
    """Ask durably for ``names``. Raises :class:`DataDirError` if that cannot be written."""
    try:
        disk.make_empty_files(directory.requests, requests(kind, names))
    except OSError as error:
        message = f"{directory.requests}: {error.strerror}; run this as the user that batcher runs as"
        raise DataDirError(message) from None


def asked(directory: DataDirectory, kind: Kind) -> list[str]:
    """Return the names that are asked for, in order."""
    return sorted(named(kind, (path.name for path in directory.requests.glob(f"{kind}*"))))


def answered(directory: DataDirectory, names: Sequence[str]) -> None:
    """Forget the requests ``names`` durably: their batch is committed."""
    if names:
        disk.remove_files(directory.requests, names)


def requests(kind: Kind, names: Iterable[str]) -> list[str]:
    """Return the requests for ``names``, as they stand in a plan."""
    return [f"{kind}{name}" for name in names]


def named(kind: Kind, among: Iterable[str]) -> list[str]:
    """Return the names of the requests of ``kind`` that are ``among`` those of a plan."""
    return [name.removeprefix(kind) for name in among if name.startswith(kind)]
