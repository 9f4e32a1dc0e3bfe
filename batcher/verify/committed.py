"""That what commits name is still what they named: files and changes, byte for byte.

Holds for batches of any version, also for those that cannot be computed again. Reads nothing but the bytes.
"""

from collections.abc import Iterator
from pathlib import Path

from batcher import disk
from batcher.batch import Commit, DataDirectory
from batcher.errors import DataDirError
from batcher.staging import StagedFile
from batcher.verify.check import Check, first_difference


def check_committed(directory: DataDirectory, archive: Path, *, files: bool) -> list[Check]:
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


def _files(directory: DataDirectory, archive: Path, commits: list[Commit]) -> Iterator[tuple[int, str]]:
    for commit in commits:
        for file in commit.files:
            data = _bytes(directory, archive, file)
            if data is None:
                yield commit.batch, f"{file.table}/{file.name}: is gone"
            elif disk.digest(data) != file.digest:
                yield commit.batch, f"{file.table}/{file.name}: its bytes differ from the digest in commit.json"


def _bytes(directory: DataDirectory, archive: Path, file: StagedFile) -> bytes | None:
    """A delivered file first: the staged one may be gone, or about to be."""
    for root in (archive, directory.staged, archive):
        try:
            return (root / file.table / file.name).read_bytes()
        except FileNotFoundError:
            continue
    return None
