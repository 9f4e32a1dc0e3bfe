"""``batcher resync``: write open summaries again, for a kcp that has forgotten them."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from batcher.cli.options import Config, DataDir, Output, data_directory

if TYPE_CHECKING:
    from batcher.batch import DataDirectory

_LOOK_SECONDS = 0.2


def resync(
    workspace: Annotated[str, typer.Option(help="Only this one, as summaries name it.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and ask for nothing.")] = False,
    timeout: Annotated[str, typer.Option(help="How long to wait for the running service.")] = "1m",
    config: Config = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Write the open summaries of workspaces again, whatever was known to be there.

    A service does so by itself when it notices that kcp was restored. If none runs, the next one will. Exit 0: it is
    asked for, and a running service has taken it. 1: not in time; it still will. 2: no open summary is of that
    workspace.
    """
    from batcher.failed.resync import chosen
    from batcher.settings import duration_flag

    directory = data_directory(config, data_dir)
    seconds = duration_flag("--timeout", timeout).total_seconds()
    found = chosen(directory, workspace)
    taken = dry_run or not found or asyncio.run(_asked(directory, list(found), seconds))
    if output == "json":
        print(json.dumps({"dryRun": dry_run, "taken": taken, "summaries": found}, indent=2))
    else:
        what = "would be written again" if dry_run else "to be written again" if taken else "asked for, not taken yet"
        print(
            "\n".join(f"{name}: {count:,} open summaries {what}" for name, count in found.items()) or "Nothing is open."
        )
    if not taken:
        raise typer.Exit(1)


async def _asked(directory: "DataDirectory", names: list[str], seconds: float) -> bool:
    """Return whether it was taken, by the service or here, before the time was over."""
    from batcher.batch.requests import Kind, ask, asked
    from batcher.errors import InUse
    from batcher.failed.resync import resync_here

    try:
        resync_here(directory, names)
    except InUse:
        ask(directory, Kind.RESYNC, names)
    waited = 0.0
    while waited < seconds and not set(names).isdisjoint(asked(directory, Kind.RESYNC)):
        await asyncio.sleep(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
    return set(names).isdisjoint(asked(directory, Kind.RESYNC))
