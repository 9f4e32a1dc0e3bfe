"""The bound of the quarantine: how large it is, what of it can be let go, and who fills it.

What is kept is kept for somebody to look at and to try again. Bytes that nobody will ask for any more go first, when
there is too much: those of lines that left quarantine, and the parts of lines that were too broken to be tried again
and came once more by a list. Their rows stay, so that the sums can be added up again. If that is not enough, whoever
has lines here must not bring more. Nothing here stops anybody.
"""

from typing import NamedTuple

import polars as pl

from batcher import disk
from batcher.batch.directory import DataDirectory
from batcher.batch.quarantine import collected, kept_paths, left, quarantined, retries
from batcher.decode import RETRIABLE
from batcher.schema import QUARANTINE, completed
from batcher.staging import DATED_BY, encoded_quickly


class Fullness(NamedTuple):
    """The quarantine at a moment."""

    bytes: int
    released: int
    """Bytes that were let go."""
    held: dict[str, str]
    """If it is too large: the clusters that have lines in it, by uid, with their names."""


def look(directory: DataDirectory, *, through: int, max_bytes: int) -> Fullness:
    """Return how full the quarantine is after batch ``through``; let go what nobody needs if it is too large.

    Raises :class:`DataDirError` if it cannot be read, and :class:`OSError` if the disk takes nothing.
    """
    before = _size(directory)
    if before <= max_bytes:
        return Fullness(before, 0, {})
    _release(directory, through)
    now = _size(directory)
    return Fullness(now, before - now, _waiting(directory, through) if now > max_bytes else {})


def _size(directory: DataDirectory) -> int:
    """Bytes on disk: of the lines, and of what was no frame of the spool."""
    files = [*kept_paths(directory, "quarantine", 2**62), *directory.quarantine.iterdir()]
    return sum(path.stat().st_size for path in files)


def _release(directory: DataDirectory, through: int) -> None:
    """Write the files of batches that can no longer be run again without the bytes that nobody needs."""
    gone = collected(left(retries(directory, through)).select("position"))["position"]
    is_done = pl.col("position").is_in(gone.implode()) | ~pl.col("cause").is_in(RETRIABLE)
    oldest = next(iter(directory.commits()), None)
    for path in kept_paths(directory, "quarantine", oldest.batch - 1 if oldest else through):
        rows = completed(collected(pl.scan_parquet(path, hive_partitioning=False)), QUARANTINE)
        kept = rows.with_columns(line=pl.when(is_done).then(pl.lit(b"")).otherwise("line"))
        if not kept.equals(rows):
            disk.write_file(path, encoded_quickly(kept, timed_by=DATED_BY["quarantine"]))


def _waiting(directory: DataDirectory, through: int) -> dict[str, str]:
    """Clusters with lines that have not left quarantine."""
    tried = left(retries(directory, through)).select("position")
    waiting = quarantined(directory, through).join(tried, on="position", how="anti")
    return dict(collected(waiting.select("cluster_uid", "cluster").unique().sort("cluster_uid", "cluster")).iter_rows())
