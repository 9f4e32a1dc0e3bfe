"""What rules cost: filtering a batch, and taking texts out of lines before they are spooled.

Protects two decisions: each rule is a few expressions over the whole frame, with no detour over distinct values; and
lines are searched by their decoded texts, of which only those in which something is found are decoded whole. The filter
runs in a process with one polars thread, because its target is one of a core's time.
"""

import os
import time
from collections.abc import Iterator

import polars as pl

from batcher.decode import decode
from batcher.redact import Redaction, Redactor
from batcher.stages.filter import Filter, FilterRule, cases, filter_rows
from batcher.stages.match import Match
from batcher.stages.tally import tally
from batcher.telemetry import Action, Verdict
from benchmarks.load import frames, lines
from benchmarks.measure import Figure, alone, cpu_micros, figure

ROWS, RULES = 10_000, 50
PATTERNS = (
    r"context deadline exceeded{3}",
    r"token=[^\s&]+",
    r"(?i)time(d )?out",
    r"pod [a-z0-9-]+_team-1\d:",
    r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b",
    r"^Back-off .* image",
    r"(connection|context) (refused|deadline)",
    r"x\S+y\S+z$",
    r"(?i)out ?of ?memory|oom",
    r"(back-?off|retry(ing)?) \d+ times",
)
"""What people look for; half of them find something here."""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yield the filter on one core, then the search of lines that are about to be spooled."""
    runs = 9 if quick else 25
    os.environ["POLARS_MAX_THREADS"] = "1"  # of the processes that are started from here on
    for patterns in (0, 10):
        told = f"filter: {ROWS:,} rows through {RULES} rules, {patterns or 'none'} with message patterns, one core"
        yield figure(told, "ms CPU a batch", alone(filtered, patterns, runs))
    del os.environ["POLARS_MAX_THREADS"]
    yield from _redacting(3 if quick else 5)


def filtered(patterns: int, runs: int) -> list[float]:
    """Return the milliseconds of each of ``runs``; verdicts, shadows and counts of every rule."""
    assert pl.thread_pool_size() == 1
    said = Filter(tuple(rules(patterns)), minimum="warning")
    rows = decode(frames(lines(ROWS))).lines.with_columns(
        workspace=pl.lit("root:shop"), verdict=pl.lit(Verdict.KEPT.value), grew=pl.lit(1, pl.Int64)
    )
    return [_milliseconds(rows, said) for _ in range(runs + 2)][2:]


def _milliseconds(rows: pl.DataFrame, said: Filter) -> float:
    began = time.process_time()
    judged = filter_rows(rows.lazy(), said).collect(engine="in-memory")
    counted = tally(judged.lazy(), cases(said)).collect(engine="in-memory")
    took = (time.process_time() - began) * 1000
    assert len(judged) == ROWS
    assert 0.1 < judged["verdict"].str.starts_with(Verdict.FILTERED.value).mean() < 0.9  # type: ignore[operator]
    assert len(counted)
    return took


def rules(patterns: int) -> Iterator[FilterRule]:
    """Yield rules of every kind; ``patterns`` of them look into messages."""
    for number in range(RULES):
        action = (Action.DROP, Action.SHADOW, Action.DROP, Action.KEEP)[number % 4]
        message = PATTERNS[number // 5] if patterns and number % 5 == 0 else ""
        yield FilterRule(f"rule-{number}", action, _match(number)._replace(message=message))


def _match(number: int) -> Match:
    return (
        Match(reasons=("Unhealthy", f"Failed{number}*"), namespaces=(f"team-{number % 40}", "kube-*")),
        Match(types=("Warning",), namespaces=(f"team-{number % 4}?",)),
        Match(objects=(f"Pod/app-{number}-*", "Node/*")),
        Match(severities=("warning", "critical"), clusters=("us-west1",), reasons=(f"?ackOff{number % 3}",)),
        Match(reasons=("Pulled", "Created", "Start*"), objects=(f"pod/*-{number}*",)),
        Match(workspaces=("^root:dev-.*$",), reasons=("*",)),
        Match(severities=("normal",), namespaces=(f"team-{number}",)),
    )[number % 7]


def _redacting(runs: int) -> Iterator[Figure]:
    raw = lines(20_000)
    sections = [section for _, some in frames(raw) for section in some]
    searched = {
        "none found": [Redaction(r"token=[^\s&]+", "token=***")],
        "three patterns, none found": [Redaction(pattern, "***") for pattern in (r"token=\S+", r"pw:\S+", r"key=\S+")],
        "found in every line": [Redaction("deadline", "***")],
    }
    for what, redactions in searched.items():
        redact = Redactor(redactions)
        yield cpu_micros(f"redaction at the spool, {what}", len(raw), lambda redact=redact: redact(sections), runs)  # type: ignore[misc]
