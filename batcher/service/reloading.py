"""Run a service, and follow its configuration: a changed file is applied, a wrong one told of and left alone.

What is followed is the file, however it is replaced (a mounted ConfigMap is a link to a link that is swapped), and the
directories of kubeconfigs that it names, so that clusters come and go with their files.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import structlog

from batcher import disk
from batcher.clock import Now
from batcher.errors import ConfigError
from batcher.service.loop import Service
from batcher.service.opening import opened
from batcher.settings import Settings, directories, gates_shown, kubeconfigs, waiting

RELOAD_SECONDS = 5.0
"""How often the configuration's files are looked at; a ConfigMap takes a minute to arrive anyway."""

Fingerprints = dict[Path, tuple[int, int, int]]

log = structlog.get_logger("batcher")


async def serve(
    load: Callable[[], Settings],
    source: Path,
    *,
    stop: asyncio.Event,
    now: Now,
    take_over: bool = False,
    asked: asyncio.Event | None = None,
    every: float = RELOAD_SECONDS,
) -> None:
    """Run a service with the settings that ``load`` reads from ``source``, and again when that changes.

    It is looked at ``every`` so many seconds, and read again whenever ``asked`` is set. A file that is wrong is told
    of, and the settings before stay.
    """
    before = disk.fingerprint(source)
    settings = load()
    looked = {source: before} | fingerprints(settings)
    with opened(settings, now=now, take_over=take_over) as service:
        log.info(
            "started",
            data_dir=str(settings.data_dir),
            clusters=len(service.settings.clusters),
            feature_gates=gates_shown(settings.feature_gates),
        )
        _tell_of_clusters(service)
        following = _Following(service, load, source, looked)
        async with asyncio.TaskGroup() as group:
            reloading = group.create_task(following.run(asked or asyncio.Event(), every))
            await service.run(stop)
            reloading.cancel()
        log.info("stopped", batch=service.status.batch)


def fingerprints(settings: Settings) -> Fingerprints:
    """Return what changes when a kubeconfig of a directory comes, goes or is replaced."""
    found: Fingerprints = {}
    for entry in directories(settings):
        with contextlib.suppress(OSError):  # what cannot be read is told of by who connects
            found |= {path: disk.fingerprint(path) for path in kubeconfigs(entry.directory)}
    return found


class _Following:
    """What of the configuration was looked at last, and the service that it is applied to."""

    def __init__(self, service: Service, load: Callable[[], Settings], source: Path, looked: Fingerprints) -> None:
        self._service = service
        self._load = load
        self._source = source
        self._looked = looked

    async def run(self, asked: asyncio.Event, every: float) -> None:
        """Apply what changes, for ever; what is refused is tried again, for what it names may come later than it."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), every)
            # Looked at before it is read, so that what changes in between is read again.
            found = {self._source: disk.fingerprint(self._source)} | fingerprints(self._service.settings)
            if found != self._looked or asked.is_set() or self._service.refused:
                self._looked = found
                asked.clear()
                reload(self._service, self._load)


def reload(service: Service, load: Callable[[], Settings]) -> None:
    """Read the settings again and apply them to ``service``, or say why not and change nothing."""
    try:
        service.apply(load())
    except ConfigError as error:
        trouble = f"{error.source}: {'; '.join(error.problems)}"
        if trouble != service.refused:
            log.warning("configuration refused; the one before stays", source=error.source, problems=error.problems)
        service.refused = trouble
    else:
        service.refused = ""
        log.info("configuration reloaded", clusters=len(service.settings.clusters))
        _tell_of_clusters(service)


def _tell_of_clusters(service: Service) -> None:
    for name in waiting(service.settings):
        log.warning("no directory has this cluster; its entry waits for it", cluster=name)
    if service.left_out:
        log.warning("clusters are left out, because their kubeconfigs are of no use", why=service.left_out)
