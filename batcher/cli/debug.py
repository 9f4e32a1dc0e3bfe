"""``batcher debug``: what helps to look at batcher itself."""

from pathlib import Path
from typing import Annotated

import typer

from batcher.cli.options import Config, DataDir, data_directory

app = typer.Typer(help="Simulated API servers, and what to send with a bug report.", no_args_is_help=True)


@app.command()
def sandbox(
    kubeconfig: Annotated[Path, typer.Option(help="The kubeconfig to write, with a context a cluster and workspace.")],
    clusters: Annotated[str, typer.Option(help="Source clusters, separated by commas.")] = "us-west1,eu-central1",
    workspaces: Annotated[str, typer.Option(help="PATH=NAMESPACE,... separated by spaces.")] = "root:shop=web",
    duration: Annotated[str, typer.Option(help="Stop by itself after 30s, 5m ...")] = "",
    port: Annotated[int, typer.Option(help="The kcp's port; the clusters get those behind it. 0: free ones.")] = 0,
) -> None:
    """Run simulated API servers on loopback until Ctrl-C, for kubectl and any other client."""
    import asyncio
    import contextlib

    from batcher import clock
    from batcher.sandbox import Sandbox, serve
    from batcher.settings import duration_flag

    spaces = {path: _names(names) for path, _, names in (w.partition("=") for w in workspaces.split())}
    length = duration_flag("--duration", duration) if duration else None
    world = Sandbox(_names(clusters), spaces, now=clock.now, port=port)
    print(f"Try:  kubectl --kubeconfig {kubeconfig} config get-contexts")
    print("Ctrl-C stops it.")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(world, kubeconfig, duration=length))


@app.command()
def bundle(
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.tar.gz", help="The file to write; a new one.")],
    config: Config = None,
    data_dir: DataDir = None,
    log: Annotated[Path | None, typer.Option(help="A file with the service's log lines.")] = None,
    with_events: Annotated[
        bool, typer.Option("--with-events", help="Also what Events, quarantined lines and errors in the log say.")
    ] = False,
) -> None:
    """Write what to send with a bug report: configuration, status, versions, metrics, batches, files, causes.

    Never a token or a key; what Events say only if asked for. Look through it before you send it.
    """
    import functools
    import os

    from batcher import clock, settings
    from batcher.bundle import Asked, collect, pack

    load = functools.partial(settings.load, config, os.environ) if config else None
    directory = data_directory(None if data_dir else config, data_dir)
    now = clock.now()
    members = collect(Asked(directory, load, os.environ, log, with_events), now)
    size = pack(out, members, now)
    for name, text in sorted(members.items()):
        print(f"{len(text.encode('utf-8', 'backslashreplace')):>10,}  {name}")
    print(f"{out}: {size:,} bytes. Look through it before you send it.")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
