"""What a rule would do: tried on the rows that are archived, or staged for it.

A row says what became of it, so that a trial tells what the rule would change: of what it matches, some was told, some
was kept by a rule, and some was told to nobody anyway. Reads some columns of the rows of the time that is asked for,
a piece at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import yaml

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import DataDirectory
from batcher.batch.process import staged_paths
from batcher.errors import UsageError
from batcher.stages.filter import FilterRule
from batcher.stages.match import matches
from batcher.telemetry import Action, Verdict
from batcher.text import cut, safe, table

_BY = ("reason", "namespace", "cluster")
_TOLD = (Verdict.KEPT.value, Verdict.UNMAPPED.value)
_LONGEST_FILE = 1 << 20
_SAMPLE = 100
_VERB = {Action.DROP: "drop", Action.KEEP: "keep", Action.SHADOW: "count"}


class Share(msgspec.Struct, frozen=True):
    """How many of the rows that a rule matches have a value."""

    value: str
    rows: int
    occurrences: int


class Sample(msgspec.Struct, frozen=True):
    """One of the newest rows that a rule matches."""

    received_at: datetime
    cluster: str
    namespace: str
    regarding_kind: str
    regarding_name: str
    type: str
    reason: str
    message: str
    verdict: str


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule matches among the rows since a time; rows are revisions."""

    name: str
    action: Action
    since: datetime
    rows: int
    """All that were received since."""
    matches: int
    occurrences: int
    """Of those that match."""
    share: float
    """Matches of rows."""
    told: int
    """Of the matches, what was told or waits for a workspace, and no keep rule named: what a drop rule would change."""
    kept_by_rule: int
    """Of the matches, what a keep rule kept."""
    not_told: int
    """Of the matches, what was told to nobody anyway: filtered, held back or archived only."""
    reasons: list[Share]
    namespaces: list[Share]
    clusters: list[Share]
    samples: list[Sample]


def rule_document(text: str) -> Mapping[str, Any]:
    """Return the rule in the file that ``text`` names, or in ``text`` itself, YAML or JSON; its name and action may
    be missing.

    Raises :class:`UsageError` if there is none.
    """
    said, where = (_read(Path(text)), safe(text)) if _is_file(text) else (text, "RULE")
    try:
        document = yaml.safe_load(said)
    except (yaml.YAMLError, ValueError) as error:
        message = f"{where}: not YAML: {' '.join(str(error).split())}"
        raise UsageError(message) from None
    if not isinstance(document, dict):
        message = f"{where}: neither a rule of the configuration, nor a file, nor a mapping such as {{match: ...}}"
        raise UsageError(message)
    return {"name": "test", "action": Action.DROP.value} | document


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # too long to be a name
        return False


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_LONGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        message = f"{safe(str(path))}: {reason}"
        raise UsageError(message) from None


def tried(
    directory: DataDirectory, rule: FilterRule, *, critical: Sequence[str], since: datetime, top: int, samples: int
) -> Trial:
    """Return what ``rule`` matches among the rows that were received ``since``, with the ``top`` values of each list.

    Raises :class:`batcher.errors.ArchiveError`.
    """

    def look() -> Trial:
        found = scan(directory.archive, "occurrences", staged_paths(directory)["occurrences"], since=since)
        rows = found.filter(pl.col("received_at") >= since)
        every = int(rows.select(pl.len()).collect().item())
        hit = rows.filter(matches(rule.match, critical=critical))
        newest = hit.select("position", *Sample.__struct_fields__).top_k(samples, by="position").collect()
        return _trial(rule, since, every, _grouped(hit), _samples(newest), top)

    return settled(look)


def _grouped(hit: pl.LazyFrame) -> pl.DataFrame:
    told = pl.col("verdict").is_in(_TOLD)
    kept = pl.col("kept_by").fill_null("") != ""
    return (
        hit.with_columns(became=pl.when(~told).then(pl.lit("not_told")).when(kept).then(pl.lit("kept_by_rule"))
                         .otherwise(pl.lit("told")))
        .group_by("became", *_BY)
        .agg(rows=pl.len(), occurrences=pl.sum("grew"))
        .collect()
    )  # fmt: skip


def _samples(newest: pl.DataFrame) -> list[Sample]:
    rows = newest.sort("position", descending=True).drop("position").fill_null("")
    return [Sample(*row) for row in rows.iter_rows()]


def _trial(
    rule: FilterRule, since: datetime, every: int, found: pl.DataFrame, samples: list[Sample], top: int
) -> Trial:
    became: dict[str, int] = dict(found.group_by("became").agg(pl.sum("rows")).iter_rows())
    number = int(found["rows"].sum())
    reasons, namespaces, clusters = (_top(found, column, top) for column in _BY)
    return Trial(
        name=rule.name,
        action=rule.action,
        since=since,
        rows=every,
        matches=number,
        occurrences=int(found["occurrences"].sum()),
        share=number / every if every else 0.0,
        told=became.get("told", 0),
        kept_by_rule=became.get("kept_by_rule", 0),
        not_told=became.get("not_told", 0),
        reasons=reasons,
        namespaces=namespaces,
        clusters=clusters,
        samples=samples,
    )


def _top(found: pl.DataFrame, column: str, top: int) -> list[Share]:
    shares = found.group_by(pl.col(column).fill_null("")).agg(pl.sum("rows", "occurrences"))
    ordered = shares.sort("rows", column, descending=[True, False]).head(top)
    return [Share(*row) for row in ordered.select(column, "rows", "occurrences").iter_rows()]


def told(trial: Trial, *, period: str) -> Iterator[str]:
    """Yield the lines for a terminal; ``period`` is how far back it looked, as the user said it."""
    yield f"rule {trial.name} ({trial.action}), on {trial.rows:,} rows of the last {period}"
    yield ""
    numbers = [
        ("matches", trial.matches, f"{100 * trial.share:.1f}% of the rows, {trial.occurrences:,} occurrences"),
        (f"would {_VERB[trial.action]}", trial.told, "told so far, or waiting for a workspace"),
        ("kept by a rule", trial.kept_by_rule, "changes only if this rule stands before that one"),
        ("not told anyway", trial.not_told, "filtered, held back or archived only"),
    ]
    yield from table([], [(name, f"{number:,}", what) for name, number, what in numbers], numbers={1})
    for header, shares in zip(_BY, (trial.reasons, trial.namespaces, trial.clusters), strict=True):
        if shares:
            yield ""
            yield from table((header.upper(), "ROWS", "SHARE"), _cells(shares, trial.matches), numbers={1, 2})
    if trial.samples:
        yield ""
        yield from table(("NEWEST MATCHES", "REASON", "MESSAGE"), map(_sample, trial.samples))


def _cells(shares: Sequence[Share], of: int) -> Iterator[tuple[str, ...]]:
    for share in shares:
        yield cut(safe(share.value), 63) or "(none)", f"{share.rows:,}", f"{100 * share.rows / of:.1f}%"


def _sample(sample: Sample) -> tuple[str, ...]:
    place = f"{sample.cluster}/{sample.namespace}/{sample.regarding_kind.lower()}/{sample.regarding_name}"
    return cut(safe(place), 60), cut(safe(sample.reason), 40), cut(safe(sample.message), _SAMPLE)
