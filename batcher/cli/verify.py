"""``batcher verify``: prove the sums."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from batcher.cli.options import Config, DataDir, Output, data_directory

if TYPE_CHECKING:
    from batcher.verify import Check


def verify(
    config: Config = None,
    data_dir: DataDir = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also run every batch again whose input is still here; compare each row.")
    ] = False,
    output: Output = "text",
) -> None:
    """Check that every delivered line is accounted for, once.

    Exit 1 if something differs, and name the first batch that does.
    """
    from batcher.text import safe
    from batcher.verify import verify as check

    directory = data_directory(config, data_dir)
    checks = check(directory, directory.archive, deep=deep)
    if output == "json":
        print(json.dumps([c._asdict() for c in checks], indent=2))
    else:
        for c in checks:
            print(safe(f"{'ok    ' if c.ok else 'FAILED'}  {c.name}{': ' + c.detail if c.detail else ''}"))
    if not all(c.ok for c in checks):
        print(_verdict(checks), file=sys.stderr)
        raise typer.Exit(1)


def _verdict(checks: "list[Check]") -> str:
    batches = [c.batch for c in checks if c.batch]
    return f"verify: batch {min(batches)} is the first that differs" if batches else "verify: no single batch differs"
