"""``batcher verify``: prove the sums."""

import json

import typer

from batcher.cli.options import Config, DataDir, Output, data_directory


def verify(config: Config = None, data_dir: DataDir = None, output: Output = "text") -> None:
    """Check that every delivered line is accounted for, once. Exit 1 if a sum does not hold."""
    from batcher.verify import verify as check

    directory = data_directory(config, data_dir)
    checks = check(directory, directory.archive)
    if output == "json":
        print(json.dumps([c._asdict() for c in checks], indent=2))
    else:
        for c in checks:
            print(f"{'ok    ' if c.ok else 'FAILED'}  {c.name}{': ' + c.detail if c.detail else ''}")
    if not all(c.ok for c in checks):
        raise typer.Exit(1)
