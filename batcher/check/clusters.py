"""One source cluster: who answers, what it allows, what it lists, and whether its clock and TTL are plausible."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from batcher import kinds
from batcher.check.asking import Asking, Wanted
from batcher.check.findings import About, Finding, Level, clock, credential, found, unreached
from batcher.check.mapped import Namespace, Seen
from batcher.clock import Now
from batcher.connect import Connection
from batcher.errors import BatcherError, ConfigError, Forbidden
from batcher.settings import Cluster
from batcher.watch.identity import cluster_uid

EVENTS, NAMESPACES = "events", "namespaces"
PAGE = 500
PAGES = 20
"""Of namespaces; ten thousand are enough to see whether the mapping is right."""
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_TOLERATED = timedelta(minutes=5)
"""How much longer than its TTL an Event may be there: etcd forgets leases by and by."""


class _Managed(msgspec.Struct):
    time: str | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    """What is read of an object; never what it says."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    managed_fields: list[_Managed] | None = None


class _Item(msgspec.Struct):
    metadata: _Metadata


class _ListMetadata(msgspec.Struct):
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int = msgspec.field(default=0, name="remainingItemCount")


class _Page(msgspec.Struct):
    metadata: _ListMetadata = msgspec.field(default_factory=_ListMetadata)
    items: list[_Item] | None = None


class Check:
    """The checks of one cluster, in turn; each finding is kept at once, so that a limit loses none before it."""

    def __init__(self, cluster: Cluster, resources: Sequence[str], now: Now) -> None:
        """Check ``cluster``, of which ``resources`` would be watched."""
        self.about = About("cluster", cluster.name)
        self.findings: list[Finding] = []
        self.seen = Seen(cluster.name, "", [])
        self._cluster = cluster
        self._resources = resources
        self._now = now
        self._namespaces_of_events: set[str] = set()

    async def run(self, connect: Callable[[], Connection]) -> None:
        """Find all that can be found; what cannot be asked is a finding."""
        try:
            connection = connect()
        except ConfigError as error:
            where = f"{error.source}: {'; '.join(error.problems)}"
            self._add("kubeconfig", Level.FAIL, where, "correct the file, or what names it")
            return
        try:
            await self._ask(Asking(connection, self._now))
        except BatcherError as error:
            self.findings.append(unreached(self.about, error))
        finally:
            await connection.close()

    async def _ask(self, asking: Asking) -> None:
        self._tls(asking.connection)
        self.findings.append(credential(self.about, asking.connection, self._now()))
        try:
            uid = await cluster_uid(asking.connection)
        except Forbidden as error:
            self._add(
                "identity", Level.FAIL, str(error), "allow get of the Namespace kube-system: it tells clusters apart"
            )
            uid = ""
        else:
            self._add("identity", Level.OK, f"uid {uid}")
        self.seen = self.seen._replace(uid=uid)
        for resource in self._resources:
            await self._access(asking, resource)
        await self._list_events(asking)
        await self._list_namespaces(asking)
        self.findings.append(clock(self.about, asking.skew))

    def _add(self, check: str, result: Level, detail: str, remedy: str = "") -> None:
        self.findings.append(found(self.about, check, result, detail, remedy))

    def _tls(self, connection: Connection) -> None:
        if connection.insecure:
            what = "the server is not verified: whoever is in between can read tokens"
            self._add("tls", Level.WARN, what, "give certificate-authority, and drop insecureSkipTLSVerify")

    def _scopes(self, resource: str) -> list[str]:
        return [""] if resource == NAMESPACES else (self._cluster.namespaces or [""])

    async def _access(self, asking: Asking, resource: str) -> None:
        """Whether ``resource`` may be listed and watched wherever it would be."""
        group, plural = _of(resource)
        wanted = [Wanted(verb, plural, group, scope) for scope in self._scopes(resource) for verb in ("list", "watch")]
        answers = [(each, await asking.may(each)) for each in wanted]
        refused = [_said(each) for each, allowed in answers if allowed is False]
        if refused:
            self._add(plural, Level.FAIL, f"not allowed: {', '.join(refused)}", "grant it to who the credential is of")
        elif any(allowed is None for _, allowed in answers):
            what = "may not ask what it may do (selfsubjectaccessreviews)"
            self._add(plural, Level.WARN, what, "grant system:basic-user; whether it may list is tried below")
        else:
            where = ", ".join(self._cluster.namespaces) if self._scopes(resource) != [""] else "everywhere"
            self._add(plural, Level.OK, f"may list and watch, {where}")

    async def _list_events(self, asking: Asking) -> None:
        """A real list, of one page and without the text of any Event."""
        written: list[datetime] = []
        number = 0
        for scope in self._scopes(EVENTS):
            path = f"/api/v1/namespaces/{scope}/events" if scope else "/api/v1/events"
            try:
                page = await asking.get(path, _Page, params={"limit": str(PAGE)}, accept=_METADATA)
            except Forbidden as error:
                self._add("list", Level.FAIL, str(error), "grant list of events")
                return
            metadata = [item.metadata for item in page.items or []]
            number += len(metadata) + page.metadata.remaining_item_count
            self._namespaces_of_events |= {each.namespace for each in metadata if each.namespace}
            written += [at for each in metadata for at in _written(each)]
        self._add("list", Level.OK, f"{number:,} Events there")
        self._ttl(asking.server_now, written)

    def _ttl(self, server_now: datetime, written: Sequence[datetime]) -> None:
        """An Event that is there for longer than its TTL after it was written shows that the TTL is another."""
        said = self._cluster.event_ttl
        if not written:
            self._add("ttl", Level.OK, f"eventTTL {_short(said)}; no Event to compare it with")
            return
        oldest = server_now - min(written)
        detail = f"oldest Event was written {_short(oldest)} ago, eventTTL is {_short(said)}"
        if oldest > said + _TOLERATED:
            remedy = f"set clusters[{self._cluster.name}].eventTTL as kube-apiserver's --event-ttl"
            self._add("ttl", Level.WARN, detail, remedy)
        else:
            self._add("ttl", Level.OK, detail)

    async def _list_namespaces(self, asking: Asking) -> None:
        """Those that are configured, else those that there are or that Events are in, which may outlive them."""
        there = {name: _called(name) for name in self._namespaces_of_events}
        try:
            there |= {each.name: each async for each in _pages(asking)}
        except Forbidden as error:
            if NAMESPACES in self._resources:
                self._add("list", Level.FAIL, str(error), "grant list and watch of namespaces: locators are trusted")
        scopes = self._cluster.namespaces
        chosen = [there.get(name, _called(name)) for name in scopes] if scopes else list(there.values())
        self.seen = self.seen._replace(namespaces=chosen)


