"""The demo: a scripted outage in simulated clusters, the whole service, and a report of what came of it.

Everything is real but the API servers: sockets, spool, batches, archive, writes. The data directory is left
behind to be looked at; the next demo replaces it. Printing is the caller's.
"""

import asyncio
import dataclasses
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import structs, to_builtins

from batcher import disk
from batcher.batch import DataDirectory
from batcher.clock import Now
from batcher.errors import DataDirError
from batcher.incidents import Incident, found
from batcher.sandbox.cluster import Cluster
from batcher.sandbox.replay import Dump
from batcher.sandbox.scenario import CLUSTERS, NAMESPACES, WORKSPACES, Emitter, play
from batcher.sandbox.simulation import Sandbox
from batcher.service import Service, opened
from batcher.settings import API_VERSION, Settings, validate
from batcher.status import ClusterStatus
from batcher.store import Root
from batcher.verify import Check, verify

_MARK = "demo"
_CATCH_UP = timedelta(seconds=30)


@dataclass(frozen=True)
class Options:
    """How to play: for how long, how many happenings a minute, or which dump instead of the script."""

    duration: timedelta
    rate: int
    data_dir: Path
    replay: Dump | None = None


@dataclass(frozen=True)
class Report:
    """What came of it: totals as the service has them, and the truth as the simulator has it."""

    totals: dict[str, int]
    true_occurrences: int
    clusters: list[ClusterStatus]
    """As they were before the end."""
    workspaces: dict[str, list[dict[str, Any]]]
    """Path -> its Events, newest first."""
    incidents: list[Incident]
    checks: list[Check]
    archive: Root
    kubeconfig: Path

    @property
    def exact(self) -> bool:
        """Whether the service counted what truly happened."""
        return self.totals["occurrences"] == self.true_occurrences

    @property
    def verified(self) -> bool:
        """Whether every sum holds."""
        return all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return the report as one object of plain values."""
        names = ("received", "revisions", "occurrences", "repeats", "ignored", "quarantined")
        return {
            **{name: self.totals[name] for name in names},
            "summaries": self.totals["opened"],
            "published": self.totals["writes"],
            "dead_lettered": self.totals["dead_lettered"],
            "true_occurrences": self.true_occurrences,
            "exact": self.exact,
            "verified": self.verified,
            "incidents": [to_builtins(incident) for incident in self.incidents],
            "archive": str(self.archive),
        }


class Demo:
    """One demo; :attr:`service` and :attr:`sandbox` may be watched while :meth:`run` runs."""

    def __init__(self, options: Options, *, now: Now) -> None:
        """Prepare the data directory. Raises :class:`DataDirError` if it holds something else than a demo's."""
        self._options = options
        self._now = now
        self._stop = asyncio.Event()
        self.service: Service | None = None
        self._clusters: list[ClusterStatus] = []
        self.emitter = Emitter({})
        _replace(options.data_dir)

    def stop(self) -> None:
        """Play nothing more, and come to the report."""
        self._stop.set()

    async def run(self) -> Report:
        """Play to the end, let everything settle, verify, and report."""
        options = self._options
        workspaces = {path: [*names, *self._extra_namespaces(path)] for path, names in WORKSPACES.items()}
        async with Sandbox(CLUSTERS, workspaces, now=self._now) as sandbox:
            kubeconfig = options.data_dir / "kubeconfig"
            sandbox.write_kubeconfig(kubeconfig)
            for cluster in sandbox.clusters.values():
                for namespace in NAMESPACES[:-1]:
                    cluster.create_namespace(namespace)
            self.emitter = Emitter(sandbox.clusters)
            settings = demo_settings(options.data_dir, kubeconfig, owner="root:shop" if options.replay else None)
            with opened(settings, now=self._now) as service:
                self.service = service
                await self._serve(service, sandbox)
            return self._report(service, sandbox, kubeconfig)

    def _extra_namespaces(self, path: str) -> list[str]:
        return ["default"] if self._options.replay and path == "root:shop" else []

    async def _serve(self, service: Service, sandbox: Sandbox) -> None:
        finish = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(service.run(finish, settle=True))
            if self._options.replay:
                self._options.replay.play(sandbox.clusters[CLUSTERS[0]], now=self._now())
            else:
                await self._play(sandbox)
            await self._caught_up(service, sandbox)
            watches = {cluster.name: cluster.watch for cluster in service.status.clusters}
            finish.set()
        self._clusters = [structs.replace(c, watch=watches[c.name]) for c in service.status.clusters]

    async def _play(self, sandbox: Sandbox) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        broken = False
        for happening in play(duration=self._options.duration, rate=self._options.rate):
            if await self._wait(start + happening.at.total_seconds() - loop.time()):
                return
            if happening.at > self._options.duration / 2 and not broken:
                broken = True
                _expire_watch(sandbox.clusters[CLUSTERS[0]])
            self.emitter.emit(happening, self._now())
        await self._wait(start + self._options.duration.total_seconds() - loop.time())

    async def _wait(self, seconds: float) -> bool:
        """Wait, and return whether the demo was stopped meanwhile."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stop.wait()
            except TimeoutError:
                pass
        return self._stop.is_set()

    async def _caught_up(self, service: Service, sandbox: Sandbox) -> None:
        """Return when every cluster's newest revision is in the spool."""
        newest = {cluster.uid: cluster.latest_revision for cluster in sandbox.clusters.values()}
        async with asyncio.timeout(_CATCH_UP.total_seconds()):
            while any(service.revision(uid) < revision for uid, revision in newest.items()):  # noqa: ASYNC110  once
                await asyncio.sleep(0.05)

    def _report(self, service: Service, sandbox: Sandbox, kubeconfig: Path) -> Report:
        directory = DataDirectory(self._options.data_dir)
        replay = self._options.replay
        return Report(
            totals=service.status.totals,
            true_occurrences=replay.occurrences if replay else self.emitter.occurrences,
            clusters=self._clusters,
            workspaces={path: _newest_first(w.events()) for path, w in sandbox.kcp.workspaces.items()},
            incidents=found(directory),
            checks=verify(directory, directory.archive),
            archive=directory.archive,
            kubeconfig=kubeconfig,
        )


