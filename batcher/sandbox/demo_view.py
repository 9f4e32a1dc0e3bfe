"""How the demo looks: a live table while it plays, and a report of at most 80 columns at its end.

Plain text, so that it can be piped, read aloud and compared; colour says nothing that words do not.
"""

import asyncio
import re
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from batcher import clock
from batcher.errors import UsageError
from batcher.incidents import Incident
from batcher.sandbox.demo import Demo, Options, Report
from batcher.sandbox.replay import read_dump
from batcher.sandbox.scenario import CLUSTERS, WORKSPACES
from batcher.settings import duration_flag
from batcher.status import ClusterStatus
from batcher.store import Root
from batcher.text import ago, cut, safe, table

WIDTH = 80
_EVENTS_SHOWN = 6
_REFRESH_SECONDS = 0.25
_RATE = re.compile(r"(\d+)(?:/(s|m|min|h))?")
_PER_MINUTE = {"s": 60.0, "m": 1.0, "min": 1.0, "h": 1 / 60}


def parse_options(*, duration: str, rate: str, replay: Path | None, data_dir: Path) -> Options:
    """Return the demo's options. Raises :class:`UsageError` for the first flag that is wrong."""
    length = duration_flag("--duration", duration)
    match = _RATE.fullmatch(rate)
    if not match or int(match[1]) < 1:
        message = f"--rate: {rate!r} is not a rate such as 2000/min or 50/s"
        raise UsageError(message)
    per_minute = max(1, round(int(match[1]) * _PER_MINUTE[match[2] or "min"]))
    return Options(length, per_minute, data_dir.absolute(), read_dump(replay) if replay else None)


def play(options: Options, *, live: bool) -> Report:
    """Play the demo and return its report; Ctrl-C comes to the report early."""
    return asyncio.run(_play(options, live=live))


async def _play(options: Options, *, live: bool) -> Report:
    demo = Demo(options, now=clock.now)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, demo.stop)
    if not live:
        return await demo.run()
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(demo.run())
        viewing = group.create_task(_show(demo, options))
        report = await playing
        viewing.cancel()
    return report


async def _show(demo: Demo, options: Options) -> None:
    start = asyncio.get_running_loop().time()
    with Live(console=Console(width=WIDTH, highlight=False), transient=True, auto_refresh=False) as view:
        while True:
            passed = asyncio.get_running_loop().time() - start
            view.update(Text("\n".join(_live_lines(demo, options, passed))), refresh=True)
            await asyncio.sleep(_REFRESH_SECONDS)


def _live_lines(demo: Demo, options: Options, passed: float) -> Iterator[str]:
    whole = options.duration.total_seconds()
    state = f"{min(passed, whole):.0f} of {whole:.0f} s" if passed < whole else "settling"
    yield from _title(options, state)
    if demo.service:
        yield from cluster_table(demo.service.status.clusters)
        yield ""
        yield sums_line(demo.service.status.totals)
        yield f"the simulator made {demo.emitter.occurrences:,}".rjust(WIDTH - 1)
    yield "Ctrl-C ends it early, with the report."


def _title(options: Options, state: str) -> Iterator[str]:
    what = "a replayed dump" if options.replay else f"{len(CLUSTERS)} simulated clusters"
    left = f"batcher demo   {what} -> kcp, {len(WORKSPACES)} workspaces"
    yield left + state.rjust(WIDTH - len(left) - 1)
    yield ""


def cluster_table(clusters: list[ClusterStatus]) -> list[str]:
    """Return the lines of one row a cluster."""
    headers = ("CLUSTER", "RECEIVED", "OCCURRENCES", "WARNINGS", "LAG", "WATCH")
    rows = [
        (
            c.name,
            f"{c.events:,}",
            f"{c.occurrences:,}",
            f"{c.warnings:,}",
            f"{c.lag_ms / 1000:.1f}s",
            c.watch,
        )
        for c in clusters
    ]
    return table(headers, rows, width=WIDTH, numbers=(1, 2, 3, 4))


