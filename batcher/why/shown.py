"""A story as lines for a terminal: the answer first, then what to do, then what happened on the way."""

from collections.abc import Iterator
from datetime import datetime

from batcher.telemetry import SummaryKind
from batcher.text import ago, cut, safe
from batcher.why.absence import Absence
from batcher.why.meanings import Counted, Ending
from batcher.why.story import Followed, Story

_MESSAGE = 200
_KINDS = {SummaryKind.SUPPRESSED: " (of its source)", SummaryKind.FOLDED: " (together)", SummaryKind.INCIDENT: ""}
_STATES = {
    Ending.WAITING: "waits for a workspace", Ending.NOBODYS: "nobody's", Ending.PENDING: "not written yet",
    Ending.PUBLISHED: "published, goes on", Ending.REFUSED: "refused, goes on", Ending.DEAD_LETTERED: "dead letter",
    Ending.ARCHIVED: "archived without a workspace", Ending.ENDED: "published, has ended",
}  # fmt: skip


def told(story: Story, *, now: datetime) -> Iterator[str]:
    """Yield the lines, safe for a terminal."""
    yield safe(story.answer)
    if story.to_do:
        yield f"To do: {safe(story.to_do)}."
    for event in story.events:
        yield ""
        yield from (_line(title, text) for title, text in _followed(event, now, is_only=len(story.events) == 1))
    if story.absence:
        yield ""
        yield from (_line(title, text) for title, text in _absent(story.absence, story.since))
    yield ""
    if story.more:
        yield f"{story.more:,} older Events are not shown: choose with -n, --cluster or an Event's name."
    yield _line("as of", f"{_time(story.as_of, now)}; the service {'runs' if story.runs else 'does not run'}")


def _line(title: str, text: str) -> str:
    return f"{title:<11} {safe(text)}".rstrip()


def _followed(event: Followed, now: datetime, *, is_only: bool) -> Iterator[tuple[str, str]]:
    yield "event", f"{event.name}  in {event.namespace} of {event.cluster}: {event.type} {event.reason} {event.about}"
    if not is_only:
        yield "answer", event.answer
    yield "message", cut(safe(event.message), _MESSAGE)
    how_much = f"{event.revisions:,} revisions, {event.occurrences:,} occurrences"
    yield "received", f"{how_much}; {_time(event.received_at, now)}"
    others = {name: number for name, number in event.verdicts.items() if name != event.verdict}
    more = f" (also {', '.join(f'{number:,} {name}' for name, number in others.items())})" if others else ""
    yield "verdict", f"{event.verdict}{more}"
    for title, names in (("kept by", event.kept_by), ("shadowed", event.shadowed), ("routes", event.routes)):
        if names:
            yield title, names
    yield "mapping", _mapping(event)
    for counted in event.counted_by:
        yield from _counted(counted, now)


def _mapping(event: Followed) -> str:
    found = event.mapping
    if found is None:
        return f"nothing was heard of namespace {event.namespace} lately"
    if found.workspace:
        return f"{found.workspace} / {found.namespace}, by {found.source}"
    return f"none; {found.source or 'nothing'} decides" + (f" ({found.flaw})" if found.flaw else "")


def _counted(counted: Counted, now: datetime) -> Iterator[tuple[str, str]]:
    place = f"{counted.workspace} / {counted.namespace}" if counted.workspace else "no workspace"
    yield "summary", f"{counted.summary}{_KINDS.get(counted.kind, '')}: {_STATES[counted.ending]}"
    yield "", f"{counted.reason} {counted.about} in {place}, {counted.occurrences:,} occurrences"
    if counted.written_at:
        behind = "; newer totals wait" if counted.behind else ""
        yield "writes", f"{counted.writes:,} of {counted.event}; last outcome {_time(counted.written_at, now)}{behind}"
    if counted.refusal:
        yield "refused", counted.refusal
    if counted.waits_until:
        yield "waits until", f"{counted.waits_until:%Y-%m-%dT%H:%M:%SZ}"
    if counted.incident:
        yield "incident", f"{counted.incident[:12]}; see: batcher incidents describe {counted.incident[:12]}"


def _absent(absence: Absence, since: datetime | None) -> Iterator[tuple[str, str]]:
    yield "since", f"{since:%Y-%m-%dT%H:%M:%SZ}" if since else "ever"
    yield "clusters", ", ".join(absence.clusters) or "none was heard of"
    yield "gaps", "; ".join(absence.gaps) or "none: each was listened to"
    yield "quarantine", ", ".join(absence.quarantined) or "no line has that name"
    yield "nearest", ", ".join(absence.nearest) or "nothing is called alike"


def _time(at: datetime, now: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ} ({ago(at, now)} ago)"
