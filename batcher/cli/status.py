"""``batcher status``: the service, its clusters, its batches."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import typer

from batcher.cli.options import Config, DataDir, Output, data_directory

if TYPE_CHECKING:
    from datetime import datetime

    from batcher.status import Leadership, Status


_MOST_WORKSPACES = 20
"""Which refuse most, or are written to most."""


def status(config: Config = None, data_dir: DataDir = None, output: Output = "text") -> None:
    """Show how the service and the watch of every cluster are. Exit 1 if the service does not run."""
    import msgspec

    from batcher import clock
    from batcher.status import is_running, read_status
    from batcher.text import ago, table

    now = clock.now()
    found = read_status(data_directory(config, data_dir).root)
    running = is_running(found, now)
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
        raise typer.Exit(0 if running else 1)
    state = f"running, process {found.pid}" if running else f"NOT running; last seen {ago(found.at, now)} ago"
    _print_head(found, state)
    print()
    rows = [
        (
            c.name,
            c.watch,
            f"{c.lag_ms / 1000:.1f}s",
            ago(c.last_event_at, now) if c.last_event_at else "never",
            ago(c.last_contact_at, now) if c.last_contact_at else "never",
            str(c.restarts),
            f"{c.events:,}",
            c.last_error,
        )
        for c in found.clusters
    ]
    headers = ("CLUSTER", "WATCH", "LAG", "LAST EVENT", "LAST CONTACT", "RESTARTS", "EVENTS", "LAST ERROR")
    print("\n".join(table(headers, rows, numbers=(2, 5, 6))))
    _print_workspaces(found)
    if not running:
        raise typer.Exit(1)


def _print_workspaces(found: "Status") -> None:
    """What those took and refused that were written to since the service began."""
    from batcher.status import workspace_rows
    from batcher.text import table

    rows = list(workspace_rows(found, _MOST_WORKSPACES))
    if rows:
        headers = ("WORKSPACE", "WRITES", "MEAN", "REFUSED")
        print("\n".join(["", *table(headers, rows, numbers=(1, 2))]))
    if len(found.workspaces) > len(rows):
        print(f"... and {len(found.workspaces) - len(rows):,} more: see /metrics, or --output json")


def _print_head(found: "Status", state: str) -> None:
    """A line each for what goes on, and for what is wrong."""
    from batcher.status import expiry_trouble, mapping_trouble
    from batcher.text import safe

    print(f"service    {state}")
    if found.leadership:
        print(f"leader     {safe(_leads(found.leadership, found.at))}")
    print(f"batches    {found.batch:,}; {found.totals['occurrences']:,} occurrences, {found.totals['gaps']:,} gaps")
    print(f"verdicts   {', '.join(_verdicts(found.totals))}")
    print(f"summaries  {found.open_summaries:,} open, {found.pending_writes:,} writes pending")
    print(f"incidents  {found.open_incidents:,} open, {found.totals.get('incidents', 0):,} ended")
    parts = ("config", "spool", "quarantine", "archive", "keeping", "proof", "publish")
    troubles = {name: getattr(found, f"{name}_trouble") for name in parts}
    for name, trouble in (troubles | {"mapping": mapping_trouble(found), "expiry": expiry_trouble(found)}).items():
        if trouble:
            print(f"{name:<10} {safe(trouble)}")


def _leads(leadership: "Leadership", at: "datetime") -> str:
    """By which Lease it runs, and whether that can be renewed."""
    from batcher.text import ago

    since = f", for {ago(leadership.since, at)}" if leadership.since else ""
    trouble = f"; {leadership.trouble}" if leadership.trouble else ""
    return f"{leadership.identity} by the Lease {leadership.lease}{since}{trouble}"


def _verdicts(totals: Mapping[str, int]) -> Iterator[str]:
    """How many rows have each; a service of the version before knows fewer of them."""
    from batcher.telemetry import Verdict

    for verdict in Verdict:
        yield f"{totals.get(verdict.value.replace('-', '_'), 0):,} {verdict.value}"
