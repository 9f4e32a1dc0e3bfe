"""Targets by an APIExport: one identity, and the list of its bindings is what may be written to.

A write goes to the endpoint of the shard that has the workspace, by the logical name only: kcp serves no paths
there. Until a first list has come, nothing is allowed and every write waits; a shard that cannot be listed
keeps what it said last, since kcp itself refuses what is bound no more.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

import structlog

from batcher.connect import Connection
from batcher.errors import BatcherError
from batcher.publish.answers import Answer, Meaning
from batcher.publish.bindings import Bound, read_bindings, read_endpoints
from batcher.publish.names import is_logical
from batcher.publish.targets import NOT_ALLOWED, NOT_BOUND, Appeared, Target
from batcher.settings import allowed

EVERY_SECONDS = 60.0
"""How often the bindings are listed when nothing asks for it: one list a shard."""
AGAIN_SECONDS = 5.0
"""How long at least from one list to the next, however many unknown workspaces are asked for."""
NEW_SECONDS = 60.0
"""For so long after a binding was first listed, a 403 is taken for what passes."""

log = structlog.get_logger("batcher")


class Export:
    """The workspaces that accept the claim of one APIExport."""

    def __init__(self, provider: Connection, export: str, patterns: Sequence[str] = ()) -> None:
        """Ask the workspace of ``provider`` where ``export`` is served; with ``patterns``, only they are told."""
        self.trouble = ""
        """Why the newest list is not complete; empty if it is."""
        self.provider = provider
        """The connection into the APIExport's workspace."""
        self._export = export
        self._patterns = list(patterns)
        self._endpoints: dict[str, Connection] = {}
        self._listed: dict[str, list[Bound]] = {}
        self._bound: dict[str, tuple[Bound, Connection]] = {}
        self._paths: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._found = False
        self._wanted = asyncio.Event()

    def apply(self, patterns: Iterable[str]) -> None:
        """Write from now on only to workspaces of ``patterns``; none: to all that are bound."""
        self._patterns = list(patterns)

    def of(self, workspace: str) -> Target | Answer:
        """Return the endpoint of ``workspace``. One that is not known is looked for by the next list."""
        found = self._bound.get(self._paths.get(workspace, workspace))
        if found is None:
            return self._unknown(workspace)
        bound, endpoint = found
        if not self._permits(bound.path) and not self._permits(bound.logical):
            return NOT_ALLOWED
        new = asyncio.get_running_loop().time() - self._since[bound.logical] < NEW_SECONDS
        return Target(endpoint, bound.logical, bound.logical, bound.path, new)

    def name(self, workspace: str) -> str:
        """Return the path of ``workspace`` where a binding tells it, else the name as it is."""
        found = self._bound.get(workspace)
        return (found[0].path if found else "") or workspace

    def heard(self, workspace: str, target: Target, answer: Answer, cluster: str) -> None:  # noqa: ARG002  as Targets has it
        """List again soon after a refusal: the workspace may be bound no more, or be another by now."""
        if answer.meaning is Meaning.CAUSE_MAY_PASS:
            self._wanted.set()

    async def run(self, appeared: Appeared) -> None:
        """List the bindings every minute, and sooner when an unknown workspace was asked for."""
        while True:
            self._wanted.clear()
            before = set(self._bound)
            await self._list()
            new = [self._bound[logical][0] for logical in self._bound.keys() - before]
            appeared({name for bound in new for name in bound if name})
            await asyncio.sleep(AGAIN_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS - AGAIN_SECONDS):
                    await self._wanted.wait()

    async def close(self) -> None:
        """Close every connection."""
        for connection in (self.provider, *self._endpoints.values()):
            await connection.retire()

    def _permits(self, name: str) -> bool:
        return not self._patterns or allowed(name, self._patterns)

    def _unknown(self, workspace: str) -> Answer:
        if not is_logical(workspace) and not self._permits(workspace):
            return NOT_ALLOWED
        self._wanted.set()
        if self._found and self._endpoints.keys() <= self._listed.keys():
            return NOT_BOUND
        why = f": {self.trouble}" if self.trouble else ""
        return Answer(Meaning.LATER, f"the bindings of APIExport {self._export} are not listed yet{why}")

    async def _list(self) -> None:
        """List every endpoint; one that fails keeps its last list, and says why."""
        trouble = ""
        try:
            await self._find_endpoints()
        except BatcherError as error:
            trouble = str(error)
        for url, endpoint in self._endpoints.items():
            try:
                self._listed[url] = await read_bindings(endpoint, self._export)
            except BatcherError as error:
                trouble = str(error)
        if trouble and trouble != self.trouble:
            log.warning("not all bindings are listed", export=self._export, error=trouble)
        self.trouble = trouble
        self._take()

    async def _find_endpoints(self) -> None:
        urls = await read_endpoints(self.provider, self._export)
        for gone in self._endpoints.keys() - urls:
            self._listed.pop(gone, None)
            await self._endpoints.pop(gone).retire()
        for url in urls:
            if url not in self._endpoints:
                self._endpoints[url] = self.provider.at(url)
        self._found = True

    def _take(self) -> None:
        """Let what was listed be what is allowed. A path that two workspaces have leads to neither."""
        now = asyncio.get_running_loop().time()
        lists = [(bound, self._endpoints[url]) for url, found in sorted(self._listed.items()) for bound in found]
        self._bound = {bound.logical: (bound, endpoint) for bound, endpoint in lists}
        by_path: dict[str, set[str]] = {}
        for bound, _ in self._bound.values():
            by_path.setdefault(bound.path, set()).add(bound.logical)
        self._paths = {path: min(names) for path, names in by_path.items() if path and len(names) == 1}
        self._since = {logical: self._since.get(logical, now) for logical in self._bound}
