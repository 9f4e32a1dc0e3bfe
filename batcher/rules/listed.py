"""Each rule with what it did: since it is there, by the last commit, or in the last hours, by the archive's rows."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import polars as pl

from batcher.archive import scan
from batcher.archive.read import settled
from batcher.batch import Commit, DataDirectory
from batcher.batch.process import staged_paths
from batcher.clock import from_micros, to_micros
from batcher.errors import UsageError
from batcher.pipeline import Rules
from batcher.stages.filter import Case, cases
from batcher.stages.match import Match, covers
from batcher.telemetry import Action, RuleCount, Verdict
from batcher.text import ago, cut

HEADERS = ("RULE", "ACTION", "HITS", "SHARE", "LAST HIT", "NOTE", "SAMPLE")
WIDE_HEADERS = (
    "RULE", "ACTION", "ROWS", "MATCHES", "HITS", "SHARE", "OCCURRENCES", "SINCE", "LAST HIT", "MATCH", "NOTE", "SAMPLE",
)  # fmt: skip
NUMBERS = {"ROWS", "MATCHES", "HITS", "SHARE", "OCCURRENCES"}
SAMPLE, WIDE_SAMPLE = 60, 300
"""Characters of a message."""


class RuleLine(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, as the commands show it; rows are revisions."""

    name: str
    action: Action
    match: dict[str, Any]
    """What of its match is given."""
    since: datetime | None
    """From when on it was counted; None: not yet."""
    rows: int
    """All that were judged since."""
    hits: int
    """Rows that it decided, or shadowed before any rule decided."""
    occurrences: int
    """Of those."""
    share: float
    """Hits of rows."""
    matches: int
    """Rows that it matches, whoever decided them; since it is there."""
    taken: dict[str, int]
    """Of those, the ones that a rule before it had decided."""
    last_hit: datetime | None
    note: str
    """Whether it never fires, or stands behind a rule that takes all it is for."""
    sample: str
    """The message of its last hit."""


class _Hits(NamedTuple):
    """What is counted of a rule in some time."""

    rows: int = 0
    hits: int = 0
    occurrences: int = 0
    last_at: int = 0
    last_position: int = 0


def in_use(directory: DataDirectory) -> Rules:
    """Return the rules of the newest plan. Raises :class:`UsageError` if there was none yet."""
    last = _last(directory)
    plan = last and (directory.plan_after(last.batch) or directory.plan(last.batch))
    if not plan:
        message = f"{directory.root}: no batch has been here yet; give the --config"
        raise UsageError(message)
    return msgspec.json.decode(directory.read_rules(plan.config), type=Rules)


def _last(directory: DataDirectory) -> Commit | None:
    return next(iter(reversed(directory.commits())), None)


def listed(directory: DataDirectory, rules: Rules, *, since: datetime | None = None) -> list[RuleLine]:
    """Return a line for each rule and built-in one, in the order in which they are asked.

    With ``since``, hits are those of the rows that were received from then on, archived or staged. Raises
    :class:`batcher.errors.ArchiveError`.
    """
    last = _last(directory)
    counts = {(count.name, count.action): count for count in (last.rules if last else [])}
    asked = cases(rules.filter)
    found = settled(lambda: _since(directory, since)) if since else {}
    every = found.pop("", _Hits())

    def hits(case: Case, count: RuleCount) -> _Hits:
        if since:
            return found.get(f"{case.action.value}:{case.name}", _Hits())._replace(rows=every.rows)
        return _Hits(count.rows, count.hits, count.occurrences, count.last_at, count.last_position)

    known = [counts.get((case.name, case.action)) for case in asked]
    did = [hits(case, count or _nothing(case)) for case, count in zip(asked, known, strict=True)]
    samples = settled(lambda: _samples(directory, did))
    return [
        _line(case, count, each, note=_note(asked[:number], case, count), since=since, samples=samples)
        for number, (case, count, each) in enumerate(zip(asked, known, did, strict=True))
    ]


def _nothing(case: Case) -> RuleCount:
    return RuleCount(case.name, case.action, since=0)


def _line(
    case: Case, count: RuleCount | None, did: _Hits, *, note: str, since: datetime | None, samples: dict[int, str]
) -> RuleLine:
    counted = count or _nothing(case)
    return RuleLine(
        name=case.name,
        action=case.action,
        match=_given(case.match) | ({"negated": True} if case.negated else {}),
        since=since or (from_micros(counted.since) if count else None),
        rows=did.rows,
        hits=did.hits,
        occurrences=did.occurrences,
        share=did.hits / did.rows if did.rows else 0.0,
        matches=counted.matches,
        taken=counted.taken,
        last_hit=from_micros(did.last_at) if did.last_at else None,
        note=note,
        sample=samples.get(did.last_position, "") if did.hits else "",
    )


