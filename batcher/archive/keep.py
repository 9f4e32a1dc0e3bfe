"""Keeping: what a service does to its archive every ``archive.compactEvery``.

Retention goes first, so that what is old is not compacted before it goes; then compaction; then what no table names
any more. A purge that was asked for is done again, with what was delivered since. A table that cannot be kept holds up
no other. Each step may end at any moment, and is gone on with at the
next turn. Reads no configuration and no clock.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, TypeVar

from batcher.archive.compact import Compacted, compact
from batcher.archive.owner import confirm_owner
from batcher.archive.pins import pins
from batcher.archive.purge import forget_done, purge_all, purges
from batcher.archive.retain import Policy, Retained, retain
from batcher.archive.tables import explained, there
from batcher.archive.vacuum import Vacuumed, vacuum
from batcher.errors import ArchiveError
from batcher.store import Root

T = TypeVar("T")


class Kept(NamedTuple):
    """What was done, by table, and what could not be."""

    compacted: list[Compacted]
    retained: list[Retained]
    vacuumed: list[Vacuumed]
    troubles: list[str]


def keep(root: Root, policy: Policy, *, owner: str, now: datetime) -> Kept:
    """Keep the archive at ``root``, which belongs to the data directory ``owner``.

    Raises :class:`batcher.errors.UsageError` if it has another owner by now, and :class:`ArchiveError` if what is
    pinned cannot be read: then nothing is removed.
    """
    confirm_owner(root, owner)
    pinned = pins(root)
    troubles: list[str] = []

    def of_each(work: Callable[[str], T]) -> list[T]:
        done: list[T] = []
        # Incidents come last: rows of other tables are judged by them.
        for name in sorted(there(root), key=lambda name: name == "incidents"):
            try:
                with explained(root / name):
                    done.append(work(name))
            except ArchiveError as error:
                troubles.append(str(error))
        return done

    retained = of_each(lambda name: retain(root, name, policy, pins=pinned, now=now))
    compacted = of_each(lambda name: compact(root, name, now=now))
    _purge_again(root, troubles, now=now)
    vacuumed = of_each(lambda name: vacuum(root, name, now=now))
    return Kept(compacted, retained, vacuumed, troubles)


def _purge_again(root: Root, troubles: list[str], *, now: datetime) -> None:
    try:
        with explained(root):
            for purge in purges(root):
                purge_all(root, purge, now=now)
            forget_done(root, now=now)
    except ArchiveError as error:
        troubles.append(str(error))
