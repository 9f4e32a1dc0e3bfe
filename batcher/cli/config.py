"""``batcher config``: check a configuration, and look up what there is to configure."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from batcher.cli.options import Output

app = typer.Typer(
    help="Check a configuration file, and look up what there is to configure.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(help="A configuration file.", envvar="BATCHER_CONFIG")]


@app.command("validate")
def validate(
    file: File,
    feature_gates: Annotated[str | None, typer.Option(help="As of run: Name=true,Other=false.")] = None,
) -> None:
    """Check a file, and the BATCHER_ variables that are over it, as run would.

    Exit 2 with everything that is wrong. Kubeconfigs are not opened; a directory of them is looked into if it is here.
    """
    from batcher import settings, store
    from batcher.errors import ConfigError
    from batcher.text import safe

    loaded = settings.load(file, os.environ, gates=feature_gates)
    if wrong := store.wrong(loaded.archive.path, loaded.archive.storage):
        raise ConfigError(wrong, str(file))
    absent = [entry.directory for entry in settings.directories(loaded) if not entry.directory.exists()]
    if not absent:
        loaded = settings.find_clusters(loaded)
    print(safe(f"{file}: valid; clusters: {len(loaded.clusters)}, routes: {len(loaded.routes)}"))
    for directory in absent:
        print(safe(f"{directory} is not here, so no cluster of a directory was checked"))
    for name in [] if absent else settings.waiting(loaded):
        print(safe(f"clusters[{name}]: no directory has {name}.kubeconfig; the entry waits for it"))


@app.command("print-defaults")
def print_defaults() -> None:
    """Print a file that has every setting at its default, with what each is for."""
    from batcher.settings.defaults import defaults

    print("\n".join(defaults()))


@app.command("explain")
def explain(
    path: Annotated[str, typer.Argument(help="A setting, such as publish.maxAge; none: all of the first level.")] = "",
) -> None:
    """Say what a setting is: type, default, meaning, and what is below it."""
    from batcher.settings.explain import explained

    print("\n".join(explained(path)))


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of the file, for editors and other tools."""
    from batcher.settings.schema import file_schema

    print(json.dumps(file_schema(), indent=2, ensure_ascii=False))


@app.command("diff")
def diff(
    file: File,
    other: Annotated[Path | None, typer.Argument(help="The file to go to from the first one.")] = None,
    output: Output = "text",
) -> None:
    """Show what a file changes of the defaults, or a second file of the first, and what of it needs a restart.

    Variables are left out.
    """
    from batcher import settings
    from batcher.settings.difference import differences
    from batcher.text import table

    loaded = settings.load(file, {})
    found = differences(loaded, settings.load(other, {})) if other else differences(None, loaded)
    if output == "json":
        rows = [{"path": d.path, "before": d.before, "after": d.after, "needsRestart": d.needs_restart} for d in found]
        print(json.dumps(rows, indent=2))
        return
    headers = ("SETTING", "BEFORE" if other else "DEFAULT", "AFTER" if other else "FILE", "NEEDS")
    lines = [(d.path, d.before, d.after, "restart" if d.needs_restart and other else "") for d in found]
    print("\n".join(table(headers, lines)) if found else "Nothing differs.")
