"""``batcher why``: "why isn't my event here?"."""

from typing import Annotated

import typer

from batcher.cli.options import Config, DataDir, ListOutput, data_directory, print_document, reader_may_go


def why(
    what: Annotated[str, typer.Argument(metavar="OBJECT|EVENT", help="pod/web-1, deploy/web, or an Event's name.")],
    config: Config = None,
    data_dir: DataDir = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="In this namespace, or a glob; else any.")] = "",
    cluster: Annotated[str, typer.Option(help="In this cluster, or a glob.")] = "",
    since: Annotated[str, typer.Option(help="Received since: 30m, 7d ago, or 2026-11-23T16:00:00Z.")] = "24h",
    output: ListOutput = "text",
) -> None:
    """Follow an object's Events, or one Event: received, verdict and rule, summary, writes, refusals, mapping.

    The first line is the answer, the second what to do. As of the last batch. Exit 0: here is the answer, whatever it
    is. 1: the archive cannot be read. 2: the call is wrong, or there was no batch yet.
    """
    from batcher import clock
    from batcher.why import story, told

    now = clock.now()
    found = story(data_directory(config, data_dir), what, namespace=namespace, cluster=cluster, since=since, now=now)
    with reader_may_go():
        if output in {"json", "yaml"}:
            print_document(found, output)
        else:
            print("\n".join(told(found, now=now)))
