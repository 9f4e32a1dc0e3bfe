"""Namespaces and their targets as the commands show them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from batcher.namespaces.known import Known
from batcher.namespaces.story import Source, Story, Waiting
from batcher.text import ago

HEADERS = ("CLUSTER", "NAMESPACE", "WORKSPACE", "TARGET", "SOURCE", "FLAW", "SINCE")
WIDE_HEADERS = (
    "CLUSTER", "NAMESPACE", "WORKSPACE", "TARGET", "SOURCE", "FLAW", "SINCE", "SAYS", "SYNC TARGET", "UID",
    "CLUSTER UID",
)  # fmt: skip
NONE = "-"


def rows(found: Iterable[Known], *, now: datetime, wide: bool) -> list[tuple[str, ...]]:
    """Return the cells of :data:`HEADERS`, or of :data:`WIDE_HEADERS`."""
    return [_wide(each) if wide else _narrow(each, ago(each.since, now)) for each in found]


def _narrow(each: Known, since: str) -> tuple[str, ...]:
    source = each.source if each.allowed else f"{each.source} (not allowed)"
    cells = (each.cluster, each.namespace, each.workspace, each.target_namespace, source, each.flaw)
    return *(cell or NONE for cell in cells), since


def _wide(each: Known) -> tuple[str, ...]:
    says = _place(each.claimed_workspace, each.claimed_namespace)
    more = (says, each.sync_target, each.uid, each.cluster_uid)
    return *_narrow(each, _time(each.since)), *(cell or NONE for cell in more)


def told(found: Story, *, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the lines of a story: a title, empty where the one before goes on, and a text that is not safe yet."""
    each = found.namespace
    yield "namespace", f"{each.namespace}  uid {each.uid or NONE}"
    yield "cluster", f"{each.cluster}  uid {each.cluster_uid}"
    yield "says", _says(found)
    yield "since", f"{_time(each.since)}  ({ago(each.since, now)} ago)"
    if each.gone_at:
        yield "deleted", f"{_time(each.gone_at)}  ({ago(each.gone_at, now)} ago)"
    if each.flaw:
        yield "flaw", f"{each.flaw}: {found.what_is_wrong}"
        yield "to do", found.remedy
    if found.rival:
        yield "rival", f"{found.rival} says the same"
    yield "target", _target(each)
    yield "before", _place(found.was_workspace, found.was_namespace) or "none"
    for number, source in enumerate(found.sources):
        yield "" if number else "asked", _asked(source)
    yield "waiting", _waits(found.waiting, found.hold_seconds)
    yield "in target", f"{found.open_in_target:,} open summaries"


def _says(found: Story) -> str:
    each = found.namespace
    if not each.uid:
        return "nothing: no Namespace was heard of" + ("" if found.trusted else " (locators are not in mapping.trust)")
    place = _place(each.claimed_workspace, each.claimed_namespace)
    if not place and not each.flaw:
        return "nothing: it has no locator"
    by = f", by sync target {each.sync_target}" if each.sync_target else ""
    return (place or "nothing that can be read") + by


def _target(each: Known) -> str:
    if each.workspace:
        return f"{_place(each.workspace, each.target_namespace)}, by {each.source}"
    if not each.allowed:
        return f"none: kcp.workspaces does not allow what {each.source} says"
    return "none: it is left to nobody" if each.source else "none: nothing decides"


def _asked(source: Source) -> str:
    place = _place(source.workspace, source.target_namespace)
    return f"{source.name:<10}  {source.why}" + (f": {place}" if place else "")


def _waits(waiting: Waiting, hold_seconds: float) -> str:
    parts = [f"{waiting.summaries:,} open summaries"]
    if waiting.first_until and waiting.last_until:
        until = sorted({_time(waiting.first_until), _time(waiting.last_until)})
        parts.append(f"until {' to '.join(until)} (mapping.hold {hold_seconds:,.0f} s after the newest of each)")
    if waiting.nobodys:
        parts.append(f"and {waiting.nobodys:,} that are nobody's, between two targets")
    return ", ".join(parts)


def _place(workspace: str, namespace: str) -> str:
    return f"{workspace} / {namespace or NONE}" if workspace else ""


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
