"""``batcher debug``: what helps to look at batcher itself."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Simulated API servers, and what to send with a bug report.", no_args_is_help=True)


@app.callback()
def debug() -> None:
    """Keep ``sandbox`` a subcommand while it is the only one."""


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


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
