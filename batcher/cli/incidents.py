"""``batcher incidents``: the same trouble in several clusters of a workspace, open and ended."""

import json
import sys
from typing import Annotated, Any

import typer

from batcher.cli.options import Config, DataDir, ListOutput, data_directory, terminal_width

app = typer.Typer(help="The same trouble in several clusters of a workspace.", no_args_is_help=True)


@app.command("list")
def list_incidents(
    config: Config = None,
    data_dir: DataDir = None,
    workspace: Annotated[str, typer.Option(help="Only those of this workspace.")] = "",
    since: Annotated[str, typer.Option(help="Open ones, and those that went on in the last 1h, 7d ...")] = "",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    output: ListOutput = "text",
) -> None:
    """List incidents, those that began first on top. Exit 0, also if there are none."""
    from batcher import clock
    from batcher.incidents import HEADERS, NUMBERS, WIDE_HEADERS, found, rows
    from batcher.settings import duration_flag
    from batcher.text import table

    now = clock.now()
    begin = now - duration_flag("--since", since) if since else None
    directory = data_directory(config, data_dir)
    chosen = [each for each in found(directory, since=begin) if workspace in {"", each.workspace}]
    if output in {"json", "yaml"}:
        _print_document([_document(each) for each in chosen], output)
    elif not chosen:
        print("No incidents found.", file=sys.stderr)
    else:
        wide = output == "wide"
        headers = WIDE_HEADERS if wide else HEADERS
        cells = rows(chosen, now=now, wide=wide)
        width = None if wide else terminal_width()
        print("\n".join(table([] if no_headers else headers, cells, width=width, numbers=NUMBERS)))


@app.command("describe")
def describe(
    name: Annotated[str, typer.Argument(metavar="ID", help="As incidents list and the label show it.")],
    config: Config = None,
    data_dir: DataDir = None,
    output: ListOutput = "text",
) -> None:
    """Show an incident: clusters that have it and that have not, its cause, its members in order of time.

    Exit 2 if there is none of that ID.
    """
    from batcher import clock
    from batcher.incidents import MEMBER_HEADERS, MEMBER_NUMBERS, facts, one, timeline
    from batcher.text import folded, table

    found = one(data_directory(config, data_dir), name)
    if output in {"json", "yaml"}:
        _print_document(_document(found), output)
        return
    width = terminal_width()
    for header, fact in facts(found, now=clock.now()):
        print("\n".join(folded(f"{header:<12} ", fact, width)))
    print()
    print("\n".join(table(MEMBER_HEADERS, timeline(found), numbers=MEMBER_NUMBERS)))
    if found.members > len(found.member_list):
        print(f"... and {found.members - len(found.member_list):,} more, in the archive's table summaries")


def _document(found: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(found)


def _print_document(document: Any, output: str) -> None:
    if output == "json":
        print(json.dumps(document, indent=2))
        return
    import yaml

    print(yaml.safe_dump(document, sort_keys=False), end="")
