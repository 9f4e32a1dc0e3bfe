"""The query of a list or watch, read once.

Pure. Malformed numbers are answered as recorded: a resourceVersion that is no number is a 500, not a 400.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from batcher.sandbox.collection import Change
from batcher.sandbox.resources import Resource
from batcher.sandbox.selectors import Predicate, field_selector, label_selector
from batcher.sandbox.status import Refused, bad_request, bad_version

DEFAULT_TIMEOUT = 1800.0
"""Seconds of a watch that does not ask: kube-apiserver's minimum of half an hour."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a client asked for. ``revision`` None: the newest; 0: any."""

    watch: bool
    limit: int
    token: str
    revision: int | None
    exact: bool
    timeout: float
    bookmarks: bool
    initial_events: bool
    predicates: tuple[Predicate, ...]

    def selects(self, change: Change | None) -> bool:
        """Tell whether the selectors let an object through."""
        if change is None or not self.predicates:
            return change is not None
        decoded = change.object
        return all(predicate(decoded) for predicate in self.predicates)


def parse(resource: Resource, query: Mapping[str, str]) -> Options:
    """Read a query; raises Refused for what cannot be read."""
    predicates = (
        field_selector(resource, query.get("fieldSelector", "")),
        label_selector(query.get("labelSelector", "")),
    )
    return Options(
        watch=_flag(query, "watch"),
        limit=_number(query, "limit") or 0,
        token=query.get("continue", ""),
        revision=_revision(query.get("resourceVersion", "")),
        exact=query.get("resourceVersionMatch") == "Exact",
        timeout=float(_number(query, "timeoutSeconds") or DEFAULT_TIMEOUT),
        bookmarks=_flag(query, "allowWatchBookmarks"),
        initial_events=_flag(query, "sendInitialEvents"),
        predicates=tuple(predicate for predicate in predicates if predicate is not None),
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "") in {"true", "True", "1"}


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not text.isdigit():
        raise Refused(bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax'))
    return int(text)


def _revision(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Refused(bad_version(text))
    return int(text)
