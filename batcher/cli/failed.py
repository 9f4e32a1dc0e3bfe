"""``batcher failed``: what could not be counted or written, and trying it again."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from batcher.cli.options import Config, DataDir, ListOutput, Output, data_directory, print_document

if TYPE_CHECKING:
    from batcher.batch import DataDirectory
    from batcher.failed import Failed, Tried

app = typer.Typer(
    help="What could not be counted or written: look at it, try it again.",
    no_args_is_help=True,
)

_LOOK_SECONDS = 0.2


@app.command("list")
def list_failed(
    config: Config = None,
    data_dir: DataDir = None,
    cause: Annotated[str, typer.Option(help="Only those with this cause.")] = "",
    cluster: Annotated[str, typer.Option(help="Only those of this cluster.")] = "",
    kind: Annotated[Literal["line", "letter"] | None, typer.Option(help="Only lines, or only dead letters.")] = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    output: ListOutput = "text",
) -> None:
    """List the lines in quarantine, then the dead letters, oldest first. Exit 0, also if there are none."""
    from batcher import clock
    from batcher.failed import HEADERS, WIDE_HEADERS, rows, waiting
    from batcher.text import table

    found = [
        line
        for line in waiting(data_directory(config, data_dir))
        if cause in {"", line.cause} and cluster in {"", line.cluster} and kind in {None, line.kind}
    ]
    if output in {"json", "yaml"}:
        print_document([_document(line) for line in found], output)
    elif not found:
        print("Nothing has failed.", file=sys.stderr)
    else:
        wide = output == "wide"
        headers = WIDE_HEADERS if wide else HEADERS
        cells = rows(found, now=clock.now(), wide=wide)
        print("\n".join(table([] if no_headers else headers, cells, numbers={headers.index("SIZE")})))


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="As failed list shows it.")],
    config: Config = None,
    data_dir: DataDir = None,
    output: ListOutput = "text",
) -> None:
    """Show a line or a dead letter whole; json and yaml have its exact bytes (base64). Exit 2 if there is none."""
    from batcher.failed import WIDE_HEADERS, one, rows
    from batcher.text import safe

    found = one(data_directory(config, data_dir), name)
    if output in {"json", "yaml"}:
        print_document(_document(found), output)
        return
    (cells,) = rows([found], now=found.received_at, wide=True)
    for header, cell in zip(WIDE_HEADERS[:-1], cells, strict=False):
        print(f"{header.lower():<12}  {safe(cell)}")
    print(f"\n{found.text}")


@app.command("retry")
def retry(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As failed list shows them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that can be tried again.")] = False,
    cause: Annotated[str, typer.Option(help="All with this cause.")] = "",
    timeout: Annotated[str, typer.Option(help="How long to wait for the running service.")] = "1m",
    config: Config = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Decode lines again, as after an upgrade, and count them, once; write dead letters after all.

    A running service does it with its next batch; if none runs, this command does, and the next service writes the
    letters. Exit 0: all of them left. 1: some stay, or were not tried in time (the service still will). 2: the call is
    wrong, or something is unknown, left already, or cannot be tried again; then nothing is tried.
    """
    from batcher.batch.process import latest
    from batcher.failed import pick, tried
    from batcher.settings import duration_flag

    directory = data_directory(config, data_dir)
    seconds = duration_flag("--timeout", timeout).total_seconds()
    chosen = pick(directory, names or [], everything=everything, cause=cause)
    since = latest(directory)[0].batch
    if chosen:
        asyncio.run(_retried(directory, chosen, seconds))
    results = tried(directory, chosen, since=since)
    if output == "json":
        import msgspec

        print(json.dumps(msgspec.to_builtins(results), indent=2))
    else:
        _print_results(results)
    if any(result.fate in {None, "quarantined"} for result in results):
        raise typer.Exit(1)


async def _retried(directory: "DataDirectory", names: list[str], seconds: float) -> None:
    """Return when everything was tried, by the service or here, or when the time is over."""
    from batcher.errors import InUse
    from batcher.failed import ask, is_asked, retry_here

    try:
        retry_here(directory, names)
    except InUse:
        ask(directory, names)
    waited = 0.0
    while waited < seconds and is_asked(directory, names):
        await asyncio.sleep(_LOOK_SECONDS)
        waited += _LOOK_SECONDS


def _print_results(results: list["Tried"]) -> None:
    from collections import Counter

    fates = Counter(result.fate.value if result.fate else "" for result in results)
    meaning = {
        "revision": "counted",
        "repeat": "known already",
        "ignored": "nothing to count",
        "quarantined": "still in quarantine",
        "revived": "open again, to be written",
        "": "not tried yet; the service will",
    }
    told = ", ".join(f"{fates[fate]:,} {words}" for fate, words in meaning.items() if fates[fate])
    print(f"{len(results):,} tried: {told}" if results else "Nothing to retry.")
    for result in results:
        if result.fate == "quarantined":
            print(f"{result.id}: {result.cause}")


def _document(line: "Failed") -> dict[str, Any]:
    """The line as exact bytes, and as text for those who only look."""
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(line)
    base64 = document.pop("line")
    return {**document, "size": len(line.line), "line": line.line.decode("utf-8", "backslashreplace"), "base64": base64}
