"""Run a service, and follow its configuration: a changed file is applied, a wrong one told of and left alone.

What is followed is the file, however it is replaced (a mounted ConfigMap is a link to a link that is swapped), and the
directories of kubeconfigs that it names, so that clusters come and go with their files.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from pathlib import Path

import structlog

from batcher import disk
from batcher.clock import Now
from batcher.errors import ConfigError, InUse
from batcher.service.leading import led
from batcher.service.loop import Service
from batcher.service.opening import opened
from batcher.settings import Settings, directories, gates_shown, kubeconfigs, waiting
from batcher.status import Leadership

RELOAD_SECONDS = 5.0
"""How often the configuration's files are looked at; a ConfigMap takes a minute to arrive anyway."""
LOCK_SECONDS = 1.0
"""How often a leader looks whether the one before has left the data directory."""

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

    Where a leader is elected, only while this process is the one (:mod:`.leading`). The file is looked at ``every`` so
    many seconds, and read again whenever ``asked`` is set. One that is wrong is told of, and the settings before stay.
    """
    run = functools.partial(
        _run, load, source, now=now, take_over=take_over, asked=asked or asyncio.Event(), every=every
    )
    settings = load()
    if settings.leader_election.enabled:
        await led(settings, run, stop=stop, now=now)
    else:
        await run(stop, lambda: None)


async def _run(
    load: Callable[[], Settings],
    source: Path,
    stop: asyncio.Event,
    leadership: Callable[[], Leadership | None],
    *,
    now: Now,
    take_over: bool,
    asked: asyncio.Event,
    every: float,
) -> None:
    """Run a service with the settings as they are now: who waited for the Lease may have waited for days."""
    before = disk.fingerprint(source)
    settings = load()
    looked = {source: before} | fingerprints(settings)
    with contextlib.ExitStack() as stack:
        service = await _opened(stack, settings, stop, now=now, take_over=take_over)
        if service is None:
            return
        service.leadership = leadership
        log.info(
            "started",
            data_dir=str(settings.data_dir),
            clusters=len(service.settings.clusters),
            feature_gates=gates_shown(settings.feature_gates),
        )
        _tell_of_clusters(service)
        following = _Following(service, load, source, looked)
        async with asyncio.TaskGroup() as group:
            reloading = group.create_task(following.run(asked, every))
            await service.run(stop)
            reloading.cancel()
        log.info("stopped", batch=service.status.batch)


async def _opened(
    stack: contextlib.ExitStack, settings: Settings, stop: asyncio.Event, *, now: Now, take_over: bool
) -> Service | None:
    """Return the service, recovered in a thread, because meanwhile a Lease must be renewed; None if told to stop.

    A new leader may come before the one that lost the Lease has ended: then it waits for the lock of the directory.
    """
    while not stop.is_set():
        try:
            return await asyncio.to_thread(stack.enter_context, opened(settings, now=now, take_over=take_over))
        except InUse as error:
            if not settings.leader_election.enabled:
                raise
            log.warning("leading, and waiting for the data directory", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOCK_SECONDS)
    return None


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
