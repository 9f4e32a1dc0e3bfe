"""Vacuum: files that no table names any more are removed, when every reader must be done with them.

A reader takes the list of files from the log and reads them later, so a file that was replaced stays for
:data:`AFTER`. When it was replaced is not asked of the log, which forgets: the first vacuum that finds a file unnamed
notes the time, and a later one removes it. What a kill left is found in the same way. Files that may be about to be
named are left alone: a new one of a rewriting for an hour, and a staged one as long as the table does not have its
batch.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from deltalake import DeltaTable

from batcher import store
from batcher.archive.owner import owner_of
from batcher.archive.read import open_to_read, paths_of
from batcher.archive.tables import DATE, explained, is_delivered, there
from batcher.staging import named
from batcher.store import Found, Root

AFTER = timedelta(hours=6)
"""A notebook that has a lazy frame open for an afternoon still reads; a disk holds a quarter of a day's rewriting."""

_YOUNG = timedelta(hours=1)
"""A rewriting names its file seconds after it has written it."""

_NOTES = "_batcher_unnamed"


class Vacuumed(NamedTuple):
    """What a vacuum did, or would do, in a table."""

    table: str
    files: int
    """Files that were removed."""
    bytes: int
    waiting: int
    """Unnamed files that a reader may still have open."""
    waiting_bytes: int


def vacuum_all(root: Root, *, now: datetime, after: timedelta = AFTER, dry_run: bool = False) -> list[Vacuumed]:
    """Vacuum every table that is there; see :func:`vacuum`."""
    with explained(root):
        return [vacuum(root, name, now=now, after=after, dry_run=dry_run) for name in there(root)]


def vacuum(root: Root, name: str, *, now: datetime, after: timedelta = AFTER, dry_run: bool = False) -> Vacuumed:
    """Remove the files of the table ``name`` that were found unnamed longer ago than ``after``.

    Safe beside everything. Raises :class:`batcher.errors.ArchiveError`.
    """
    table = open_to_read(root, name)
    if table is None:
        return Vacuumed(name, 0, 0, 0, 0)
    sizes = {file.path: file.size for file in _unnamed(root, name, table, now)}
    noted = _noted(root / name)
    since = {path: min(noted.get(path, now), now) for path in sizes}
    gone = [path for path, at in since.items() if now - at >= after]
    if not dry_run:
        for path in gone:
            store.remove(root / name / path)
        _note(root / name, {path: at for path, at in since.items() if path not in gone}, before=noted)
    waiting = [size for path, size in sizes.items() if path not in gone]
    return Vacuumed(name, len(gone), sum(sizes[path] for path in gone), len(waiting), sum(waiting))


def _unnamed(root: Root, name: str, table: DeltaTable, now: datetime) -> Iterator[Found]:
    """Files that are not of ``table``, and will not be any more."""
    active = set(paths_of(root / name, table))
    owner = owner_of(root)
    for file in store.files(root / name, f"{DATE}="):
        path = root / name / file.path
        staged = named(path.name)
        if path in active:
            continue
        if staged is None:
            is_done = now - file.modified >= _YOUNG
        else:
            is_done = staged.owner != owner or is_delivered(table, name, path.name)
        if is_done:
            yield file


def _noted(table: Root) -> dict[str, datetime]:
    """When each file was first found unnamed. What cannot be read is noted anew: files then stay longer."""
    try:
        return msgspec.json.decode(store.read(table / _NOTES), type=dict[str, datetime])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _note(table: Root, since: dict[str, datetime], *, before: dict[str, datetime]) -> None:
    if since != before:
        store.write(table / _NOTES, msgspec.json.encode(since))
