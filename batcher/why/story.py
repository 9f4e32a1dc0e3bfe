"""An Event followed from its receipt to its workspace."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import polars as pl

from batcher import failed, namespaces
from batcher.batch import DataDirectory
from batcher.batch.process import latest, rules_of_last
from batcher.clock import from_micros
from batcher.errors import DataDirError, UsageError
from batcher.pipeline import Rules
from batcher.stages.grade import grade, is_severe
from batcher.status import is_running, read_status
from batcher.telemetry import Verdict
from batcher.why.absence import Absence, absence, not_received
from batcher.why.meanings import Answer, Because, Counted, Facts, answer
from batcher.why.rows import asked, found, keys
from batcher.why.summaries import Known, counting, known


class Target(msgspec.Struct, frozen=True):
    """Which workspace the namespace has now."""

    workspace: str
    namespace: str
    source: str
    """Who decided; empty: nobody."""
    flaw: str


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """An Event, and what became of it: of the newest of its revisions that adds something."""

    because: Because
    answer: str
    to_do: str
    cluster: str
    cluster_uid: str
    namespace: str
    name: str
    uid: str
    about: str
    type: str
    reason: str
    message: str
    received_first: datetime
    received_at: datetime
    revisions: int
    """Since the time that was asked for, as are ``occurrences`` and ``verdicts``."""
    occurrences: int
    verdict: str
    verdicts: dict[str, int]
    """Of all its revisions."""
    severity: str
    routes: str
    kept_by: str
    shadowed: str
    counted_by: list[Counted]
    mapping: Target | None
    """None: nothing is known of its namespace."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, what to do, and the details."""

    asked: str
    because: Because
    answer: str
    to_do: str
    since: datetime | None
    as_of: datetime
    """The last commit."""
    runs: bool
    """Whether the service runs."""
    events: list[Followed]
    more: int
    """Events that are not followed here, because they are too many."""
    absence: Absence | None


def story(
    directory: DataDirectory, text: str, *, namespace: str = "", cluster: str = "", since: str = "", now: datetime
) -> Story:
    """Return what became of ``text``: an object (``KIND/NAME``), or an Event by its name or uid.

    Raises :class:`UsageError` for what names nothing, or if there was no batch yet;
    :class:`batcher.errors.ArchiveError`.
    """
    what = asked(text, namespace=namespace, cluster=cluster, since=since, now=now)
    rules = rules_of_last(directory)
    commit, state = latest(directory)
    there, runs = found(directory, what), _runs(directory, now)
    broken = failed.waiting(directory)
    shared: dict[str, Any] = {
        "asked": text,
        "since": what.selection.since,
        "as_of": from_micros(commit.now),
        "runs": runs,
    }
    if there.rows.is_empty():
        nothing = absence(directory, what, state["clocks"], broken)
        return Story(**shared, **_as_fields(not_received(nothing, runs=runs)), events=[], more=0, absence=nothing)
    dead = {each.id: each.cause for each in broken if each.kind == "letter"}
    every = known(directory, state, rules, there.rows, dead, now)
    verdicts = _by_event(there.verdicts)
    mappings = _mappings(directory, there.rows)
    told = _told_under(there.rows, rules)
    about = _About(rules, every, told, verdicts, mappings, now, runs)
    events = [_followed(row, about) for row in _graded(there.rows, rules).iter_rows(named=True)]
    return Story(
        **shared, **_as_fields(_summed_up(events)), events=events, more=there.events - len(events), absence=None
    )


def _as_fields(said: Answer) -> dict[str, Any]:
    return {"because": said.because, "answer": said.text, "to_do": said.to_do}


def _runs(directory: DataDirectory, now: datetime) -> bool:
    with contextlib.suppress(DataDirError):
        return is_running(read_status(directory.root), now)
    return False


