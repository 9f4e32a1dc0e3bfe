"""``batcher check``: whether a service could do its work, before it does."""

from typing import Annotated

import typer

from batcher.cli.options import Config, ListOutput, print_document, terminal_width
from batcher.errors import UsageError


def check(
    config: Config = None,
    timeout: Annotated[str, typer.Option(help="For all requests of one cluster or workspace: 10s, 1m ...")] = "10s",
    output: ListOutput = "text",
) -> None:
    """Test access, mapping, clock and credentials of every cluster and workspace; change nothing.

    Exit 0: all is well, warnings included. 1: something failed. 2: the call or the configuration is wrong.
    """
    import asyncio
    import os

    from batcher import clock, settings
    from batcher.check import HEADERS, WIDE_HEADERS, check_all, rows
    from batcher.text import table

    if config is None:
        message = "check: give --config FILE"
        raise UsageError(message)
    limit = settings.duration_flag("--timeout", timeout).total_seconds()
    loaded = settings.find_clusters(settings.load(config, os.environ))
    report = asyncio.run(check_all(loaded, now=clock.now, limit=limit))
    if output in {"json", "yaml"}:
        print_document(report, output)
    else:
        wide = output == "wide"
        width = None if wide else terminal_width()
        headers = WIDE_HEADERS if wide else HEADERS
        print("\n".join(table(headers, rows(report.checks, wide=wide), width=width, fold=True)))
    if report.failed:
        raise typer.Exit(1)
