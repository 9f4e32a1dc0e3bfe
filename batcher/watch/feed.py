"""What all loops of one stream share: what to ask, where the answer goes, and what is told of it."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from batcher import kinds
from batcher.connect import Connection
from batcher.mapping import CLUSTER_LABEL
from batcher.spool import UNLISTED, Kind, Section, Stream
from batcher.watch.status import Report

EVENTS = "events"
JSON = "application/json"
Form = Literal["PartialObjectMetadataList", "PartialObjectMetadata"]
"""In what a list answers, and what each line of a watch holds."""


class Sink(Protocol):
    """Where sections go."""

    async def append(self, section: Section) -> None:
        """Accept for the next fsync group; wait while too much is not on disk yet."""
        ...

    async def durable(self) -> None:
        """Return when everything appended before is on disk. Raises DataDirError when it never will be."""
        ...


class Incarnations:
    """Which incarnation of each stream is the present one.

    A stream that is new begins in the latest of its cluster: what it lists must not look older than what
    another stream of the cluster brought.
    """

    def __init__(self, known: Iterable[Stream]) -> None:
        """Begin with the streams that are ``known`` to the spool."""
        self._known = list(known)
        self._present: dict[Stream, int] = {}
        self._latest: dict[str, int] = {}
        for stream in self._known:
            self._note(stream)

    def _note(self, stream: Stream) -> None:
        first, number = msgspec.structs.replace(stream, incarnation=0), stream.incarnation
        self._present[first] = max(number, self._present.get(first, 0))
        self._latest[stream.cluster_uid] = max(number, self._latest.get(stream.cluster_uid, 0))

    def present(self, stream: Stream) -> Stream:
        """Return the present incarnation of ``stream``."""
        first = msgspec.structs.replace(stream, incarnation=0)
        number = self._present.get(first, self._latest.get(stream.cluster_uid, 0))
        return msgspec.structs.replace(stream, incarnation=number)

    def outdated(self) -> list[Stream]:
        """Return the streams that a crash left beside a later incarnation of theirs."""
        return [stream for stream in self._known if self.present(stream) != stream]

    def next(self, stream: Stream) -> Stream:
        """Begin and return the next incarnation of ``stream``."""
        following = msgspec.structs.replace(stream, incarnation=stream.incarnation + 1)
        self._note(following)
        return following


@dataclass
class Feed:
    """One stream of one cluster."""

    connection: Connection
    stream: Stream
    cluster: str
    sink: Sink
    rng: random.Random
    report: Report
    incarnations: Incarnations

    @property
    def path(self) -> str:
        """Where the API server has this stream's objects."""
        kind = kinds.watched(self.stream.resource)
        root, plural = (kind.root, kind.plural) if kind else ("/api/v1", self.stream.resource)
        scope = f"/namespaces/{self.stream.scope}" if self.stream.scope else ""
        return f"{root}{scope}/{plural}"

    @property
    def selector(self) -> dict[str, str]:
        """Which of the objects are asked for: of a watched kind those that say whose they are, else all."""
        return {"labelSelector": CLUSTER_LABEL} if kinds.watched(self.stream.resource) else {}

    @property
    def may_be_absent(self) -> bool:
        """Whether a cluster need not have such objects: not every one has every kind that is watched."""
        return kinds.watched(self.stream.resource) is not None

    def accept(self, form: Form) -> str:
        """The media type to ask for: of what is no Event, metadata is enough."""
        return JSON if self.stream.resource == EVENTS else f"{JSON};as={form};g=meta.k8s.io;v=v1"

    async def spool(
        self, kind: Kind, cursor: str | None = None, *, lines: int = 0, body: bytes = b"", note: str = ""
    ) -> None:
        """Append a section of this stream."""
        await self.sink.append(Section(self.stream, self.cluster, kind, cursor, lines, body, note))

    async def begin_anew(self) -> None:
        """Go on as the next incarnation of the stream.

        The new one is written before the old one is given up: a crash in between must not forget that
        there was one.
        """
        old, self.stream = self.stream, self.incarnations.next(self.stream)
        await self.spool(Kind.CURSOR, UNLISTED)
        await self.sink.append(Section(old, self.cluster, Kind.CURSOR, ""))


@dataclass
class Cursor:
    """How far a stream has come. Trusted only once the sink says that all is on disk."""

    version: str = ""
    """The newest resourceVersion of the stream; empty: none yet."""
    broken: bool = False
    """Whether a watch cannot go on from there, and a list must come first."""

    @property
    def must_list(self) -> bool:
        """Whether the next thing to do is a list."""
        return self.broken or not self.version

    def listed(self, version: str) -> None:
        """Go on from a whole list."""
        self.version, self.broken = version, False