def _graded(rows: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    return rows.with_columns(
        severity=grade(rules.critical), is_severe=is_severe(rules.minimum, rules.critical)
    ).with_columns(pl.col(pl.String).fill_null(""))


def _told_under(rows: pl.DataFrame, rules: Rules) -> dict[int, list[dict[str, Any]]]:
    told: dict[int, list[dict[str, Any]]] = {}
    for key in keys(rows, rules).iter_rows(named=True):
        told.setdefault(key["position"], []).append(key)
    return told


def _by_event(verdicts: pl.DataFrame) -> dict[tuple[str, str], dict[str, int]]:
    by_event: dict[tuple[str, str], dict[str, int]] = {}
    for cluster, uid, verdict, number in verdicts.iter_rows():
        by_event.setdefault((cluster, uid), {})[verdict] = number
    return by_event


def _mappings(directory: DataDirectory, rows: pl.DataFrame) -> dict[tuple[str, str], Target]:
    told: dict[tuple[str, str], Target] = {}
    for cluster, namespace in rows.select("cluster", "namespace").unique().iter_rows():
        with contextlib.suppress(UsageError):
            each = namespaces.story(directory, namespace, cluster).namespace
            told[cluster, namespace] = Target(each.workspace, each.target_namespace, each.source, each.flaw)
    return told


class _About(NamedTuple):
    """What all answers depend on."""

    rules: Rules
    every: Known
    told: Mapping[int, Sequence[Mapping[str, Any]]]
    verdicts: Mapping[tuple[str, str], dict[str, int]]
    mappings: Mapping[tuple[str, str], Target]
    now: datetime
    runs: bool


def _followed(row: Mapping[str, Any], about: _About) -> Followed:
    counted = [
        each
        for key in about.told.get(row["position"], ())
        for each in counting(about.every, key, row["namespace"], about.rules.hold)
    ]
    once = {each.summary: each for each in counted}
    because, text, to_do = answer(_facts(row, tuple(once.values()), about))
    same = {name: row[name] for name in _SAME}
    return Followed(
        because=because,
        answer=text,
        to_do=to_do,
        about=f"{row['regarding_kind'].lower()}/{row['regarding_name']}",
        received_first=row["first_received"],
        verdicts=about.verdicts[row["cluster_uid"], row["uid"]],
        counted_by=list(once.values()),
        mapping=about.mappings.get((row["cluster"], row["namespace"])),
        **same,
    )


_SAME = (
    "cluster", "cluster_uid", "namespace", "name", "uid", "type", "reason", "message", "received_at", "revisions",
    "occurrences", "verdict", "severity", "routes", "kept_by", "shadowed",
)  # fmt: skip


def _facts(row: Mapping[str, Any], counted: tuple[Counted, ...], about: _About) -> Facts:
    verdict, _, rule = row["verdict"].partition(":")
    return Facts(
        verdict=Verdict(verdict),
        rule=rule,
        namespace=row["namespace"],
        cluster=row["cluster"],
        controller=row["reporting_controller"],
        routes=row["routes"],
        minimum="" if row["is_severe"] else about.rules.minimum,
        grew=row["grew"] > 0,
        counted=counted,
        now=about.now,
        runs=about.runs,
    )


def _summed_up(events: Sequence[Followed]) -> Answer:
    """The answer of the only Event, or of all if it is the same; else how many have which, and the first trouble."""
    first = events[0]
    if len({(each.answer, each.to_do) for each in events}) == 1:
        return Answer(first.because, first.answer, first.to_do)
    numbers = Counter(each.because for each in events)
    parts = ", ".join(f"{number} {because}" for because, number in numbers.most_common())
    to_do = next((each.to_do for each in events if each.because not in _IS_THERE), first.to_do)
    worst = next((each.because for each in events if each.because not in _IS_THERE), first.because)
    return Answer(worst, f"{len(events)} Events were received: {parts}.", to_do)


_IS_THERE = {Because.PUBLISHED, Because.ENDED}
