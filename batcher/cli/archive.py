"""``batcher archive``: what the archive has, and its upkeep by hand."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from batcher.cli.options import Config, DataDir, ListOutput, Output, data_directory, print_document

if TYPE_CHECKING:
    from batcher.archive.retain import Policy
    from batcher.store import Root

app = typer.Typer(
    help="What the archive has; compaction, retention, export.",
    no_args_is_help=True,
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Retention = Annotated[str, typer.Option(help="Days of all rows, 30d ...; else the configuration's.")]
Important = Annotated[str, typer.Option(help="Days of important rows, 365d ...; else the configuration's.")]
Critical = Annotated[list[str] | None, typer.Option(help="A reason that is critical, beside the built-in ones.")]


@app.command("status")
def show_status(
    config: Config = None,
    data_dir: DataDir = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header line out.")] = False,
    output: ListOutput = "text",
) -> None:
    """Show each table: rows, files, bytes, days, and the rows that are staged and not delivered yet."""
    from batcher.archive.pins import pins
    from batcher.archive.read import settled
    from batcher.archive.shown import HEADERS, TEXTS, WIDE_HEADERS, cells, status
    from batcher.batch.process import staged_paths
    from batcher.text import safe, table

    directory = data_directory(config, data_dir)
    found = settled(lambda: status(directory.archive, staged_paths(directory), pins(directory.archive)))
    if output in {"json", "yaml"}:
        print_document(found, output)
        return
    wide = output == "wide"
    headers = WIDE_HEADERS if wide else HEADERS
    numbers = {column for column, header in enumerate(headers) if header not in TEXTS}
    print("\n".join(table([] if no_headers else headers, cells(found.tables, wide=wide), numbers=numbers)))
    for pin in found.pinned:
        print(safe(f"pinned {pin.name}: {pin.since:%F %T} to {pin.until:%F %T} {_where(pin)}"))


@app.command("compact")
def compact(config: Config = None, data_dir: DataDir = None, dry_run: DryRun = False, output: Output = "text") -> None:
    """Rewrite the small files of each day as few, sorted ones. Safe while a service runs."""
    from batcher import clock
    from batcher.archive.compact import AT_LEAST, compact_all

    root = _own(config, data_dir)
    done = compact_all(root, now=clock.now(), today_from=AT_LEAST, dry_run=dry_run)
    _print_done([each for each in done if each.files], output, "Nothing to compact.", dry_run=dry_run)


@app.command("retain")
def retain(
    config: Config = None,
    data_dir: DataDir = None,
    retention: Retention = "",
    retention_important: Important = "",
    critical: Critical = None,
    dry_run: DryRun = False,
    output: Output = "text",
) -> None:
    """Remove rows that are older than they are kept for. Important ones stay longer: pinned, critical, of incidents.

    Give --config, or both times. Safe while a service runs, which does it every archive.compactEvery.
    """
    from batcher import clock
    from batcher.archive.pins import pins
    from batcher.archive.retain import retain_all

    policy = _policy(config, retention, retention_important, critical)
    root = _own(config, data_dir)
    done = retain_all(root, policy, pins=pins(root), now=clock.now(), dry_run=dry_run)
    _print_done([each for each in done if each.days], output, "No day is old enough.", dry_run=dry_run)


@app.command("vacuum")
def vacuum(config: Config = None, data_dir: DataDir = None, dry_run: DryRun = False, output: Output = "text") -> None:
    """Remove files that compaction, retention or a purge replaced more than six hours ago."""
    from batcher import clock
    from batcher.archive.vacuum import vacuum_all

    done = vacuum_all(_own(config, data_dir), now=clock.now(), dry_run=dry_run)
    _print_done([each for each in done if each.files or each.waiting], output, "Nothing to remove.", dry_run=dry_run)


@app.command("keep")
def keep(
    config: Config = None,
    data_dir: DataDir = None,
    retention: Retention = "",
    retention_important: Important = "",
    critical: Critical = None,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
    output: Output = "text",
) -> None:
    """Retain, compact and vacuum, as a service does every archive.compactEvery. Exit 1 if a table could not be kept."""
    from batcher import clock
    from batcher.archive.keep import keep as keep_all
    from batcher.errors import ArchiveError

    policy = _policy(config, retention, retention_important, critical)
    if background:
        os.nice(10)
    directory = data_directory(config, data_dir)
    done = keep_all(directory.archive, policy, owner=directory.id, now=clock.now())
    steps = {name: [each._asdict() for each in getattr(done, name)] for name in ("retained", "compacted", "vacuumed")}
    if output == "json":
        print(json.dumps(steps, indent=2))
    else:
        for name, each in steps.items():
            print(f"{name}: {sum(int(one.get('files', 0)) for one in each):,} files")
    if done.troubles:
        raise ArchiveError("\n".join(done.troubles))


@app.command("pin")
def pin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    since: Annotated[str, typer.Option(help="From when on: 24h ago, a day, a time.")],
    until: Annotated[str, typer.Option(help="Until when; else now.")] = "",
    cluster: Annotated[str, typer.Option(help="Only rows of this cluster.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only rows of this namespace.")] = "",
    workspace: Annotated[str, typer.Option(help="Only rows of this workspace.")] = "",
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Keep all rows of a period as long as important ones (archive.retentionImportant): of an outage, of an audit."""
    from batcher import clock
    from batcher.archive.important import Pin
    from batcher.archive.period import period
    from batcher.archive.pins import pin as remember
    from batcher.text import safe

    begin, end = period(since, until, now=clock.now())
    new = Pin(name, begin, end, cluster=cluster, namespace=namespace, workspace=workspace)
    remember(_own(config, data_dir), new)
    print(safe(f"{name}: pinned from {begin:%F %T} to {end:%F %T} {_where(new)}"))


