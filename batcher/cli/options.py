"""Options that several commands share, with one help text, one way to find what they name, and one to print it."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from batcher.batch import DataDirectory

Config = Annotated[Path | None, typer.Option(help="The configuration file.", envvar="BATCHER_CONFIG")]
DataDir = Annotated[Path | None, typer.Option(help="The data directory; overrides the configuration's.")]
ListOutput = Annotated[
    Literal["text", "wide", "json", "yaml"], typer.Option("--output", "-o", help="text, wide, json or yaml.")
]
Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text or json.")]


def data_directory(config: Path | None, data_dir: Path | None) -> "DataDirectory":
    """Return the data directory that the options name. Raises ``DataDirError`` if there is none."""
    from batcher import settings
    from batcher.batch import DataDirectory

    said = settings.load(config, os.environ) if config is not None and data_dir is None else None
    if data_dir is None:
        data_dir = said.data_dir if said else Path(os.environ.get("BATCHER_DATA_DIR", "/var/lib/batcher"))
    directory = DataDirectory(data_dir)
    directory.check()
    if config is not None and directory.is_archived_in_store:
        said = said or settings.load(config, os.environ)
        directory = DataDirectory(data_dir, storage=said.archive.storage)
    return directory


def terminal_width() -> int | None:
    """Return how many columns the terminal on stdout has; None if it is none, or COLUMNS says that it does not count.

    Only what is looked at is cut or folded: what is piped stays one line each, and whole.
    """
    if not sys.stdout.isatty() or "COLUMNS" in os.environ:
        return None
    return shutil.get_terminal_size().columns


def print_document(document: object, output: str) -> None:
    """Print ``document`` as ``output``, json or yaml: both escape what a terminal must not get."""
    import msgspec

    plain = msgspec.to_builtins(document)
    if output == "json":
        print(json.dumps(plain, indent=2))
        return
    import yaml

    print(yaml.safe_dump(plain, sort_keys=False), end="")


@contextlib.contextmanager
def reader_may_go() -> Iterator[None]:
    """Let a reader that has seen enough end the command with the exit code that is meant for it.

    Typer takes an error with the number EPIPE for a failure, and ends with 1 before anybody else is asked.
    """
    try:
        yield
    except BrokenPipeError:
        raise BrokenPipeError from None
