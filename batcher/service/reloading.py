"""Run a service, and follow its configuration: a changed file is applied, a wrong one told of and left alone."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from batcher import disk
from batcher.clock import Now
from batcher.errors import ConfigError
from batcher.service.loop import Service
from batcher.service.opening import opened
from batcher.settings import Settings

RELOAD_SECONDS = 5.0
"""How often the configuration's file is looked at; a ConfigMap takes a minute to arrive anyway."""

log = structlog.get_logger("batcher")


async def serve(
    load: Callable[[], Settings], source: Path, *, stop: asyncio.Event, now: Now, take_over: bool = False
) -> None:
    """Run a service with the settings that ``load`` reads from ``source``, and again when that changes.

    A file that is wrong is told of, and the settings before stay.
    """
    before = disk.fingerprint(source)
    settings = load()
    with opened(settings, now=now, take_over=take_over) as service:
        log.info("started", data_dir=str(settings.data_dir), clusters=len(settings.clusters))
        async with asyncio.TaskGroup() as group:
            reloading = group.create_task(_reload_for_ever(service, load, source, before))
            await service.run(stop)
            reloading.cancel()
        log.info("stopped", batch=service.status.batch)


async def _reload_for_ever(
    service: Service, load: Callable[[], Settings], source: Path, before: tuple[int, int, int]
) -> None:
    while True:
        await asyncio.sleep(RELOAD_SECONDS)
        found = disk.fingerprint(source)
        if found != before:
            before = found
            reload(service, load)


def reload(service: Service, load: Callable[[], Settings]) -> None:
    """Read the settings again and apply them to ``service``, or say why not and change nothing."""
    try:
        service.apply(load())
    except ConfigError as error:
        service.told_of_configuration(f"{error.source}: {'; '.join(error.problems)}")
        log.warning("configuration refused; the one before stays", source=error.source, problems=error.problems)
    else:
        service.told_of_configuration("")
        log.info("configuration reloaded")
