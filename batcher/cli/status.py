"""``batcher status``: the service, its clusters, its batches."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import typer

from batcher.cli.options import Config, DataDir, Output, data_directory, print_document, terminal_width

if TYPE_CHECKING:
    from datetime import datetime

    from batcher.status import Leadership, Status


_MOST_WORKSPACES = 20
"""Which refuse most, or are written to most."""


def status(config: Config = None, data_dir: DataDir = None, output: Output = "text") -> None:
    """Show how the service and the watch of every cluster are. Exit 1 if the service does not run."""
    from batcher import clock
    from batcher.status import is_running, read_status
    from batcher.text import ago, folded

    now = clock.now()
    found = read_status(data_directory(config, data_dir).root)
    running = is_running(found, now)
    if output == "json":
        print_document(found, output)
        raise typer.Exit(0 if running else 1)
    state = f"running, process {found.pid}" if running else f"NOT running; last seen {ago(found.at, now)} ago"
    width = terminal_width()
    for title, text in _head(found, state):
        print("\n".join(folded(f"{title:<10} ", text, width)))
    print()
    print("\n".join([*_clusters(found, now, width), *_workspaces(found, width)]))
    if not running:
        raise typer.Exit(1)


def _clusters(found: "Status", now: "datetime", width: int | None) -> Iterator[str]:
    """A line a cluster, and one below for its last error; a name that leaves no room for the rest is cut."""
    from batcher.text import ago, cut, folded, safe, table

    headers = ("CLUSTER", "WATCH", "LAG", "LAST EVENT", "CONTACT", "RESTARTS", "EVENTS")
    rest = [
        (
            c.watch,
            f"{c.lag_ms / 1000:.1f}s",
            ago(c.last_event_at, now) if c.last_event_at else "never",
            ago(c.last_contact_at, now) if c.last_contact_at else "never",
            str(c.restarts),
            f"{c.events:,}",
        )
        for c in found.clusters
    ]
    longest = width - len(table(headers[1:], rest)[0]) - 3 if width else sys.maxsize
    rows = [(cut(safe(c.name), longest), *cells) for c, cells in zip(found.clusters, rest, strict=True)]
    header, *lines = table(headers, rows, numbers=(2, 5, 6))
    yield header
    for cluster, line in zip(found.clusters, lines, strict=True):
        yield line
        if cluster.last_error:
            yield from folded("   last error: ", cluster.last_error, width)


def _workspaces(found: "Status", width: int | None) -> Iterator[str]:
    """What those took and refused that were written to since the service began."""
    from batcher.status import workspace_rows
    from batcher.text import folded, table

    rows = list(workspace_rows(found, _MOST_WORKSPACES))
    if rows:
        yield ""
        yield from table(("WORKSPACE", "WRITES", "MEAN", "REFUSED"), rows, numbers=(1, 2), width=width, fold=True)
    if len(found.workspaces) > len(rows):
        more = f"and {len(found.workspaces) - len(rows):,} more: see /metrics, or --output json"
        yield from folded("... ", more, width)


def _head(found: "Status", state: str) -> Iterator[tuple[str, str]]:
    """A line each for what goes on, and for what is wrong; not safe yet."""
    from batcher.status import expiry_trouble, mapping_trouble

    yield "service", state
    if found.leadership:
        yield "leader", _leads(found.leadership, found.at)
    yield "batches", f"{found.batch:,}; {found.totals['occurrences']:,} occurrences, {found.totals['gaps']:,} gaps"
    yield "verdicts", ", ".join(_verdicts(found.totals))
    yield "summaries", f"{found.open_summaries:,} open, {found.pending_writes:,} writes pending"
    yield "incidents", f"{found.open_incidents:,} open, {found.totals.get('incidents', 0):,} ended"
    parts = ("config", "spool", "quarantine", "archive", "keeping", "proof", "publish")
    troubles = {name: getattr(found, f"{name}_trouble") for name in parts}
    others = {"mapping": mapping_trouble(found), "expiry": expiry_trouble(found)}
    yield from ((name, text) for name, text in (troubles | others).items() if text)


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
