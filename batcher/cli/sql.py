"""``batcher sql``: asks the archive, and what is not in it yet, in SQL."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from batcher.cli.options import Config, DataDir, data_directory, reader_may_go, terminal_width

if TYPE_CHECKING:
    from batcher.sql.asked import Answer

_LIMIT = 10_000


def sql(
    query: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT, in DuckDB's SQL; - reads it from stdin.")],
    config: Config = None,
    data_dir: DataDir = None,
    to: Annotated[Path | None, typer.Option(help="Write all rows to this new file, FILE.parquet.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Print at most so many rows; 0: all.")] = _LIMIT,
    timeout: Annotated[str, typer.Option(help="Stop the question after 30s, 5m ...")] = "30s",
    memory: Annotated[str, typer.Option(help="Stop what needs more than 1GiB, 512MiB ...")] = "1GiB",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    output: Annotated[
        Literal["text", "json", "csv"], typer.Option("--output", "-o", help="text, json or csv.")
    ] = "text",
) -> None:
    """Ask the tables occurrences, summaries, incidents, links, dead_letters, gaps and batches. Nothing is changed.

    No file can be read but theirs, and none written. Times are UTC. See: batcher sql "DESCRIBE occurrences".

    Exit 0: here are the rows, maybe none. 1: it took too much, or the archive cannot be read. 2: the SQL is wrong or
    refused. 130: ended by Ctrl-C. 141: the reader of the output has gone.
    """
    from batcher.settings import duration_flag, size_flag
    from batcher.sql.asked import Bounds, asked
    from batcher.sql.shown import parquet_path, write_parquet

    bounds = Bounds(duration_flag("--timeout", timeout).total_seconds(), size_flag("--memory", memory))
    path = parquet_path(to) if to else None
    directory = data_directory(config, data_dir)
    text = sys.stdin.read() if query == "-" else query
    most = limit + 1 if limit and not path else None
    with asked(directory, text, bounds=bounds, limit=most) as answer:
        if path:
            print(f"{write_parquet(answer.schema, answer.batches(), path):,} rows in {path}", file=sys.stderr)
            return
        with reader_may_go():
            rest = _print(answer, output, limit, headers=not no_headers)
    if rest:
        print(f"Only the first {limit:,} rows; there are more: --limit 0, or --to FILE.parquet.", file=sys.stderr)


def _print(answer: "Answer", output: str, limit: int, *, headers: bool) -> bool:
    """Print up to ``limit`` rows; return whether there are more."""
    from batcher.sql.asked import Head
    from batcher.sql.shown import as_text, write_csv, write_json

    seen = Head(answer, limit)
    if output == "json":
        write_json(answer.schema, seen.batches(), sys.stdout)
    elif output == "csv":
        write_csv(answer.schema, seen.batches(), sys.stdout, headers=headers)
    else:
        for line in as_text(answer.schema, seen.batches(), headers=headers, width=terminal_width()):
            print(line)
    return seen.has_more
