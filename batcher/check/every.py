"""All checks at once: every cluster in a task of its own, then every workspace, each with a time limit.

One that does not answer costs its limit and no other's; what it had said before is told all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from batcher.check import clusters, lease, workspaces
from batcher.check.asking import Asking, Wanted
from batcher.check.findings import About, Finding, Level, clock, credential, found, unreached
from batcher.check.mapped import Place, judged, places
from batcher.clock import Now
from batcher.connect import Connection
from batcher.errors import BatcherError, ConfigError
from batcher.publish.bindings import read_bindings, read_endpoints
from batcher.publish.identities import Way
from batcher.service.destination import connection_to, provider_of
from batcher.service.wiring import connection_of, rules_of, watched_resources
from batcher.settings import Settings, allowed

LIMIT_SECONDS = 10.0
"""For all requests of one cluster, or of one workspace."""
NAMESPACES = 5
"""In how many namespaces of a workspace it is asked what is allowed."""
_KINDS = ("cluster", "kcp", "workspace", "lease")


class Report(msgspec.Struct, frozen=True):
    """What was found, by cluster and workspace, and where each namespace would go."""

    checks: list[Finding]
    namespaces: list[Place]

    @property
    def failed(self) -> bool:
        """Whether something does not run."""
        return any(each.result is Level.FAIL for each in self.checks)


async def check_all(settings: Settings, *, now: Now, limit: float = LIMIT_SECONDS) -> Report:
    """Check everything that ``settings``, of :func:`batcher.settings.find_clusters`, name; change nothing."""
    sources = [clusters.Check(cluster, watched_resources(settings), now) for cluster in settings.clusters]
    exec_allowed = settings.credentials.exec_allowed

    def way_to(number: int) -> Callable[[], Connection]:
        return lambda: connection_of(settings.clusters[number], exec_allowed)

    await asyncio.gather(
        *(_limited(check.run(way_to(i)), check.about, check.findings, limit) for i, check in enumerate(sources))
    )
    rules = rules_of(settings)
    found_places: list[Place] = []
    for check in sources:
        of_cluster = places(check.seen, rules, now())
        found_places += of_cluster
        if of_cluster:
            check.findings.append(judged(check.about, of_cluster))
    told = [finding for check in sources for finding in check.findings]
    told += await _Kcp(settings, found_places, now, limit).run()
    if settings.leader_election.enabled:
        election = lease.Check(settings, now)
        await _limited(election.run(), election.about, election.findings, limit)
        told += election.findings
    return Report(sorted(told, key=lambda each: (_KINDS.index(each.kind), each.name)), found_places)


async def _limited(work: Awaitable[None], about: About, findings: list[Finding], limit: float) -> None:
    try:
        async with asyncio.timeout(limit):
            await work
    except TimeoutError:
        what = f"no answer within {limit:g} s"
        findings.append(found(about, "reach", Level.FAIL, what, "look at the network, or give it more --timeout"))


class _Target(NamedTuple):
    """A workspace to be checked, over which connection, and what is put before each path."""

    name: str
    connection: Connection
    below: str
    namespaces: list[str]


class _Kcp:
    """The checks of kcp: its identities, and the workspaces that would be written to."""

    def __init__(self, settings: Settings, found_places: Iterable[Place], now: Now, limit: float) -> None:
        self._settings = settings
        self._now = now
        self._limit = limit
        self._findings: list[Finding] = []
        self._opened: list[Connection] = []
        self._namespaces: dict[str, list[str]] = {}
        for place in found_places:
            if place.workspace and place.allowed:
                self._namespaces.setdefault(place.workspace, []).append(place.target_namespace)
        for _, name in settings.targets():
            if name and "*" not in name:
                self._namespaces.setdefault(name, [])

    async def run(self) -> list[Finding]:
        """Return what was found."""
        try:
            targets = await self._by_export() if self._settings.kcp.api_export else self._by_identity()
            await asyncio.gather(*map(self._check, targets))
        finally:
            for connection in self._opened:
                await connection.close()
        return self._findings

    async def _check(self, target: _Target) -> None:
        names = sorted({name for name in target.namespaces if name})[:NAMESPACES]
        check = workspaces.Check(target.name, names, reviewed=self._settings.kcp.api_export is None)
        asking = Asking(target.connection, self._now, target.below)
        await _limited(check.run(asking), check.about, check.findings, self._limit)
        self._findings += check.findings

    def _by_identity(self) -> list[_Target]:
        """The workspaces that are named or mapped to, each by the identity that is meant for it."""
        ways = sorted((way for way in self._ways()), key=lambda way: way.rank)
        named = [each.path for each in self._settings.kcp.workspaces]
        names = {*self._namespaces, *(path for path in named if "*" not in path)}
        targets = []
        for name in sorted(names):
            connection = next((way.connection for way in ways if allowed(name, [way.pattern])), None)
            if isinstance(connection, Connection):
                targets.append(_Target(name, connection, f"/clusters/{name}", self._namespaces.get(name, [])))
        for pattern in named:
            if not any(allowed(name, [pattern]) for name in names):
                what = "no namespace seen leads to a workspace of this pattern, so none is tried"
                self._findings.append(found(About("workspace", pattern), "access", Level.WARN, what))
        return targets

    def _ways(self) -> Iterable[Way]:
        made: dict[Path | None, Connection | None] = {}
        for workspace in self._settings.kcp.workspaces:
            file = workspace.token_file
            if file not in made:
                made[file] = self._connected(str(file or self._settings.kcp.kubeconfig), file)
            connection = made[file]
            if connection is not None:
                yield Way(workspace.path, connection)

    def _connected(self, name: str, token_file: Path | None) -> Connection | None:
        about = About("kcp", name)
        try:
            connection = connection_to(self._settings, token_file)
        except ConfigError as error:
            self._findings.append(_unusable(about, error))
            return None
        self._opened.append(connection)
        self._findings.append(credential(about, connection, self._now()))
        return connection

    async def _by_export(self) -> list[_Target]:
        """The workspaces whose bindings accept the claim."""
        export = self._settings.kcp.api_export
        assert export is not None  # noqa: S101  asked by the only caller
        about = About("kcp", f"APIExport {export.name}")
        try:
            provider = provider_of(self._settings)
        except ConfigError as error:
            self._findings.append(_unusable(about, error))
            return []
        self._opened.append(provider)
        self._findings.append(credential(about, provider, self._now()))
        targets: list[_Target] = []
        await _limited(self._bound(about, provider, export.name, targets), about, self._findings, self._limit)
        return targets

    async def _bound(self, about: About, provider: Connection, export: str, targets: list[_Target]) -> None:
        asking = Asking(provider, self._now)
        try:
            await self._content(about, asking, export)
            for url in await read_endpoints(provider, export):
                endpoint = provider.at(url)
                self._opened.append(endpoint)
                for bound in await read_bindings(endpoint, export):
                    namespaces = self._namespaces.get(bound.path, []) + self._namespaces.get(bound.logical, [])
                    name = bound.path or bound.logical
                    targets.append(_Target(name, endpoint, f"/clusters/{bound.logical}", namespaces))
        except BatcherError as error:
            self._findings.append(unreached(about, error))
            return
        self._findings.append(clock(about, asking.skew))
        self._unbound(about, targets)

    async def _content(self, about: About, asking: Asking, export: str) -> None:
        """Whether the content of the export may be used: what its endpoint asks of its own workspace."""
        refused = []
        for verb in ("list", *workspaces.VERBS):
            wanted = Wanted(verb, "apiexports", "apis.kcp.io", subresource="content", name=export)
            refused += [verb] if await asking.may(wanted) is False else []
        if refused:
            what = f"not allowed on apiexports/content: {', '.join(refused)}"
            self._findings.append(found(about, "content", Level.FAIL, what, "grant it in the provider's workspace"))
        else:
            self._findings.append(found(about, "content", Level.OK, "may use the content of the APIExport"))

    def _unbound(self, about: About, bound: Sequence[_Target]) -> None:
        names = {target.name for target in bound} | {target.below.rpartition("/")[2] for target in bound}
        missing = sorted(self._namespaces.keys() - names)
        if missing:
            what = f"mapped to and not bound: {', '.join(missing)}"
            remedy = "let them bind it and accept its claim of events"
            self._findings.append(found(about, "bindings", Level.WARN, what, remedy))
        elif not bound:
            what = "no workspace has bound it"
            self._findings.append(found(about, "bindings", Level.WARN, what, "bind it and accept its claim of events"))
        else:
            self._findings.append(found(about, "bindings", Level.OK, f"{len(bound):,} workspaces have bound it"))


def _unusable(about: About, error: ConfigError) -> Finding:
    where = f"{error.source}: {'; '.join(error.problems)}"
    return found(about, "kubeconfig", Level.FAIL, where, "correct the file, or what names it")
