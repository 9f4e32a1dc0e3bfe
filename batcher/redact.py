"""Text that must not be kept, taken out of Events: of raw lines before they reach the disk, or of a column.

Patterns are a user's and texts are hostile, so they meet in polars' engine alone, in time linear in the text. A line
in which no pattern finds anything stays as it is, byte for byte. In one that is rewritten, what counting needs stays:
names, uids, versions, references and times; every other text of it is searched. A line that is not JSON is searched as
it is, and as it would read without JSON's escapes.

Nothing here says what it found, and an error ends the process: what could not be searched is not written.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import polars as pl

from batcher.spool import Kind, Section

HIDDEN = "…"
"""Stands for a text that its replacements would make far longer than it was."""


class Redaction(NamedTuple):
    """A regular expression, and what stands for what it finds; ``$1`` is its first group, ``$$`` a dollar."""

    pattern: str
    replace: str


def redacted(text: pl.Expr, redactions: Sequence[Redaction]) -> pl.Expr:
    """Return ``text`` with all that ``redactions`` find replaced, one after the other."""
    for pattern, replace in redactions:
        text = text.str.replace_all(pattern, replace)
    return text


_ANY = msgspec.Raw()


class _Manager(msgspec.Struct, gc=False):
    manager: str = ""


class _Metadata(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    managedFields: list[_Manager] | None = None  # noqa: N815  the API's own name
    generateName: str = ""  # noqa: N815
    name: msgspec.Raw = _ANY
    namespace: msgspec.Raw = _ANY
    uid: msgspec.Raw = _ANY
    resourceVersion: msgspec.Raw = _ANY  # noqa: N815
    generation: msgspec.Raw = _ANY
    creationTimestamp: msgspec.Raw = _ANY  # noqa: N815
    deletionTimestamp: msgspec.Raw = _ANY  # noqa: N815
    deletionGracePeriodSeconds: msgspec.Raw = _ANY  # noqa: N815


class _Reference(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    fieldPath: str = ""  # noqa: N815
    apiVersion: msgspec.Raw = _ANY  # noqa: N815
    kind: msgspec.Raw = _ANY
    namespace: msgspec.Raw = _ANY
    name: msgspec.Raw = _ANY
    uid: msgspec.Raw = _ANY
    resourceVersion: msgspec.Raw = _ANY  # noqa: N815


class _Source(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    component: str = ""
    host: str = ""


class _Event(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The texts of an Event that counting does not need; one with a field that is not known is searched all over."""

    metadata: _Metadata
    involvedObject: _Reference | None = None  # noqa: N815
    related: _Reference | None = None
    source: _Source | None = None
    type: str = ""
    reason: str = ""
    message: str = ""
    action: str = ""
    reportingComponent: str = ""  # noqa: N815
    reportingInstance: str = ""  # noqa: N815
    apiVersion: msgspec.Raw = _ANY  # noqa: N815
    kind: msgspec.Raw = _ANY
    count: msgspec.Raw = _ANY
    series: msgspec.Raw = _ANY
    firstTimestamp: msgspec.Raw = _ANY  # noqa: N815
    lastTimestamp: msgspec.Raw = _ANY  # noqa: N815
    eventTime: msgspec.Raw = _ANY  # noqa: N815


class _Watched(msgspec.Struct, gc=False):
    object: _Event