async def _pages(asking: Asking) -> AsyncIterator[Namespace]:
    token = ""
    for _ in range(PAGES):
        params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
        page = await asking.get("/api/v1/namespaces", _Page, params=params, accept=_METADATA)
        for item in page.items or []:
            said = item.metadata
            yield Namespace(said.name, said.uid, said.labels or {}, said.annotations or {})
        token = page.metadata.continue_
        if not token:
            return


def _called(name: str) -> Namespace:
    """One of which nothing is known but that it is there."""
    return Namespace(name, name, {}, {})


def _of(resource: str) -> tuple[str, str]:
    """The group and plural of what is watched."""
    watched = kinds.watched(resource)
    return (watched.group, watched.plural) if watched else ("", resource)


def _said(wanted: Wanted) -> str:
    return f"{wanted.verb} in {wanted.namespace}" if wanted.namespace else wanted.verb


def _written(metadata: _Metadata) -> Iterator[datetime]:
    """When an object was last written, as far as its metadata says it."""
    texts = [each.time for each in metadata.managed_fields or []]
    times = [at for at in map(_time, [*texts, metadata.creation_timestamp]) if at]
    if times:
        yield max(times)


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        return None


def _short(span: timedelta) -> str:
    minutes = max(0, int(span.total_seconds())) // 60
    return f"{minutes // 60}h{minutes % 60}m" if minutes >= 60 else f"{minutes}m"  # noqa: PLR2004  minutes of an hour