def _given(match: Match) -> dict[str, Any]:
    found = match._asdict() | {"severity": match.severities}
    del found["severities"]
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value or (name == "clusters" and value is not None)
    }


def _note(before: Sequence[Case], case: Case, count: RuleCount | None) -> str:
    hiding = [other.name for other in before if _hides(other, case)]
    if hiding:
        return f"hidden by {hiding[0]}, which is for all of its rows"
    if not count or not count.rows:
        return "asked of no row yet"
    if count.matches and not count.hits:
        return f"hidden by {', '.join(f'{name} ({rows:,} rows)' for name, rows in _by_rows(count.taken))}"
    return "" if count.hits else f"never hit, in {count.rows:,} rows"


def _hides(other: Case, case: Case) -> bool:
    """A rule of the built-in ones that is for what does not match is compared with none."""
    negated = other.negated or case.negated
    return other.action is not Action.SHADOW and not negated and covers(other.match, case.match)


def _by_rows(taken: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(taken.items(), key=lambda each: (-each[1], each[0]))


def _since(directory: DataDirectory, since: datetime | None) -> dict[str, _Hits]:
    """Hits by action and name, ``drop:noise``; by the empty name, those of all rows."""
    rows = scan(directory.archive, "occurrences", staged_paths(directory)["occurrences"], since=since)
    by_verdict = (
        rows.filter(pl.col("received_at") >= since)
        .group_by(pl.col("verdict", "shadowed", "kept_by").fill_null(""))
        .agg(pl.len(), pl.sum("grew"), pl.max("received_at", "position"))
        .collect()
    )
    found: dict[str, _Hits] = {}
    for verdict, shadowed, kept_by, hits, grew, at, position in by_verdict.iter_rows():
        for name in ["", *_hit(verdict, shadowed, kept_by)]:
            one = found.get(name, _Hits())
            newest = max((one.last_at, one.last_position), (to_micros(at), position))
            found[name] = _Hits(one.rows + hits, one.hits + hits, one.occurrences + grew, *newest)
    return found


def _hit(verdict: str, shadowed: str, kept_by: str) -> Iterator[str]:
    """The rules that a row says it was hit by."""
    kind, _, name = verdict.partition(":")
    if kind == Verdict.FILTERED.value:
        yield f"{Action.DROP.value}:{name}"
    if kept_by:
        yield f"{Action.KEEP.value}:{kept_by}"
    yield from (f"{Action.SHADOW.value}:{name}" for name in shadowed.split(",") if name)


def _samples(directory: DataDirectory, did: Iterable[_Hits]) -> dict[int, str]:
    """The messages of the last hits, by their position."""
    hit = [each for each in did if each.hits]
    if not hit:
        return {}
    oldest = from_micros(min(each.last_at for each in hit))
    rows = scan(directory.archive, "occurrences", staged_paths(directory)["occurrences"], since=oldest)
    positions = sorted({each.last_position for each in hit})
    return dict(rows.filter(pl.col("position").is_in(positions)).select("position", "message").collect().iter_rows())


def cells(lines: Iterable[RuleLine], *, now: datetime, wide: bool) -> list[tuple[str, ...]]:
    """Return the cells of :data:`HEADERS`, or of :data:`WIDE_HEADERS`."""
    return [_wide(line) if wide else _narrow(line, now) for line in lines]


def _narrow(line: RuleLine, now: datetime) -> tuple[str, ...]:
    last = ago(line.last_hit, now) if line.last_hit else "never"
    return line.name, line.action, f"{line.hits:,}", _percent(line), last, line.note, cut(line.sample, SAMPLE)


def _wide(line: RuleLine) -> tuple[str, ...]:
    times = [f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "never" for at in (line.since, line.last_hit)]
    numbers = [f"{number:,}" for number in (line.rows, line.matches, line.hits)]
    match = msgspec.json.encode(line.match).decode() if line.match else "all"
    said = (match, line.note, cut(line.sample, WIDE_SAMPLE))
    return line.name, line.action, *numbers, _percent(line), f"{line.occurrences:,}", *times, *said


def _percent(line: RuleLine) -> str:
    return f"{100 * line.share:.1f}%"
