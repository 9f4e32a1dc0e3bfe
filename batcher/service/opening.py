"""From a data directory and a configuration to a service that is ready to run: lock, recover, take over."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import structlog

from batcher import disk
from batcher.archive import Deliverer, check_owner, remains
from batcher.batch import Batches, DataDirectory
from batcher.batch.records import NOTHING
from batcher.clock import Now, to_micros
from batcher.pipeline import Rules
from batcher.publish import Publisher
from batcher.service.destination import Destination
from batcher.service.holding import Holding
from batcher.service.loop import Edges, Service
from batcher.service.wiring import Specs, archive_root, redactor_of, rules_of
from batcher.settings import Settings, find_clusters
from batcher.spool.log import Log, Recovered
from batcher.spool.writer import SpoolWriter
from batcher.store import Root
from batcher.watch import Fleet

SEGMENTS_AT_LEAST = 8
"""Into so many segments the spool's bound is cut, because only a whole segment can be retired."""

log = structlog.get_logger("batcher")


@contextlib.contextmanager
def opened(settings: Settings, *, now: Now, take_over: bool = False) -> Iterator[Service]:
    """Take the data directory, recover what a crash left, and return a service that is ready to run.

    With ``take_over``, a new data directory becomes the owner of an archive that has another.

    Raises :class:`batcher.errors.ConfigError`, :class:`batcher.errors.DataDirError` or
    :class:`batcher.errors.ArchiveError` before anything is sent.
    """
    settings = find_clusters(settings)
    root = archive_root(settings)
    specs = Specs()
    clusters = specs.of(settings)
    destination = Destination(settings)
    directory = DataDirectory(settings.data_dir, storage=settings.archive.storage)
    segment = settings.spool.max_bytes // SEGMENTS_AT_LEAST
    raw = Log(directory.spool, directory.quarantine, segment_bytes=segment)
    with directory.owned(), contextlib.closing(raw) as spool:
        check_owner(root, directory.id, take_over=take_over and directory.is_new)
        batches = Batches(directory, spool.read, rules_of(settings))
        with disk.trusted(f"recovering {directory.root}"):
            directory.write_archive(root)
            batches.load()
            if directory.is_new:
                scopes = {cluster.name: cluster.namespaces or [""] for cluster in settings.clusters}
                go_on(batches, root, rules=rules_of(settings), scopes=scopes, now=now())
            recovered = _recovered(batches, spool)
        writer = SpoolWriter(
            spool, recovered, now=now, max_bytes=settings.spool.max_bytes, redact=redactor_of(settings)
        )
        holding = Holding(writer)
        edges = Edges(
            specs,
            holding,
            Fleet(clusters, sink=holding, cursors=lambda: spool.cursors, now=now),
            Publisher(
                destination.delivery,
                now=now,
                per_second=settings.publish.per_workspace_per_second,
                max_pending=settings.publish.max_pending,
            ),
            destination,
            Deliverer(root, directory.staged, directory.id, last=batches.last.batch),
        )
        yield Service(settings, batches, writer, spool, edges=edges, now=now)


def go_on(batches: Batches, root: Root, *, rules: Rules, scopes: Mapping[str, Sequence[str]], now: datetime) -> None:
    """Begin a new directory with what its archive has: nothing, or the rows of one that was lost.

    Not asked for by the flag but by what is there: a crash may have come after the owner was replaced.
    """
    found = remains(root, rules=rules, scopes=scopes, now=now)
    if found is None:
        return
    before = msgspec.structs.replace(NOTHING, batch=found.batch, end=found.end, totals=found.totals)
    commit = batches.begin(before, found.result, now=to_micros(found.now))
    log.warning("took over the archive of a lost data directory", after=before.batch, **commit.sums)


def _recovered(batches: Batches, spool: Log) -> Recovered:
    """Make the spool ready, and run the plan that a crash left without commit."""
    recovered = spool.recover(batches.end, batches.planned, batches.streams)
    for sentence in recovered.damaged:
        log.error("spool damaged", found=sentence)
    batches.finish()
    # A clock that jumped back while the process was down must not date a line before a batch's now.
    recovered.last_received_at = max(recovered.last_received_at, batches.last.now)
    return recovered
