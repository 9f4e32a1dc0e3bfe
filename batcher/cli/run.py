"""``batcher run``: the service."""

import asyncio
import functools
import os
import signal
from typing import Annotated

import typer

from batcher.cli.options import Config, DataDir
from batcher.errors import UsageError


def run(
    config: Config = None,
    data_dir: DataDir = None,
    archive: Annotated[str | None, typer.Option(help="The archive's folder; overrides the configuration's.")] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Go on with the archive of a data directory that is lost.")
    ] = False,
) -> None:
    """Watch, summarise, publish, until SIGTERM or Ctrl-C; then commit what was received, and end."""
    from batcher import clock, logs, settings
    from batcher.service import serve

    if config is None:
        message = "run: give --config FILE (an example: deploy/examples/one-cluster.yaml)"
        raise UsageError(message)
    flags = {"dataDir": str(data_dir) if data_dir else None, "archive.path": archive}
    load = functools.partial(settings.load, config, os.environ, flags)
    log = load().log
    logs.configure(log.format, log.level)

    async def until_told() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await serve(load, config, stop=stop, now=clock.now, take_over=take_over)

    asyncio.run(until_told())
