"""What failed, shown and tried again: lines that could not be counted, summaries that no workspace took.

Trying again goes through a batch like everything that counts: a running service is asked, or the lock is taken and
a batch is run here. That batch has nothing but the retry in it, and moves no time on, so that what the spool still
holds is the next service's.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from batcher.batch import Batches, DataDirectory, Retry, Work, requests
from batcher.batch.process import rules_of_last
from batcher.batch.quarantine import asked
from batcher.batch.requests import Kind
from batcher.decode import RETRIABLE
from batcher.errors import UsageError
from batcher.failed import letters, lines
from batcher.failed.letters import is_letter
from batcher.failed.lines import prepare
from batcher.failed.shown import HEADERS, WIDE_HEADERS, Failed, Tried, rows
from batcher.schema import OPEN_SUMMARIES, empty
from batcher.spool.log import Log
from batcher.text import safe


class Asked(NamedTuple):
    """What of that which failed the next batch tries again."""

    retry: Retry = Retry()
    letters: pl.DataFrame = empty(OPEN_SUMMARIES)


def waiting(directory: DataDirectory) -> list[Failed]:
    """Return the lines in quarantine, then the dead letters, each oldest first.

    A reader may call this while a service runs. Raises :class:`batcher.errors.ArchiveError`.
    """
    return [*lines.waiting(directory), *letters.waiting(directory)]


def one(directory: DataDirectory, name: str) -> Failed:
    """Return what ``name`` (an ID) stands for. Raises :class:`UsageError` if nothing that failed has it."""
    found = {each.id: each for each in waiting(directory)}
    if name not in found:
        raise UsageError(_why_not(directory, name))
    return found[name]


def _why_not(directory: DataDirectory, name: str) -> str:
    if is_letter(name):
        return letters.why_not(directory, name)
    if not name.isdecimal():
        return f"{safe(name)}: is no ID; see: batcher failed list"
    return lines.why_not(directory, name)


def pick(directory: DataDirectory, names: Sequence[str], *, everything: bool, cause: str) -> list[str]:
    """Return the IDs to try again: ``names``, or all of ``everything``, or of one ``cause``.

    Raises :class:`UsageError` for what is not there, has left, or of which only a part was kept.
    """
    if [bool(names), everything, bool(cause)].count(True) != 1:
        message = "failed retry: give IDs, or --all, or --cause CAUSE"
        raise UsageError(message)
    found = waiting(directory)
    if names:
        here = {each.id: each for each in found}
        chosen = [here[name] if name in here else one(directory, name) for name in dict.fromkeys(names)]
    else:
        chosen = [each for each in found if each.cause == cause or (everything and _can_be_retried(each))]
    if cause and not chosen:
        known = ", ".join(sorted({each.cause for each in found})) or "none"
        message = f"--cause {safe(cause)}: nothing that failed has it; causes that are there: {known}"
        raise UsageError(message)
    for each in chosen:
        if each.kind == "line":
            lines.refuse_partial(each)
    letters.refuse_incomplete(directory, [each.id for each in chosen if each.kind == "letter"])
    return [each.id for each in chosen]


def _can_be_retried(each: Failed) -> bool:
    return each.kind == "letter" or each.cause in RETRIABLE


def ask(directory: DataDirectory, names: Iterable[str]) -> None:
    """Ask the running service durably for ``names``. Raises :class:`batcher.errors.DataDirError`."""
    for kind, some in _by_kind(names).items():
        requests.ask(directory, kind, some)


def is_asked(directory: DataDirectory, names: Iterable[str]) -> bool:
    """Whether one of ``names`` still waits for its batch."""
    return any(not set(some).isdisjoint(requests.asked(directory, kind)) for kind, some in _by_kind(names).items())


def _by_kind(names: Iterable[str]) -> dict[Kind, list[str]]:
    split: dict[Kind, list[str]] = {Kind.RETRY: [], Kind.REVIVE: []}
    for name in names:
        split[Kind.REVIVE if is_letter(name) else Kind.RETRY].append(name)
    return split


def prepare_asked(directory: DataDirectory, batches: Batches) -> Asked:
    """Return what the next batch needs for what is asked of it.

    Raises :class:`batcher.errors.ArchiveError` or :class:`batcher.errors.DataDirError`.
    """
    positions = asked(directory)
    retry = prepare(directory, batches, positions) if positions else Retry()
    return Asked(retry, letters.prepare(directory, batches))


def retry_here(directory: DataDirectory, names: Sequence[str]) -> None:
    """Try ``names`` again, and all that others asked for, in batches of their own.

    A dead letter is an open summary afterwards, and written by the next service. Raises
    :class:`batcher.errors.InUse` if a service runs: ask that one.
    """
    log = Log(directory.spool, directory.quarantine)
    with directory.owned(), contextlib.closing(log):
        batches = Batches(directory, log.read, rules_of_last(directory))
        batches.load()
        batches.finish()
        ask(directory, names)
        while True:
            retry, dead = prepare_asked(directory, batches)
            if not (retry.positions or len(dead)):
                return
            batches.next(Work(batches.end, batches.last.now, [], retry, letters=dead))


def tried(directory: DataDirectory, names: Sequence[str], *, since: int) -> list[Tried]:
    """Return what became of ``names`` in batches after ``since``, in their order."""
    split = _by_kind(names)
    found = [
        *lines.tried(directory, [int(name) for name in split[Kind.RETRY]], since=since),
        *letters.tried(directory, split[Kind.REVIVE], since=since),
    ]
    by_name = {each.id: each for each in found}
    return [by_name[name] for name in names]


__all__ = [
    "HEADERS", "WIDE_HEADERS", "Asked", "Failed", "Tried", "ask", "is_asked", "one", "pick", "prepare",
    "prepare_asked", "retry_here", "rows", "tried", "waiting",
]  # fmt: skip
