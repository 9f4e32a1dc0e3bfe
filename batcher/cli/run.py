"""``batcher run``: the service."""

import asyncio
import functools
import gc
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
    feature_gates: Annotated[
        str | None, typer.Option(help="Name=true,Other=false; see: batcher config explain featureGates")
    ] = None,
) -> None:
    """Watch, summarise, publish, until SIGTERM or Ctrl-C; then commit what was received, and end.

    The configuration is read again when it changes, and at SIGHUP.
    """
    from batcher import clock, logs, settings
    from batcher.service import leave, serve

    if config is None:
        message = "run: give --config FILE (an example: deploy/examples/one-cluster.yaml)"
        raise UsageError(message)
    flags = {"dataDir": str(data_dir) if data_dir else None, "archive.path": archive}
    load = functools.partial(settings.load, config, os.environ, flags, gates=feature_gates)
    log = load().log
    logs.configure(log.format, log.level)

    async def until_told() -> None:
        stop, asked = asyncio.Event(), asyncio.Event()
        for name, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, asked)):
            asyncio.get_running_loop().add_signal_handler(name, event.set)
        await serve(load, config, stop=stop, now=clock.now, take_over=take_over, asked=asked)

    _collect_seldom()
    asyncio.run(until_told())
    leave()


def _collect_seldom() -> None:
    """Leave out of every collection what is there for good, and collect after more than a batch makes at a time.

    What a batch makes refers to nothing that refers to it: looking for such circles was a tenth of all CPU.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
