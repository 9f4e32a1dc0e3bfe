"""``batcher events``: like ``kubectl events``, over the archive and what is not in it yet."""

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from batcher.cli.options import Config, DataDir, Output, data_directory

if TYPE_CHECKING:
    from polars import DataFrame


def events(
    config: Config = None,
    data_dir: DataDir = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only this namespace.")] = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")] = False,
    cluster: Annotated[str, typer.Option(help="Only this cluster.")] = "",
    types: Annotated[str, typer.Option(help="Only these types, separated by commas: Warning,Normal.")] = "",
    since: Annotated[str, typer.Option(help="Only what was received in the last 30s, 5m, 1h ...")] = "",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    output: Output = "text",
) -> None:
    """List the Events of all clusters, oldest first, each with its newest count and message."""
    from batcher import clock
    from batcher.archive.events import HEADERS, Selection, newest, rows
    from batcher.archive.read import scan, settled
    from batcher.batch.process import staged_paths
    from batcher.text import table

    directory = data_directory(config, data_dir)
    now = clock.now()
    selection = Selection(namespace="" if all_namespaces else namespace, cluster=cluster, types=types, since=since)

    def ask() -> "DataFrame":
        staged = staged_paths(directory)["occurrences"]
        return newest(scan(directory.archive, "occurrences", staged), selection, now=now)

    found = settled(ask)
    if output == "json":
        print(json.dumps(found.to_dicts(), indent=2, default=str))
        return
    if found.is_empty():
        where = "" if all_namespaces else f" in {namespace} namespace"
        print(f"No events found{where}.", file=sys.stderr)
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() and "COLUMNS" not in os.environ else None
    for line in table([] if no_headers else HEADERS, rows(found, now=now), width=width):
        print(line)
