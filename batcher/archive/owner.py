"""Whose an archive is: one data directory's, for two that wrote the same events would count them twice.

The file at the archive's root holds the owner's id, and below it those of the directories that it was taken
over from. It is replaced whole, so that there is one owner at every moment. A store is asked first whether it can be
written to safely. Nothing here reads a table.
"""

import contextlib
from collections.abc import Iterator

from batcher import store
from batcher.errors import ArchiveError, UsageError
from batcher.store import Root

_OWNER = "batcher-owner"


def check_owner(root: Root, owner: str, *, take_over: bool = False) -> None:
    """Make ``owner`` (a data directory's id) the owner of the archive at ``root``, if it has none or ``take_over``.

    Raises :class:`UsageError` if it has another: what that one has counted would be counted again.
    """
    with _explained(root):
        store.prove(root)
        owners = _owners(root)
        if not owners:
            store.create(root / _OWNER, f"{owner}\n".encode("ascii"))
        elif take_over and owners[0] != owner:
            store.write(root / _OWNER, "".join(f"{name}\n" for name in (owner, *owners)).encode("ascii"))
    confirm_owner(root, owner)


def confirm_owner(root: Root, owner: str) -> None:
    """Raise :class:`UsageError` if the archive at ``root`` has another owner by now."""
    with _explained(root):
        found, *former = _owners(root) or [owner]
    if owner in former:
        message = (
            f"archive.path {root}: another data directory (id {found}) has taken it over from this one (id {owner}); "
            "use that one, or another archive.path"
        )
        raise UsageError(message)
    if found != owner:
        message = (
            f"archive.path {root}: belongs to another data directory (id {found}, this one is {owner}); "
            "use that one or another archive.path, or, if it is lost, --take-over with a new --data-dir"
        )
        raise UsageError(message)


def owner_of(root: Root) -> str:
    """Return the id of the data directory that the archive at ``root`` belongs to; empty if it is nobody's yet."""
    return next(iter(_owners(root)), "")


def _owners(root: Root) -> list[str]:
    """The owner, and those before it, newest first; nothing when there was none yet."""
    try:
        return store.read(root / _OWNER).decode("ascii").split()
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextlib.contextmanager
def _explained(root: Root) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"archive.path {root}: {error.strerror}"
        raise ArchiveError(message) from None
