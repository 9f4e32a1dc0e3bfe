"""The loop: what is wired to what, when a batch runs, and how it all stops.

The timetable only says when; the work runs in loops that belong to one task group, so that a failure ends the
process instead of a log line. Batches run in a thread, because polars computes while sockets are read.
"""

import asyncio
import contextlib
import functools
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import polars as pl
import structlog

from batcher import disk
from batcher.archive import Deliverer
from batcher.batch import Batches, Commit, DataDirectory, Work, requests
from batcher.batch.full import look
from batcher.batch.quarantine import LINES_A_BATCH, causes
from batcher.batch.requests import Kind
from batcher.clock import Now, from_micros, monotonic
from batcher.decode import revisions
from batcher.durations import Durations
from batcher.errors import ArchiveError, DataDirError, Unavailable
from batcher.failed import Asked, prepare_asked
from batcher.namespaces import OF_OBJECTS, counted, flawed
from batcher.pipeline import State
from batcher.publish import Publisher
from batcher.serve import Health, serving
from batcher.service.destination import Destination
from batcher.service.detached import detached, over
from batcher.service.holding import Holding
from batcher.service.keeping import Keeping
from batcher.service.offering import has_none, offers, record, unpublished_since
from batcher.service.proving import EVERY as PROVE_EVERY
from batcher.service.proving import Proving
from batcher.service.retiring import Retiring
from batcher.service.timetable import SOON, Timetable
from batcher.service.wiring import Specs, redactor_of, rules_of
from batcher.settings import Gate, Settings, find_clusters, refuse_fixed
from batcher.spool import Stream
from batcher.spool.log import Log
from batcher.spool.writer import SpoolWriter
from batcher.stages.carry import is_due_to_change
from batcher.stages.correlate import formed, is_silent, stages_of
from batcher.stages.missing import missing
from batcher.stages.redefine import redefined
from batcher.status import (
    ClusterStatus,
    CredentialStatus,
    Leadership,
    Status,
    WorkspaceStatus,
    samples,
    write_status,
)
from batcher.telemetry import BATCH_BOUNDS
from batcher.watch import ClusterStatus as WatchStatus
from batcher.watch import Fleet

log = structlog.get_logger("batcher")

LAST_DELIVERY_SECONDS = 15.0
"""Of the 30 that a Pod has for its end unless it says otherwise; a store that answers takes one or two."""

_COUNTED = ("events", "occurrences", "warnings", "lag_ms", "publish_lag_ms")


class Edges(NamedTuple):
    """What of a service talks to others: source clusters, kcp, the archive."""

    specs: Specs
    holding: Holding
    fleet: Fleet
    publisher: Publisher
    destination: Destination
    deliverer: Deliverer


@dataclass
class _Noted:
    """What is noted of a service's work to be told of, and decides nothing."""

    batched_at: datetime | None = None
    durations: Durations = field(default_factory=functools.partial(Durations, BATCH_BOUNDS))
    causes: dict[str, int] = field(default_factory=dict)
    flawed: dict[str, dict[str, int]] = field(default_factory=dict)
    flawed_objects: dict[str, dict[str, int]] = field(default_factory=dict)