_COUNTED = {
    "": {"apiVersion", "kind", "firstTimestamp", "lastTimestamp", "eventTime"},
    "metadata": {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"},
    "involvedObject": {"apiVersion", "kind", "namespace", "name", "uid"},
    "related": {"apiVersion", "kind", "namespace", "name", "uid"},
    "series": {"lastObservedTime"},
}
"""What stays, by the field that it lies in."""
_MAPPED = re.compile(r"kcp\.(?:io|dev)/")
"""Labels and annotations of a Namespace that say whose it is."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_MEANT = {"n": " ", "r": " ", "t": "\t", "b": " ", "f": " "}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_watched = msgspec.json.Decoder(_Watched)
_listed = msgspec.json.Decoder(_Event)


class Redactor:
    """Takes the texts out of sections that are about to be spooled."""

    def __init__(self, redactions: Sequence[Redaction]) -> None:
        """Look for ``redactions``, one after the other."""
        self._redactions = redactions

    def __call__(self, sections: Sequence[Section]) -> list[Section]:
        """Return ``sections`` with their bodies searched; as many lines, in their order."""
        return [self._section(section) if section.lines else section for section in sections]

    def _section(self, section: Section) -> Section:
        lines = section.body.split(b"\n")[: section.lines]
        suspects = range(len(lines)) if section.kind is Kind.REFUSED else self._suspects(section, lines)
        if not suspects:
            return section
        found = dict(zip(suspects, self._rewritten(section, [lines[index] for index in suspects]), strict=True))
        body = b"".join(found.get(index, line) + b"\n" for index, line in enumerate(lines))
        return section if body == section.body else msgspec.structs.replace(section, body=body)

    def _suspects(self, section: Section, lines: Sequence[bytes]) -> Sequence[int]:
        """The lines in which something may be found: by their known texts, or because they are not as usual."""
        if section.stream.resource != "events":
            return range(len(lines))
        events = [_read(section.kind, line) for line in lines]
        messages = self._finds([event.message if event else "" for event in events])
        others = [_others(event) if event else set[str]() for event in events]
        every = list(set().union(*others))
        bad = {text for text, hit in zip(every, self._finds(every), strict=True) if hit}
        return [
            index
            for index, (event, hit) in enumerate(zip(events, messages, strict=True))
            if hit or event is None or not bad.isdisjoint(others[index])
        ]

    def _finds(self, texts: Sequence[str]) -> list[bool]:
        series = pl.Series(texts, dtype=pl.String)
        found = pl.repeat(value=False, n=len(series), eager=True)
        for pattern, _ in self._redactions:
            found |= series.str.contains(pattern)
        return found.to_list()

    def _replaced(self, texts: Sequence[str]) -> list[str]:
        frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
        return frame.select(redacted(pl.col("text"), self._redactions)).to_series().to_list()

    def _rewritten(self, section: Section, lines: Sequence[bytes]) -> list[bytes]:
        documents = [_document(line) for line in lines]
        slots = [list(_slots(document, section.stream.resource)) for document in documents]
        after = iter(self._replaced([slot.text for some in slots for slot in some]))
        return [
            self._raw(line) if document is None else _put(line, document, some, after)
            for line, document, some in zip(lines, documents, slots, strict=True)
        ]

    def _raw(self, line: bytes) -> bytes:
        """A line that is not JSON: as it is, then without escapes if more is found so; it may hold any bytes."""
        text = line.decode("utf-8", "backslashreplace")
        (once,) = self._replaced([text])
        plain = _unescaped(once)
        (twice,) = self._replaced([plain])
        if twice != plain:
            return _bounded(twice.encode(), line)
        return line if once == text else _bounded(once.encode(), line)


def _read(kind: Kind, line: bytes) -> _Event | None:
    try:
        return _listed.decode(line) if kind is Kind.LISTED else _watched.decode(line).object
    except _UNREADABLE:
        return None


def _others(event: _Event) -> set[str]:
    """The texts beside the message: the same ones in most Events."""
    found = {event.type, event.reason, event.action, event.reportingComponent, event.reportingInstance}
    if event.source:
        found |= {event.source.component, event.source.host}
    for reference in (event.involvedObject, event.related):
        if reference:
            found.add(reference.fieldPath)
    metadata = event.metadata
    for texts in (metadata.labels, metadata.annotations):
        if texts:
            found.update(texts.values())
    found.update(metadata.finalizers or (), (each.manager for each in metadata.managedFields or ()))
    found.add(metadata.generateName)
    return found


def _document(line: bytes) -> Any:
    try:
        found = msgspec.json.decode(line)
    except _UNREADABLE:
        return None
    return found if isinstance(found, (dict, list)) else None


class _Slot(NamedTuple):
    """A text, and where it stands."""

    inside: Any
    key: Any
    text: str

    def put(self, text: str) -> None:
        self.inside[self.key] = text


def _slots(document: Any, resource: str) -> Iterator[_Slot]:
    """The texts of a line that may be replaced; of what is watched only the object is looked into."""
    if document is None:
        return
    inner = document.get("object") if isinstance(document, dict) else None
    root = inner if isinstance(inner, dict) else document
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        field, value = waiting.pop()
        kept = _COUNTED.get(field, set())
        for key, each in _items(value):
            if isinstance(each, str):
                if key not in kept and not (resource != "events" and _MAPPED.search(str(key))):
                    yield _Slot(value, key, each)
            elif isinstance(each, (dict, list)):
                waiting.append((str(key) if value is root else "inside", each))


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else list(enumerate(value))


def _put(line: bytes, document: Any, slots: Sequence[_Slot], after: Iterator[str]) -> bytes:
    """The line with its texts as they are ``after``; as it is if none has changed."""
    changed = [(slot, text) for slot, text in zip(slots, after, strict=False) if slot.text != text]
    if not changed:
        return line
    for slot, text in changed:
        slot.put(text)
    found = msgspec.json.encode(document)
    if _fits(found, line):
        return found
    for slot, _ in changed:
        slot.put(HIDDEN)
    return msgspec.json.encode(document)


def _fits(found: bytes, line: bytes) -> bool:
    """Whether it is not so much longer that a frame of such lines could not be read any more."""
    return len(found) <= 2 * len(line) + 4096


def _bounded(found: bytes, line: bytes) -> bytes:
    return found if _fits(found, line) else HIDDEN.encode()


def _unescaped(text: str) -> str:
    """JSON's escapes as what they stand for; a line break is a space, for a line has none."""
    found = _ESCAPE.sub(lambda each: chr(int(each[1], 16)) if each[1] else _MEANT.get(each[2], each[2]), text)
    return found.replace("\n", " ").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
