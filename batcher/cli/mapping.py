"""``batcher mapping``: which workspace each namespace has, and why."""

import sys
from typing import Annotated

import typer

from batcher.cli.options import Config, DataDir, ListOutput, data_directory, print_document

app = typer.Typer(
    help="Which workspace each namespace has, and why.",
    no_args_is_help=True,
)

Cluster = Annotated[str, typer.Option(help="Only those of this cluster.")]


@app.command("list")
def list_namespaces(
    config: Config = None,
    data_dir: DataDir = None,
    cluster: Cluster = "",
    flawed: Annotated[bool, typer.Option("--flawed", help="Only those whose word is not believed.")] = False,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    output: ListOutput = "text",
) -> None:
    """List the namespaces that are known, each with its workspace, what decided it, and what is wrong with its word.

    As of the last batch, by the rules of the newest plan. Where no Namespaces are watched these are the namespaces of
    open summaries. Deleted ones are left out. Exit 0, also if there are none. 2: there was no batch yet.
    """
    from batcher import clock
    from batcher.namespaces import HEADERS, WIDE_HEADERS, known, rows
    from batcher.text import table

    found = known(data_directory(config, data_dir), cluster=cluster, flawed=flawed)
    if output in {"json", "yaml"}:
        print_document(found, output)
    elif not found:
        print("No namespace is flawed." if flawed else "No namespace is known.", file=sys.stderr)
    else:
        wide = output == "wide"
        cells = rows(found, now=clock.now(), wide=wide)
        print("\n".join(table([] if no_headers else WIDE_HEADERS if wide else HEADERS, cells)))


@app.command("describe")
def describe(
    namespace: Annotated[str, typer.Argument(metavar="NAMESPACE", help="The downstream namespace.")],
    config: Config = None,
    data_dir: DataDir = None,
    cluster: Annotated[str, typer.Option(help="Its cluster, if several have one of this name.")] = "",
    output: ListOutput = "text",
) -> None:
    """Tell what a namespace says, who was asked for its workspace and who decided, what waits, and what to do.

    Exit 0: it is known, flawed or not. 2: it is not, or is in several clusters, or there was no batch yet.
    """
    from batcher import clock
    from batcher.namespaces import story, told
    from batcher.text import safe

    found = story(data_directory(config, data_dir), namespace, cluster)
    if output in {"json", "yaml"}:
        print_document(found, output)
        return
    for title, text in told(found, now=clock.now()):
        print(f"{title:<10}  {safe(text)}")
