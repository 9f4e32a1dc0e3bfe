"""``batcher events``: like ``kubectl events``, over the archive and what is not in it yet."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from batcher.cli.options import Config, DataDir, data_directory, print_document, reader_may_go, terminal_width

if TYPE_CHECKING:
    from datetime import datetime

    from polars import DataFrame

    from batcher.batch import DataDirectory
    from batcher.events import Selection

_LOOK_SECONDS = 0.5

Format = Annotated[
    Literal["text", "wide", "json", "yaml", "name"],
    typer.Option("--output", "-o", help="text, wide, json or yaml (a List of Events, as kubectl prints it), name."),
]


def events(
    config: Config = None,
    data_dir: DataDir = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="This namespace, or a glob.")] = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")] = False,
    cluster: Annotated[str, typer.Option(help="Only this cluster, or a glob.")] = "",
    about: Annotated[str, typer.Option("--for", metavar="KIND/NAME", help="pod/web-1, deploy.apps/web, po/web-*")] = "",
    types: Annotated[list[str] | None, typer.Option(help="Warning, Normal, or both with a comma.")] = None,
    since: Annotated[str, typer.Option(help="Received since: 30s, 5m, 7d ago, or 2026-11-23T16:00:00Z.")] = "",
    until: Annotated[str, typer.Option(help="As it was known then: a time as with --since.")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Then print what comes, until Ctrl-C.")] = False,
    sort_by: Annotated[
        str, typer.Option("--sort-by", "--sort", help="last, first, count ...; -count: backwards.")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=0, help="The newest so many Events; 0: all. Else 10000.")] = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    output: Format = "text",
) -> None:
    """List the Events of all clusters, the last seen last, each with its newest count and message.

    Times are those of receipt. With --watch every revision that a batch commits is printed: json and yaml as documents
    of their own. Exit 0, also if there are none. 1: the archive cannot be read. 2: the call is wrong.
    130: ended by Ctrl-C. 141: the reader of the output has gone.
    """
    from batcher import clock
    from batcher.events import LIMIT, chosen, found, in_order, ordering

    if watch and (until or sort_by):
        from batcher.errors import UsageError

        message = "--watch: prints what comes as it comes; leave out --until and --sort-by"
        raise UsageError(message)
    now = clock.now()
    selection = chosen(
        namespace="" if all_namespaces else namespace, cluster=cluster, types=",".join(types or []), about=about,
        since=since, until=until, now=now,
    )  # fmt: skip
    order = ordering("--sort-by", sort_by) if sort_by else None
    directory = data_directory(config, data_dir)
    if watch:
        with reader_may_go():
            _follow(directory, selection, limit, output, no_headers=no_headers)
        return
    most = LIMIT if limit is None else limit
    listed = found(directory, selection, now=now, limit=most)
    if limit is None and len(listed) == most:
        print(f"Only the newest {most:,} Events; choose with --since or --for, or say --limit 0.", file=sys.stderr)
    if listed.is_empty() and output in {"text", "wide"}:
        where = "" if all_namespaces else f" in {namespace} namespace"
        print(f"No events found{where}.", file=sys.stderr)
        return
    with reader_may_go():
        _print(in_order(listed, order) if order else listed, output, now=now, headers=not no_headers)


def _follow(
    directory: "DataDirectory", selection: "Selection", limit: int | None, output: str, *, no_headers: bool
) -> None:
    from batcher import clock
    from batcher.events import LIMIT, added, found, last_batch, reader_is_there

    last = last_batch(directory)
    listed = found(
        directory, selection._replace(through=last), now=clock.now(), limit=LIMIT if limit is None else limit
    )
    _print(listed, output, now=clock.now(), headers=not no_headers, one_by_one=True)
    sys.stdout.flush()
    for new in added(directory, selection, after=last):
        if len(new):
            _print(new, output, now=clock.now(), headers=False, one_by_one=True)
            sys.stdout.flush()
        elif not reader_is_there(sys.stdout.fileno(), _LOOK_SECONDS):
            raise BrokenPipeError


def _print(listed: "DataFrame", output: str, *, now: "datetime", headers: bool, one_by_one: bool = False) -> None:
    from batcher.events import HEADERS, NUMBERS, WIDE_HEADERS, as_list, as_object, name, rows
    from batcher.text import safe, table

    if output == "name":
        for event in listed.iter_rows(named=True):
            print(safe(name(event)))
    elif output in {"json", "yaml"} and one_by_one:
        for event in listed.iter_rows(named=True):
            if output == "yaml":
                print("---")
            print_document(as_object(event), output)
    elif output in {"json", "yaml"}:
        print_document(as_list(listed.iter_rows(named=True)), output)
    else:
        wide = output == "wide"
        width = None if wide else terminal_width()
        lines = table(WIDE_HEADERS if wide else HEADERS, rows(listed, now=now, wide=wide), width=width, numbers=NUMBERS)
        for line in lines if headers else lines[1:]:
            print(line)
