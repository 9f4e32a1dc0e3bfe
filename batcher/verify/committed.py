"""That what commits name is still what they named: files and changes, byte for byte.

Holds for batches of any version, also for those that cannot be computed again. Of a file that compaction has replaced
there are no bytes to compare: its rows are counted, and recomputed ones compared, as all others. Reads nothing but
the bytes.
"""

from collections.abc import Iterator

from batcher import disk, store
from batcher.archive.read import open_to_read, paths_of
from batcher.archive.tables import is_delivered
from batcher.batch import Commit, DataDirectory
from batcher.errors import DataDirError
from batcher.staging import DELIVERED, StagedFile
from batcher.store import Root
from batcher.verify.check import Check, first_difference


def check_committed(directory: DataDirectory, archive: Root, *, files: bool) -> list[Check]:
    """Return the checks over all commits that are still here; those of their ``files`` only if asked for."""
    commits = directory.commits()
    checks = [first_difference("changes of each commit = its digest", _changes(directory, commits))]
    if files:
        checks.append(first_difference("files of each commit = their digests", _files(directory, archive, commits)))
    return checks


def _changes(directory: DataDirectory, commits: list[Commit]) -> Iterator[tuple[int, str]]:
    for commit in commits:
        try:
            directory.read_changes(commit)
        except DataDirError as error:
            yield commit.batch, str(error)


def _files(directory: DataDirectory, archive: Root, commits: list[Commit]) -> Iterator[tuple[int, str]]:
    for commit in commits:
        for file in commit.files:
            data = _bytes(directory, archive, file)
            if data is not None and disk.digest(data) != file.digest:
                yield commit.batch, f"{file.table}/{file.name}: its bytes differ from the digest in commit.json"
            if data is None and not _is_rewritten(archive, file):
                yield commit.batch, f"{file.table}/{file.name}: is gone"


def _bytes(directory: DataDirectory, archive: Root, file: StagedFile) -> bytes | None:
    """A delivered file first: the staged one may be gone, or about to be."""
    roots: tuple[Root, ...] = (archive, directory.staged, archive)
    for root in roots:
        try:
            return store.read(root / file.table / file.name)
        except FileNotFoundError:
            continue
    return None


def _is_rewritten(archive: Root, file: StagedFile) -> bool:
    """Whether a delivered file's rows are in others by now: then no byte of it is left, and nothing is missing."""
    table = open_to_read(archive, file.table) if file.table in DELIVERED else None
    path = archive / file.table / file.name
    return (
        table is not None
        and is_delivered(table, file.table, path.name)
        and path not in paths_of(archive / file.table, table)
    )
