"""What each verdict, end and refusal means to the one who misses an Event, in a sentence, and what to do about it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from batcher.stages.expire import EXPIRED
from batcher.stages.filter import EXCLUDE_TYPES, INCLUDE_TYPES, MINIMUM_SEVERITY
from batcher.telemetry import SummaryKind, Verdict

KCP_KEEPS = timedelta(hours=1)
"""kcp's own TTL of Events."""


class Ending(StrEnum):
    """Where a summary is on its way."""

    WAITING = "waiting"
    """For a workspace."""
    NOBODYS = "nobodys"
    """Between two targets: it waits for nothing."""
    PENDING = "pending"
    """It has not been written yet."""
    PUBLISHED = "published"
    """It is in its workspace, and goes on."""
    REFUSED = "refused"
    """Its newest version was refused; it goes on."""
    DEAD_LETTERED = "dead-lettered"
    ARCHIVED = "archived"
    """It never had a workspace."""
    ENDED = "ended"
    """Published whole, and over."""


class Because(StrEnum):
    """The answer in a word."""

    NOT_RECEIVED = "not-received"
    FILTERED = "filtered"
    BELOW_SEVERITY = "below-severity"
    ARCHIVE_ONLY = "archive-only"
    NOTHING_NEW = "nothing-new"
    UNTRACED = "untraced"
    """It was told, and nothing of its summary is left."""
    WAITING = "waiting"
    NOBODYS = "nobodys"
    PENDING = "pending"
    PUBLISHED = "published"
    REFUSED = "refused"
    DEAD_LETTERED = "dead-lettered"
    ARCHIVED = "archived"
    ENDED = "ended"