def sums_line(totals: dict[str, int]) -> str:
    """Return the way from what was received to what was written, in one line."""
    aside = [f"{totals[name]:,} {name}" for name in ("repeats", "ignored", "quarantined") if totals[name]]
    return (
        f"{totals['received']:,} received{''.join(f', {part}' for part in aside)} -> "
        f"{totals['occurrences']:,} occurrences -> {totals['opened']:,} summaries -> {totals['writes']:,} writes"
    )


def report_lines(report: Report, options: Options) -> Iterator[str]:
    """Yield the report's lines, at most 80 columns wide."""
    yield from _title(options, "" if options.replay else f"{options.duration.total_seconds():.0f} s")
    yield from cluster_table(report.clusters)
    yield ""
    yield from _folded(sums_line(report.totals))
    counted = f"Counted {report.totals['occurrences']:,}; the simulator made {report.true_occurrences:,}."
    yield counted.ljust(70) + ("exact" if report.exact else "WRONG")
    yield "Every line accounted for (verify).".ljust(70) + ("ok" if report.verified else "FAILED")
    yield from (f"  FAILED {check.name}: {check.detail}" for check in report.checks if not check.ok)
    yield from _incidents(report.incidents)
    for path, events in report.workspaces.items():
        yield from _workspace(path, events)
    yield ""
    yield from _places(f"Archive: {_short(report.archive)}", f"Kubeconfig: {_short(report.kubeconfig)}")
    yield f"Next:  batcher events -A --since 5m --data-dir {_short(options.data_dir)}"
    yield "       batcher run --config deploy/examples/one-cluster.yaml"


def _places(*places: str) -> list[str]:
    """In one line if it has room for them; a path is not cut, so that it can be copied."""
    line = "   ".join(places)
    return [line] if len(line) < WIDTH else [*places]


def _incidents(incidents: list[Incident]) -> Iterator[str]:
    if not incidents:
        return
    yield ""
    yield "$ batcher incidents list"
    cells = [
        (
            each.id,
            each.workspace,
            each.reason,
            each.value,
            f"{len(each.clusters)}/{len(each.clusters) + len(each.absent)}",
            f"{each.occurrences:,}",
        )
        for each in incidents
    ]
    headers = ("INCIDENT", "WORKSPACE", "REASON", "WHAT", "CLUSTERS", "COUNT")
    header, *lines = table(headers, cells, width=WIDTH - 1, numbers=(5,))
    yield header
    for each, line in zip(incidents, lines, strict=True):
        yield line
        if each.cause:
            yield cut(f"   likely cause: {safe(each.cause)}", WIDTH - 1)


def _workspace(path: str, events: list[dict[str, Any]]) -> Iterator[str]:
    for namespace in sorted({event["metadata"]["namespace"] for event in events}):
        inside = [event for event in events if event["metadata"]["namespace"] == namespace]
        command = f"$ kubectl get events -n {namespace}"
        yield ""
        yield command + path.rjust(WIDTH - len(command) - 1)
        yield from table(
            ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"),
            (_event_row(event, clock.now()) for event in inside[:_EVENTS_SHOWN]),
            width=WIDTH - 1,
        )
        if len(inside) > _EVENTS_SHOWN:
            yield f"... and {len(inside) - _EVENTS_SHOWN} more"


def _event_row(event: dict[str, Any], now: datetime) -> tuple[str, ...]:
    about = event["involvedObject"]
    return (
        ago(datetime.fromisoformat(event["lastTimestamp"]), now),
        event["type"],
        event["reason"],
        f"{about['kind'].lower()}/{cut(about['name'], 24)}",
        event["message"],
    )


def _folded(line: str) -> Iterator[str]:
    """``line``, broken at an arrow where it is longer than the screen."""
    *parts, last = [part + " ->" for part in line.split(" ->")]
    current = ""
    for part in [*parts, last.removesuffix(" ->")]:
        if len(current) + len(part) >= WIDTH:
            yield current
            current = "   "
        current += part
    yield current


def _short(path: Root) -> str:
    """``path`` as the user would type it from here."""
    if isinstance(path, Path) and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)