class Service:
    """A running batcher. Make it with :func:`opened`."""

    refused = ""
    """Why the newest configuration is not the one in use; empty if it is."""

    def __init__(
        self,
        settings: Settings,
        batches: Batches,
        writer: SpoolWriter,
        spool: Log,
        *,
        edges: Edges,
        now: Now,
    ) -> None:
        """Wire the parts; nothing runs yet."""
        self._settings = settings
        self._directory = DataDirectory(settings.data_dir, storage=settings.archive.storage)
        self._batches = batches
        self._writer = writer
        self._spool = spool
        self._now = now
        self._specs, self._holding, self._fleet, self._publisher, self._destination, self._deliverer = edges
        self._timetable = Timetable()
        self._one_batch = asyncio.Lock()
        self._batch_due = asyncio.Event()
        self._delivery_due = asyncio.Event()
        self._keeping_due = asyncio.Event()
        self._keeping = Keeping(self._directory.root, now=now)
        self._proof_due = asyncio.Event()
        self._proving = Proving(self._directory.root, now=now)
        self._noted = _Noted()
        self._archive_trouble = ""
        self.leadership: Callable[[], Leadership | None] = lambda: None
        """What there is to say of the Lease by which this one runs."""
        self._batch_trouble = ""
        self._unfinished: Work | None = None
        self._retiring = Retiring(self._directory, spool)
        self._quarantine_changed = True
        self._settings_changed = False

    async def run(self, stop: asyncio.Event, *, settle: bool = False) -> None:
        """Run until ``stop`` is set; then commit and deliver what was received, and return.

        With ``settle``, every summary's newest totals are written before, however recent the last write.
        """
        async with self._serving(), asyncio.TaskGroup() as group:
            watching = group.create_task(self._fleet.run(self))
            others = [
                group.create_task(work)
                for work in (
                    self._writer.run(),
                    self._publisher.run(),
                    self._destination.targets.run(self._publisher.appeared),
                    self._loop(self._batch_due, self._run_batches),
                    self._loop(self._delivery_due, self._deliver),
                    self._loop(self._keeping_due, self._keep),
                    self._loop(self._proof_due, self._proving.turn),
                )
            ]
            self._timetable.start(self._every(), self._first())
            await stop.wait()
            watching.cancel()
            await asyncio.wait([watching])
            await self._writer.durable()
            await (self.settle() if settle else self._run_batches())
            await self._timetable.end()
            await self._deliver_last()
            for task in others:
                task.cancel()
        await self._destination.targets.close()
        write_status(self._settings.data_dir, msgspec.structs.replace(self.status, stopped=True))

    def _serving(self) -> AbstractAsyncContextManager[object]:
        serve = self._settings.serve
        if serve.port is None:
            return contextlib.nullcontext()
        return serving(serve.address, serve.port, samples=lambda: samples(self.status), health=self.health)

    def _every(self) -> dict[asyncio.Event, timedelta]:
        return {
            self._batch_due: self._settings.batch.interval,
            self._delivery_due: self._settings.archive.interval,
            self._keeping_due: self._settings.archive.compact_every,
            self._proof_due: PROVE_EVERY,
        }

    def _first(self) -> dict[asyncio.Event, timedelta]:
        """After how long what comes seldom is due for the first time."""
        keep = min(self._settings.archive.compact_every, SOON)
        return {self._keeping_due: keep, self._proof_due: max(SOON, self._proving.due_in())}

    @staticmethod
    async def _loop(due_now: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await due_now.wait()
            due_now.clear()
            await work()

    async def _run_batches(self) -> None:
        """Run batches until the spool has less than a full one, then offer what is due."""
        while await self._run_batch():
            pass
        if not self._unfinished:
            self._noted.batched_at = self._now()
        await self._look_at_quarantine()
        self._offer(everything=False)
        write_status(self._settings.data_dir, self.status)

    async def _run_batch(self) -> bool:
        async with self._one_batch:
            if self._unfinished:
                return await self._commit(self._unfinished)
            cut = self._writer.cut(self._batches.end, self._settings.batch.max_rows)
            outcomes = [record(outcome) for outcome in self._publisher.take_outcomes()]
            resync = sorted(self._restored() | set(requests.asked(self._directory, Kind.RESYNC)))
            retry, letters = await self._asked_for()
            stuck = self._writer.full and not self._batches.undelivered
            retire = self._retiring.due(self._batches)
            asked_something = retry.positions or resync or len(letters) or retire.snapshot
            if not (cut.lines or outcomes or asked_something or stuck or self._something_closes(cut.now)):
                return False
            snapshot = stuck or retire.snapshot
            work = Work(cut.end, cut.now, outcomes, retry, resync, letters, snapshot, retire.answered)
            many = LINES_A_BATCH in {len(retry.positions), len(letters)}
            return await self._commit(work) and (many or cut.is_full)

    def _restored(self) -> set[str]:
        """Workspaces whose kcp has forgotten writes, as far as that is to be answered without being asked."""
        restored = self._publisher.take_restored()
        return restored if self._settings.enabled(Gate.AUTOMATIC_RESYNC) else set()

    async def _commit(self, work: Work) -> bool:
        """Run a batch; say whether the disk took it. If not, it is the next one's again: its outcomes are in it."""
        began, before = monotonic(), self._batches.state
        try:
            commit = await asyncio.to_thread(self._batches.next, work)
        except Unavailable as error:
            self._unfinished, self._batch_trouble = work, str(error)
            log.warning("the disk takes no batch; it is tried again", error=str(error))
            return False
        self._unfinished, self._batch_trouble = None, ""
        self._noted.batched_at = self._now()
        if work.resync:
            self._publisher.forget(work.resync)
            log.info("open summaries are written again", workspaces=list(work.resync))
        if commit.sums["dead_lettered"]:
            self._publisher.keep(set(self._batches.state["open_summaries"]["summary"]))
        seconds = monotonic() - began
        self._noted.durations.took(seconds)
        _log_batch(commit, seconds)
        self._log_flawed()
        _log_redefined(before, self._batches.state)
        self._quarantine_changed |= bool(commit.sums["quarantined"] or commit.sums["retried"])
        return True

    def _log_flawed(self) -> None:
        """Say so when it changes how many namespaces are not believed: each is somebody's whose Events go nowhere."""
        before, self._noted.flawed = self._noted.flawed, flawed(self._namespaces)
        if self._noted.flawed != before:
            log.warning(
                "namespaces that are not believed; see: batcher mapping list --flawed", flawed=self._noted.flawed
            )
        before, self._noted.flawed_objects = self._noted.flawed_objects, flawed(self._objects)
        if self._noted.flawed_objects != before:
            log.warning("objects whose labels of api-syncagent are not believed", flawed=self._noted.flawed_objects)

    @property
    def _namespaces(self) -> dict[str, dict[str, int]]:
        """How many namespaces each cluster has, by flaw; none where locators are not trusted."""
        trusted = "locator" in self._settings.mapping.trust
        return counted(self._batches.state["claims"]) if trusted else {}

    @property
    def _objects(self) -> dict[str, dict[str, int]]:
        """How many objects each cluster has that say whose they are, by flaw; none where they are not trusted."""
        trusted = "syncagent" in self._settings.mapping.trust
        return counted(self._batches.state["objects"], OF_OBJECTS) if trusted else {}

    async def _look_at_quarantine(self) -> None:
        """Let no cluster fill the quarantine beyond its bound; what cannot be looked at now is left as it was."""
        if not self._quarantine_changed:
            return
        most = self._settings.quarantine.max_bytes
        try:
            with disk.trusted("looking at the quarantine"):
                through = self._batches.last.batch
                found = await asyncio.to_thread(look, self._directory, through=through, max_bytes=most)
                self._noted.causes = await asyncio.to_thread(causes, self._directory, through)
        except (DataDirError, Unavailable) as error:
            log.warning("quarantine cannot be looked at", error=str(error))
            return
        self._quarantine_changed = False
        self._holding.apply(found, most)

    async def _asked_for(self) -> Asked:
        """Return what the next batch tries again; nothing while what that needs cannot be read."""
        try:
            return await asyncio.to_thread(prepare_asked, self._directory, self._batches)
        except (ArchiveError, DataDirError) as error:
            log.warning("retries wait", error=str(error))
            return Asked()

    def _something_closes(self, now: int) -> bool:
        at, rules, state = from_micros(now), rules_of(self._settings), self._batches.state
        closing = state["open_summaries"].lazy().filter(is_due_to_change(at, rules.bounds)).select("summary")
        over = stages_of(state["members"].lazy(), over=is_silent(at, rules.correlation_window)).filter("is_over")
        due = pl.concat([closing, over.select("summary")]).head(1)
        return not due.collect().is_empty()

    def _offer(self, *, everything: bool) -> None:
        """Hand the publisher what is due; with ``everything``, all that is not in its workspace yet."""
        publish = self._settings.publish
        wait = timedelta(0) if everything else publish.rewrite_after
        writes = offers(
            self._batches.state,
            now=self._now(),
            look=rules_of(self._settings).look,
            rewrite_after=wait,
            rewrite_most=publish.rewrite_most,
            has=has_none if self._settings_changed else self._publisher.has,
        )
        self._settings_changed = False
        self._publisher.offer(writes)

    async def settle(self) -> None:
        """Batch what is here, write every summary's newest totals, and batch the outcomes."""
        await self._run_batches()
        self._offer(everything=True)
        await self._publisher.drain()
        await self._run_batches()

    async def _deliver_last(self) -> None:
        """Deliver once more, for as long as an end may take; the next start delivers what the archive lacks then."""
        try:
            async with asyncio.timeout(LAST_DELIVERY_SECONDS):
                await self._deliver()
                await over()
        except TimeoutError:
            log.warning("archive does not answer; the next start delivers the rest")

    async def _deliver(self) -> None:
        """Deliver what is staged; an archive that is away holds up neither batches nor publishing."""
        files = list(self._batches.undelivered)
        try:
            through = await detached(functools.partial(self._deliverer.deliver, files))
        except ArchiveError as error:
            self._archive_trouble = str(error)
            log.warning("archive is away; batches and publishing go on", error=str(error))
            return
        self._archive_trouble = ""
        async with self._one_batch:
            self._forget(through)

    async def _keep(self) -> None:
        """Compact the archive, and remove what is too old; a failure is told, and the next turn goes on."""
        await self._keeping.turn(self._settings)

    def _forget(self, through: dict[str, int]) -> None:
        """Remove what the archive has; what cannot be removed now is removed after the next delivery."""
        try:
            with disk.trusted("removing what is delivered"):
                self._batches.delivered(through)
                self._spool.retire(self._batches.retire())
        except Unavailable as error:
            log.warning("delivered files stay for now", error=str(error))

    async def missing(self, stream: Stream, items: Sequence[bytes]) -> list[bytes]:
        """Return the bare Events of ``items`` whose revision no batch has counted (:class:`batcher.watch.Seen`)."""
        seen = self._batches.state["seen"].lazy()

        def look() -> list[int]:
            listed = revisions(stream.cluster_uid, items).lazy()
            found = missing(listed, seen, incarnation=stream.incarnation).collect(engine="in-memory")
            return found["index"].to_list()

        return [items[index] for index in await asyncio.to_thread(look)]

    async def settled(self) -> None:
        """Return when batches have run over everything that is on disk now."""
        await self._run_batches()

    def apply(self, settings: Settings) -> None:
        """Go on with ``settings``: clusters come and go, and rules hold from the next batch on.

        Raises :class:`ConfigError`, and changes nothing, if they differ in what a running service cannot change.
        """
        refuse_fixed(self._settings, settings)
        settings = find_clusters(settings)
        apply_destination = self._destination.prepared(settings)
        clusters = self._specs.of(settings)
        apply_destination()
        self._settings = settings
        self._settings_changed = True
        self._quarantine_changed = True
        self._fleet.apply(clusters)
        self._publisher.pace(settings.publish.per_workspace_per_second)
        self._batches.plan_with(rules_of(settings))
        self._writer.redact = redactor_of(settings)
        self._timetable.follow(self._every())

    @property
    def settings(self) -> Settings:
        """What is in use, with the clusters of its directories."""
        return self._settings

    @property
    def left_out(self) -> str:
        """Why clusters of directories are not watched; empty if all are."""
        return self._specs.trouble

    def revision(self, cluster_uid: str) -> int:
        """Return the resourceVersion up to which the Events of a cluster are on disk, 0 if none are."""
        found = [
            int(cursor)
            for stream, cursor in self._spool.cursors.items()
            if stream.cluster_uid == cluster_uid and stream.resource == "events"
        ]
        return min(found, default=0)

    @property
    def status(self) -> Status:
        """The service at this moment."""
        publishing = self._publisher.status
        return Status(
            at=self._now(),
            pid=os.getpid(),
            interval_seconds=self._settings.batch.interval.total_seconds(),
            batch=self._batches.last.batch,
            totals=dict(self._batches.last.totals),
            open_summaries=len(self._batches.state["open_summaries"]),
            open_incidents=len(formed(self._batches.state["members"].lazy()).collect()),
            pending_writes=publishing.pending,
            identities=len(self._batches.state["seen"]),
            spool_bytes=self._spool.size,
            spool_trouble=self._writer.trouble or self._batch_trouble,
            quarantine_bytes=self._holding.bytes,
            quarantine_trouble=self._holding.trouble,
            archive_trouble=self._archive_trouble,
            keeping_trouble=self._keeping.trouble,
            keeping_failures=self._keeping.failures,
            kept_at=self._keeping.kept_at,
            config_trouble=self.refused or self.left_out,
            publish_trouble=publishing.last_error if publishing.pending else "",
            clusters=self._clusters(),
            rules=self._batches.last.rules,
            batched_at=self._noted.batched_at,
            batch_seconds=self._noted.durations.seconds,
            batch_counts=tuple(self._noted.durations.counts),
            gap_at=from_micros(self._batches.last.gap_at) if self._batches.last.gap_at else None,
            unpublished_since=unpublished_since(self._batches.state),
            spool_max_bytes=self._settings.spool.max_bytes,
            quarantine_causes=self._noted.causes,
            workspaces=[
                WorkspaceStatus(name, tuple(each.counts), each.seconds, dict(each.refusals))
                for name, each in publishing.figures.items()
            ],
            credentials=list(self._credentials()),
            proved_at=self._proving.proved_at,
            proving_since=self._proving.since,
            proof_trouble=self._proving.trouble,
            leadership=self.leadership(),
        )

    def _credentials(self) -> Iterator[CredentialStatus]:
        """Those that end, as far as they say so."""
        for name, connection in self._specs.connections.items():
            for kind, ends in connection.expiries.items():
                yield CredentialStatus("cluster", name, kind, ends)
        for name, connection in self._destination.connections.items():
            for kind, ends in connection.expiries.items():
                yield CredentialStatus("workspace", name, kind, ends)
        if leadership := self.leadership():
            for kind, ends in leadership.expiries.items():
                yield CredentialStatus("lease", leadership.lease, kind, ends)

    def _clusters(self) -> list[ClusterStatus]:
        namespaces, objects = self._namespaces, self._objects
        watches = self._fleet.statuses.all.items()
        return [self._cluster(name, watch, namespaces.get(name, {}), objects.get(name, {})) for name, watch in watches]

    def _cluster(
        self, name: str, watch: WatchStatus, namespaces: dict[str, int], objects: dict[str, int]
    ) -> ClusterStatus:
        total = self._batches.last.clusters.get(name, {})
        return ClusterStatus(
            name=name,
            watch=watch.phase,
            uid=watch.uid,
            last_event_at=watch.last_event_at,
            last_contact_at=watch.last_contact_at,
            restarts=watch.restarts,
            lists=watch.lists,
            recovered=watch.recovered,
            insecure=self._specs.insecure(name),
            last_error=watch.last_error,
            namespaces=namespaces,
            objects=objects,
            **{key: total.get(key, 0) for key in _COUNTED},
        )

    def health(self) -> Health:
        """Return whether every cluster was heard of and the disk takes what is received."""
        waiting = sorted(name for name, watch in self._fleet.statuses.all.items() if watch.last_contact_at is None)
        return Health(
            {
                "spool": self._writer.trouble or self._batch_trouble,
                "clusters": f"not heard of yet: {', '.join(waiting)}" if waiting else "",
            }
        )


def _log_batch(commit: Commit, seconds: float) -> None:
    counted = {name: number for name, number in commit.sums.items() if number}
    log.info("batch", batch=commit.batch, seconds=round(seconds, 3), **counted)


def _log_redefined(before: State, after: State) -> None:
    """Say that open summaries have ended because rows are summed up otherwise from now on."""
    now = dict(after["definitions"].select("name", "value").iter_rows())
    changed = redefined(before["definitions"], now).others
    if changed:
        ended = int((~before["open_summaries"]["closed"]).sum())
        log.warning("rows are summed up otherwise; open summaries have ended", changed=[*changed], summaries=ended)