@app.command("unpin")
def unpin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As archive status shows it.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Keep a period no longer than other rows. Exit 2 if nothing is pinned by that name."""
    from batcher.archive.pins import unpin as forget
    from batcher.text import safe

    forget(_own(config, data_dir), name)
    print(safe(f"{name}: no longer pinned"))


@app.command("export")
def export(
    since: Annotated[str, typer.Option(help="From when on: 24h ago, a day, a time.")],
    into: Annotated[Path, typer.Option("--output", "-o", help="A new folder for the files.")],
    until: Annotated[str, typer.Option(help="Until when; else now.")] = "",
    tables: Annotated[list[str] | None, typer.Option("--table", help="Only this table; can be repeated.")] = None,
    form: Annotated[
        Literal["parquet", "csv", "json"], typer.Option("--format", help="json: a line a row.")
    ] = "parquet",
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Copy rows of a period, also those not delivered yet, to files: one a table and day."""
    from batcher import clock
    from batcher.archive.export import export as write
    from batcher.archive.period import period
    from batcher.archive.tables import COLUMNS
    from batcher.batch.process import staged_paths

    begin, end = period(since, until, now=clock.now())
    directory = data_directory(config, data_dir)
    chosen, staged = tables or list(COLUMNS), staged_paths(directory)
    rows = 0
    for file in write(directory.archive, staged, chosen, since=begin, until=end, into=into, form=form):
        rows += file.rows
        print(f"{file.path}: {file.rows:,} rows")
    if not rows:
        print("No rows of that time.", file=sys.stderr)


@app.command("purge")
def purge(
    workspace: Annotated[str, typer.Option(help="The workspace, as summaries name it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it: what is purged cannot be brought back.")] = False,
    dry_run: DryRun = False,
    config: Config = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Remove all rows of a workspace until now, and say what remains of it and until when.

    Give --yes or --dry-run. Events that come later are archived again: take the workspace out of the configuration.
    """
    from batcher import clock
    from batcher.archive.tables import explained
    from batcher.errors import UsageError
    from batcher.purging import purge as purge_now
    from batcher.purging import told

    if yes == dry_run:
        message = "archive purge: give --yes to remove rows for good, or --dry-run to see how many there are"
        raise UsageError(message)
    _own(config, data_dir)
    directory = data_directory(config, data_dir)
    with explained(directory.archive):
        done = purge_now(directory, workspace, now=clock.now(), dry_run=dry_run)
    if output == "json":
        print_document(done, "json")
    else:
        print("\n".join(told(done)))


def _own(config: Path | None, data_dir: Path | None) -> "Root":
    """Return the archive's root. Raises ``UsageError`` if it belongs to another data directory by now."""
    from batcher.archive.owner import confirm_owner

    directory = data_directory(config, data_dir)
    confirm_owner(directory.archive, directory.id)
    return directory.archive


def _policy(config: Path | None, retention: str, important: str, critical: list[str] | None) -> "Policy":
    """What flags say, else the configuration: no default, because another's rows may be gone by it."""
    from batcher import settings
    from batcher.archive.retain import Policy
    from batcher.errors import UsageError

    said = settings.load(config, os.environ) if config is not None else None
    if said is None and not (retention and important):
        message = "archive: how long are rows kept? Give --config, or both --retention and --retention-important"
        raise UsageError(message)
    if said is not None:
        retention = retention or settings.format_duration(said.archive.retention)
        important = important or settings.format_duration(said.archive.retention_important)
    every = settings.duration_flag("--retention", retention)
    longer = settings.duration_flag("--retention-important", important)
    if wrong := settings.retention_problem(every, longer):
        message = f"archive: {wrong}"
        raise UsageError(message)
    reasons = tuple(critical or (said.severity.critical if said else ()))
    return Policy(every, longer, reasons)


def _print_done(done: Sequence[Any], output: str, nothing: str, *, dry_run: bool) -> None:
    """A line a table: what was done, or would be."""
    if output == "json":
        print(json.dumps({"dryRun": dry_run, "tables": [each._asdict() for each in done]}, indent=2))
        return
    for each in done:
        numbers = ", ".join(
            f"{value:,} {name.replace('_', ' ')}" for name, value in each._asdict().items() if name != "table"
        )
        print(f"{'would be: ' if dry_run else ''}{each.table}: {numbers}")
    if not done:
        print(nothing)


def _where(pin: Any) -> str:
    """What of the period is pinned."""
    said = {"cluster": pin.cluster, "namespace": pin.namespace, "workspace": pin.workspace}
    return ", ".join(f"{name} {value}" for name, value in said.items() if value) or "everything"
