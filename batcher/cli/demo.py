"""``batcher demo``: a scripted outage on this machine, no cluster needed."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from batcher.cli.options import Output


def demo(
    duration: Annotated[str, typer.Option(help="How long to play.", envvar="BATCHER_DEMO_DURATION")] = "60s",
    rate: Annotated[str, typer.Option(help="Things that happen a minute.")] = "2000/min",
    replay: Annotated[Path | None, typer.Option(help="Play this dump (kubectl get events -A -o json) instead.")] = None,
    data_dir: Annotated[Path, typer.Option(help="Where to leave spool, archive and kubeconfig.")] = Path(
        "batcher-demo"
    ),
    output: Output = "text",
) -> None:
    """Play an outage in three simulated clusters and show what batcher makes of it. Exit 1 if it miscounts.

    On a terminal it shows how it goes, unless NO_COLOR is set or TERM is dumb.
    """
    from batcher import logs
    from batcher.sandbox.demo_view import parse_options, play, report_lines

    logs.configure("text", "error")
    options = parse_options(duration=duration, rate=rate, replay=replay, data_dir=data_dir)
    is_watched = output == "text" and sys.stdout.isatty()
    live = is_watched and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    if is_watched and not live:
        print("The report comes at the end; Ctrl-C ends it early.", flush=True)
    report = play(options, live=live)
    if output == "json":
        print(json.dumps(report.as_json(), indent=2))
    else:
        print("\n".join(report_lines(report, options)))
    if not (report.exact and report.verified):
        raise typer.Exit(1)
