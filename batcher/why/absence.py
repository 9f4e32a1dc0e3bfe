"""What may explain that nothing of an object or Event was received."""

import difflib
from collections.abc import Iterable

import msgspec
import polars as pl

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.events import Selection
from batcher.events.chosen import condition
from batcher.failed import Failed
from batcher.text import safe
from batcher.why.meanings import Answer, Because
from batcher.why.rows import Asked

_MOST = 3
_MOST_NAMES = 10_000


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """What may explain that nothing was received."""

    clusters: list[str]
    """That were heard of."""
    gaps: list[str]
    """Times that nobody listened to one of them for too long."""
    quarantined: list[str]
    """Lines that could not be counted, and have the name in them."""
    nearest: list[str]
    """Objects or Events that are called alike."""


def not_received(absence_: Absence, *, runs: bool) -> Answer:
    """Return the answer; ``runs`` is whether the service does."""
    if absence_.quarantined:
        what = "It may have been received and not understood: a line in quarantine has its name."
        return Answer(Because.NOT_RECEIVED, what, f"look at it: batcher failed show {absence_.quarantined[0]}")
    what = "It was not received: no revision of it is in the archive, or staged for it."
    check = "check name, -n, --cluster and --since; batcher status says whether its cluster is connected"
    to_do = f"check the name; there are: {', '.join(absence_.nearest)}" if absence_.nearest else check
    return Answer(Because.NOT_RECEIVED, what, to_do if runs else f"start the service, which does not run; {to_do}")


def absence(directory: DataDirectory, what: Asked, clocks: pl.DataFrame, broken: Iterable[Failed]) -> Absence:
    """Return what may explain that ``what`` was not received; ``broken`` is all that failed."""
    name = what.event or (what.selection.about.name if what.selection.about else "")
    lines = [each.id for each in broken if each.kind == "line" and name and name.encode() in each.line]
    return Absence(
        clusters=sorted(clocks["cluster"].unique()),
        gaps=_gaps(directory, what),
        quarantined=lines[:_MOST],
        nearest=_nearest(directory, what, name),
    )


def _gaps(directory: DataDirectory, what: Asked) -> list[str]:
    def look() -> pl.DataFrame:
        table = scan(directory.archive, "gaps", staged_paths(directory)["gaps"], since=what.selection.since)
        of_cluster = condition(Selection(cluster=what.selection.cluster))
        return table.filter(of_cluster).sort("from_at").select("cluster", "from_at", "to_at").collect()

    rows = settled(look).iter_rows()
    return [f"{cluster} {begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}" for cluster, begin, end in rows]


def _nearest(directory: DataDirectory, what: Asked, name: str) -> list[str]:
    column = "name" if what.event else "regarding_name"

    def look() -> list[str]:
        staged = staged_paths(directory)["occurrences"]
        rows = scan(directory.archive, "occurrences", staged, since=what.selection.since)
        same = rows.filter(condition(what.selection._replace(about=None)))
        return same.select(pl.col(column).unique()).head(_MOST_NAMES).collect(engine="in-memory")[column].to_list()

    return [safe(near) for near in difflib.get_close_matches(name, settled(look), n=_MOST)]