class Answer(NamedTuple):
    """Why, in a word and in a sentence, and what to do; nothing to do is empty."""

    because: Because
    text: str
    to_do: str = ""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A summary that counts the Event."""

    summary: str
    kind: SummaryKind
    ending: Ending
    workspace: str
    namespace: str
    """Of the workspace."""
    event: str
    """The name of the Event in it."""
    about: str
    """``kind/name`` that it is about."""
    reason: str
    occurrences: int
    began_at: datetime
    last_at: datetime
    closed_at: datetime | None = None
    writes: int = 0
    written_at: datetime | None = None
    """When its last outcome came."""
    behind: bool = False
    """Whether newer totals are on their way."""
    refusal: str = ""
    waits_until: datetime | None = None
    incident: str = ""
    elsewhere: bool = False
    """Whether a route tells it there, beside where it is mapped."""


class Facts(NamedTuple):
    """What is known of an Event, as far as answers depend on it."""

    verdict: Verdict
    rule: str = ""
    """Of the filter."""
    namespace: str = ""
    cluster: str = ""
    controller: str = ""
    routes: str = ""
    minimum: str = ""
    """``publish.minimumSeverity`` if it is less severe than that, else empty."""
    grew: bool = True
    counted: tuple[Counted, ...] = ()
    now: datetime | None = None
    runs: bool = True
    """Whether the service runs."""


class Refusal(NamedTuple):
    """What a reason means, and what to do before it is tried again."""

    what: str
    to_do: str


REFUSALS: Mapping[str, Refusal] = {
    "Forbidden": Refusal("batcher may not write Events there", "grant events get, create, update, and access to the "
                         "workspace (batcher check says what is missing)"),
    "NamespaceNotFound": Refusal("it has no such namespace", "create the namespace in the workspace, or correct the "
                                 "mapping"),
    "NamespaceTerminating": Refusal("the namespace is being deleted", "nothing, if that is meant"),
    "WorkspaceNotFound": Refusal("there is no such workspace", "correct the mapping, or create the workspace"),
    "WorkspaceNotAllowed": Refusal("kcp.workspaces does not allow it", "add it to kcp.workspaces, or correct its "
                                   "mapping"),
    "WorkspaceNotBound": Refusal("it has no APIBinding that accepts our claim of Events", "let its people accept the "
                                 "permission claim of the APIExport"),
    "NoAddress": Refusal("no server has such a name or namespace", "look at the mapping of its namespace"),
    "Invalid": Refusal("its server found it invalid", "look at it (batcher failed show), and report it"),
    "BadRequest": Refusal("its server could not read it", "look at it (batcher failed show), and report it"),
    "RequestEntityTooLarge": Refusal("it is too large", "look at it (batcher failed show), and report it"),
    "BodyTooLarge": Refusal("the server's answer is too large to be read", "look at what answers at that address"),
    "MethodNotAllowed": Refusal("its server takes no Events", "look at what answers at that address"),
    "UnsupportedMediaType": Refusal("its server takes no JSON", "look at what answers at that address"),
    "NotFound": Refusal("nothing is served at that address", "correct kcp's address, or the mapping"),
    EXPIRED: Refusal("it waited for longer than publish.maxAge, or behind publish.maxPending others", "see that kcp "
                     "can be reached (batcher status)"),
}  # fmt: skip
"""By the reason that a dead letter has. What is not here is told as it came."""

_BUILT_IN = {
    EXCLUDE_TYPES: "filter.excludeTypes names its type",
    INCLUDE_TYPES: "filter.includeTypes does not name its type",
    MINIMUM_SEVERITY: "it is less severe than filter.minimumSeverity",
}


def answer(facts: Facts) -> Answer:
    """Return why an Event is told or not."""
    return VERDICTS[facts.verdict](facts)


def _filtered(facts: Facts) -> Answer:
    if facts.rule in _BUILT_IN:
        what = f"It was received, and filtered: {_BUILT_IN[facts.rule]}."
        return Answer(Because.FILTERED, what, f"change filter.{facts.rule}, or add a rule that keeps it")
    what = f"It was received, and filtered: rule {facts.rule} drops it."
    see = f"batcher rules test {facts.rule} shows what else that rule drops; change it, or put one that keeps before it"
    return Answer(Because.FILTERED, what, see)


def _archive_only(facts: Facts) -> Answer:
    if facts.minimum:
        what = f"It was received, and only archived: it is less severe than publish.minimumSeverity ({facts.minimum})."
        return Answer(Because.BELOW_SEVERITY, what, "lower publish.minimumSeverity to have it told")
    route = f"route {facts.routes}" if facts.routes else "a route"
    what = f"It was received, and only archived: {route} tells it to nobody."
    return Answer(Because.ARCHIVE_ONLY, what, "add mapped to that route's places to have it told")


def _told(facts: Facts) -> Answer:
    if not facts.counted:
        return _untold(facts)
    best = min(facts.counted, key=lambda counted: (counted.elsewhere, list(Ending).index(counted.ending)))
    because, text, to_do = ENDINGS[best.ending](best, facts)
    return Answer(because, f"{KINDS[best.kind].format(controller=facts.controller or 'unknown')}{text}", to_do)


def _untold(facts: Facts) -> Answer:
    if not facts.grew:
        what = "It was received, and adds nothing: its count is no larger than what was counted before."
        return Answer(Because.NOTHING_NEW, what, "look for the Event that counted it before (a longer --since)")
    what = "It was received and counted, and nothing of its summary is left: it went when the archive's time was over."
    return Answer(Because.UNTRACED, what, "look in the workspace; what kcp had is gone after an hour")


VERDICTS: Mapping[Verdict, Callable[[Facts], Answer]] = {
    Verdict.KEPT: _told,
    Verdict.UNMAPPED: _told,
    Verdict.LIMITED: _told,
    Verdict.ARCHIVE_ONLY: _archive_only,
    Verdict.FILTERED: _filtered,
}
KINDS: Mapping[SummaryKind, str] = {
    SummaryKind.PLAIN: "",
    SummaryKind.SUPPRESSED: (
        "Its source ({controller}) reported more than limit.maxEventsPerMinute, so that it is only counted, "
        "with others. "
    ),
    SummaryKind.FOLDED: "Too much was to be told in that hour, so that it is told together with others. ",
    SummaryKind.INCIDENT: "It belongs to an incident. ",
}
"""What is said before how far its summary has come."""


def _waiting(counted: Counted, facts: Facts) -> Answer:
    until = f" until {_time(counted.waits_until)}" if counted.waits_until else ""
    what = f"It has no workspace yet: namespace {facts.namespace} of {facts.cluster} has none; it waits{until}."
    return Answer(Because.WAITING, what, _see_mapping(facts))


def _nobodys(_: Counted, facts: Facts) -> Answer:
    what = f"It is nobody's: namespace {facts.namespace} of {facts.cluster} was between two workspaces then."
    return Answer(Because.NOBODYS, what, _see_mapping(facts))


def _archived(_: Counted, facts: Facts) -> Answer:
    what = f"It was only archived: namespace {facts.namespace} of {facts.cluster} got no workspace within mapping.hold."
    to_do = "give the namespace a workspace (mapping.rules, or the cluster's workspace); see batcher mapping list"
    return Answer(Because.ARCHIVED, what, to_do)


def _see_mapping(facts: Facts) -> str:
    return f"batcher mapping describe {facts.namespace} --cluster {facts.cluster} says who was asked, and what to do"


def _pending(counted: Counted, facts: Facts) -> Answer:
    what = f"It is on its way: its summary waits to be written to {_place(counted)}."
    to_do = "batcher status says what is wrong with publishing" if facts.runs else "start the service: it does not run"
    return Answer(Because.PENDING, what, to_do)


def _published(counted: Counted, facts: Facts) -> Answer:
    when = f", written at {_time(counted.written_at)}" if counted.written_at else ""
    more = "; newer totals are on their way" if counted.behind else ""
    what = f"It is there: Event {counted.event} in {_place(counted)} counts it{when}{more}."
    return Answer(Because.PUBLISHED, what, _look(counted, facts))


def _ended(counted: Counted, facts: Facts) -> Answer:
    what = f"It was told: Event {counted.event} in {_place(counted)} counted it, until {_time(counted.last_at)}."
    return Answer(Because.ENDED, what, _look(counted, facts))


def _look(counted: Counted, facts: Facts) -> str:
    at = counted.written_at or counted.closed_at or counted.last_at
    if facts.now and facts.now - at > KCP_KEEPS:
        return "nothing: kcp keeps Events for an hour, and that is over; the archive has it (batcher events)"
    return f"kubectl get event {counted.event} -n {counted.namespace}, in that workspace"


def _refused(counted: Counted, _: Facts) -> Answer:
    reason, to_do = _refusal(counted)
    what = f"It is not there: {_place(counted)} refused it ({reason}); it is tried again when there are newer totals."
    return Answer(Because.REFUSED, what, to_do)


def _dead_lettered(counted: Counted, _: Facts) -> Answer:
    reason, to_do = _refusal(counted)
    what = f"It is not there: {_place(counted)} did not take it ({reason})."
    return Answer(Because.DEAD_LETTERED, what, f"{to_do}; then: batcher failed retry {counted.summary}")


def _refusal(counted: Counted) -> tuple[str, str]:
    known = REFUSALS.get(counted.refusal)
    if known:
        return f"{counted.refusal}: {known.what}", known.to_do
    return counted.refusal, f"look at it: batcher failed show {counted.summary}"


ENDINGS: Mapping[Ending, Callable[[Counted, Facts], Answer]] = {
    Ending.WAITING: _waiting,
    Ending.NOBODYS: _nobodys,
    Ending.ARCHIVED: _archived,
    Ending.PENDING: _pending,
    Ending.PUBLISHED: _published,
    Ending.REFUSED: _refused,
    Ending.DEAD_LETTERED: _dead_lettered,
    Ending.ENDED: _ended,
}


def _place(counted: Counted) -> str:
    return f"namespace {counted.namespace} of workspace {counted.workspace}"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "no time"
