"""Targets by what the configuration names: each workspace pattern with the connection that writes there.

The most specific pattern decides, so that a workspace with an identity of its own is never written to with a
more general one. A workspace that no pattern names is never written to at all.
"""

import asyncio
import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from batcher.publish.answers import Answer, Meaning
from batcher.publish.exchange import Requests
from batcher.publish.names import Names, is_logical
from batcher.publish.targets import NOT_ALLOWED, Appeared, Target
from batcher.settings import allowed

_CACHED = 4096
"""Workspaces whose pattern is not looked for again."""


class Closable(Requests, Protocol):
    """A connection that can be given up."""

    async def retire(self) -> None:
        """Close it when its last request has ended."""
        ...


class Way(NamedTuple):
    """A pattern of workspaces (:func:`batcher.settings.allowed`), and who writes to them."""

    pattern: str
    connection: Closable

    @property
    def rank(self) -> tuple[int, int, int]:
        """Less is more specific: no wildcard, then none of many segments, then the most that is spelled out."""
        many = self.pattern.count("**")
        return many, self.pattern.count("*") - 2 * many, -len(self.pattern)


class Identities:
    """Workspaces by path or logical name, in the order of the most specific way."""

    def __init__(self, ways: Iterable[Way], names: Names | None = None) -> None:
        """Write to the workspaces of ``ways``."""
        self._names = names or Names()
        self._ways: list[Way] = []
        self._retired: list[Closable] = []
        self._something_retired = asyncio.Event()
        self._matching = functools.lru_cache(maxsize=_CACHED)(self._match)
        self.apply(ways)

    def apply(self, ways: Iterable[Way]) -> None:
        """Write from now on to the workspaces of ``ways``, and to no other."""
        before, self._ways = self._ways, sorted(ways, key=lambda way: way.rank)
        kept = {id(way.connection) for way in self._ways}
        gone = {id(way.connection): way.connection for way in before if id(way.connection) not in kept}
        self._retired += gone.values()
        self._matching.cache_clear()
        self._something_retired.set()

    def of(self, workspace: str) -> Target | Answer:
        """Return where requests for ``workspace`` go: by its logical name where an answer told it."""
        index = self._matching(workspace)
        if index is None:
            return NOT_ALLOWED
        if is_logical(workspace):
            path = self._names.path(workspace)
            known = self._matching(path) if path else None
            index = index if known is None else min(index, known)
            return Target(self._ways[index].connection, workspace, workspace, path)
        logical = self._names.logical(workspace)
        return Target(self._ways[index].connection, logical or workspace, logical, workspace)

    def name(self, workspace: str) -> str:
        """Return the path of ``workspace`` where it is known, else the name as it is."""
        return self._names.path(workspace) or workspace

    def heard(self, workspace: str, target: Target, answer: Answer, cluster: str) -> None:
        """Learn the logical name of a path, and forget it when it is refused: a workspace may be made anew."""
        if answer.meaning is Meaning.WRITTEN:
            self._names.learn(workspace, cluster)
        elif answer.meaning is Meaning.CAUSE_MAY_PASS and target.cluster != workspace:
            self._names.forget(workspace)

    async def run(self, appeared: Appeared) -> None:  # noqa: ARG002  what is allowed changes only with the settings
        """Close the connections that :meth:`apply` left without a workspace, once they have nothing to do."""
        while True:
            await self._something_retired.wait()
            self._something_retired.clear()
            retired, self._retired = self._retired, []
            await _retire(retired)

    async def close(self) -> None:
        """Close every connection."""
        await _retire([*self._retired, *(way.connection for way in self._ways)])

    def _match(self, workspace: str) -> int | None:
        """Return which way is the most specific for ``workspace``."""
        matching = (i for i, way in enumerate(self._ways) if allowed(workspace, [way.pattern]))
        return next(matching, None)


async def _retire(connections: Sequence[Closable]) -> None:
    for connection in connections:
        await connection.retire()