def demo_settings(data_dir: Path, kubeconfig: Path, *, owner: str | None) -> Settings:
    """Return the settings that the demo's service runs with; ``owner`` is the clusters' own workspace."""
    document = {
        "apiVersion": API_VERSION,
        "kind": "BatcherConfig",
        "dataDir": str(data_dir),
        "clusters": [{"name": n, "kubeconfig": str(kubeconfig), "context": n, "workspace": owner} for n in CLUSTERS],
        "kcp": {"kubeconfig": str(kubeconfig), "context": "root:shop", "workspaces": [{"path": "root:*"}]},
        "mapping": {"rules": [
            {"namespace": "web", "workspace": "root:shop"},
            {"namespace": "jobs", "workspace": "root:team-a"},
            {"namespace": "default", "workspace": "root:shop"},
        ]},
        "batch": {"interval": "1s"},
        "archive": {"path": str(data_dir / "archive"), "interval": "5s"},
        "publish": {"rewriteAfter": "10s"},
    }  # fmt: skip
    return validate(document, "demo")


def _expire_watch(cluster: Cluster) -> None:
    """Make a cluster forget its history and say so, as etcd's compaction does: everything is listed again."""
    cluster.compact()
    gone = b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","code":410}}\n'
    cluster.faults = dataclasses.replace(cluster.faults, inserts=(gone,))


def _newest_first(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda event: (event["lastTimestamp"] or "", event["metadata"]["name"]), reverse=True)


def _replace(data_dir: Path) -> None:
    if data_dir.exists() and any(data_dir.iterdir()):
        if not (data_dir / _MARK).exists():
            message = f"{data_dir}: not empty, and not a demo's; give another --data-dir"
            raise DataDirError(message)
        with disk.lock(data_dir / "lock"):
            shutil.rmtree(data_dir)
    try:
        disk.make_directory(data_dir)
        disk.write_file(data_dir / _MARK, b"replaced by the next batcher demo\n")
    except OSError as error:
        message = f"{data_dir}: {error.strerror}; give a writable --data-dir"
        raise DataDirError(message) from None


__all__ = ["Demo", "Options", "Report", "demo_settings"]
