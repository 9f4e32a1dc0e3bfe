"""One simulated API server on a loopback port: reads requests, judges who asks, writes answers.

Two personalities. ``kcp``: paths under ``/clusters/<path or name>``, a watch cache (late bookmark). Plain
kube-apiserver: neither, and no bookmarks for Events. What verbs mean is in :mod:`.api`, what a watch says in
:mod:`.stream`, what goes wrong on purpose in :mod:`.faults`. Not thread-safe: it belongs to one event loop.
"""

import asyncio
import ssl
from collections import deque
from datetime import datetime, timedelta
from email.utils import format_datetime

import msgspec
import yaml
from aiohttp import web

from batcher.clock import Now
from batcher.sandbox import asked, discovery, reviews
from batcher.sandbox.admission import BODY_LIMIT
from batcher.sandbox.api import Api, Place, Writer
from batcher.sandbox.asked import Asked
from batcher.sandbox.exports import Exports
from batcher.sandbox.faults import Faults
from batcher.sandbox.identity import ADMIN_TOKEN, Identity, default_identities, impersonated
from batcher.sandbox.reading import Reader
from batcher.sandbox.resources import NAMESPACES, WORKSPACES, Resource, served
from batcher.sandbox.shape import Object
from batcher.sandbox.status import (
    NO_SUCH_PATH,
    TOO_LARGE,
    UNAUTHORIZED,
    Refused,
    Status,
    bad_request,
    forbidden,
    refusal,
)
from batcher.sandbox.store import Store
from batcher.sandbox.tenancy import Tenancy, open_namespaces
from batcher.sandbox.watching import Bell
from batcher.sandbox.workspaces import Phase, Workspaces

BACKLOG = 4096
"""Connections waiting to be accepted: 10,000 watches are opened within seconds in one test."""
TOKENLESS_AGENT = "kubectl"
"""client-go keeps tokens back from a server without TLS, so kubectl is believed without one."""
SHUTDOWN_SECONDS = 5.0
"""Streams end at once when asked to; this is for clients that do not read."""
REQUESTS_KEPT = 10_000
"""How many of the newest requests are remembered, for a test that asks what was done."""


class ApiServer:
    """A store behind HTTP. ``faults`` and ``identities`` may be replaced at any time."""

    def __init__(self, *, kcp: bool, now: Now, event_ttl: timedelta, history: int = 100_000) -> None:
        """Build a server that does not listen yet, with its system namespaces."""
        self.kcp = kcp
        self.store = Store(history=history)
        self.identities: dict[str, Identity] = default_identities()
        self.url = ""
        self.generation = 0
        """Grows when etcd is restored: streams of an older one are cut."""
        self.requests: deque[tuple[str, str]] = deque(maxlen=REQUESTS_KEPT)
        """Method and path of each request, served or not."""
        self._faults = Faults()
        self._clock = now
        self._workspaces = Workspaces() if kcp else None
        self.api = Api(self.store, now=lambda: self.now, event_ttl=event_ttl, workspaces=self._workspaces)
        self.tenancy = Tenancy(self.api, self._workspaces) if self._workspaces else None
        self.exports = Exports(self.api, self._workspaces, lambda: self.now) if self._workspaces else None
        self._resources = served(kcp=kcp)
        self._bells: dict[tuple[Resource, str], Bell] = {}
        self._switched = Bell()
        self._closing = False
        self._runner: web.ServerRunner | None = None
        if not kcp:
            open_namespaces(self.api, "")

    @property
    def now(self) -> datetime:
        """Return the time of this server, its clock's offset included."""
        return self._clock() + self._faults.clock_offset

    @property
    def faults(self) -> Faults:
        """Return the switches as they are now: what happens once is gone after it happened."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self._ring_all()

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen; afterwards ``url`` says where."""
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=tls, backlog=BACKLOG)
        await site.start()
        bound = self._runner.addresses[0]
        self.url = f"{'https' if tls else 'http'}://{bound[0]}:{bound[1]}"
        if self.tenancy and self.exports:
            self.tenancy.url = self.exports.url = self.url

    async def stop(self) -> None:
        """End all streams, then stop listening."""
        self._closing = True
        self._ring_all()
        if self._runner is not None:
            await self._runner.cleanup()

    def alive(self, cluster: str, generation: int) -> bool:
        """Tell whether streams of this logical cluster, begun in this generation of the store, go on."""
        if self._closing or generation != self.generation:
            return False
        found = self._workspaces.by_name.get(cluster) if self._workspaces else None
        return found is None or found.phase(self.now) is Phase.READY

    def bell(self, resource: Resource, cluster: str) -> Bell:
        """Return what rings when a collection changes."""
        found = self._bells.get((resource, cluster))
        if found is None:
            found = self._bells[resource, cluster] = Bell()
            self.store.collection(resource, cluster).listeners.append(found.ring)
        return found

    def restore(self, revision: int) -> None:
        """Become an etcd restored from a backup of ``revision``: its objects, counter and identity; all streams end.

        Raises Expired when the history of ``revision`` is gone.
        """
        self.store.rewind(revision)
        self.generation += 1
        self._ring_all()

    def replace(self) -> None:
        """Become another cluster at the same address: a new kube-system Namespace; all streams end."""
        self.generation += 1
        for cluster in self._workspaces.by_name if self._workspaces else [""]:
            place = Place(NAMESPACES, cluster, "", "kube-system")
            self.store.delete(NAMESPACES, place.key)
            self.api.create(Place(NAMESPACES, cluster), {"metadata": {"name": "kube-system"}})
        self._ring_all()

    def _ring_all(self) -> None:
        self._switched.ring()
        for bell in self._bells.values():
            bell.ring()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Refused as refused:
            return self._respond(refused.status.code, refused.status)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.store.expire(self.now)
        self.requests.append((request.method, request.rel_url.raw_path))
        watch = request.query.get("watch", "") in {"true", "True", "1"}
        wanted = asked.read(
            request.method, request.rel_url.raw_path, watch=watch, kcp=self.kcp, resources=self._resources
        )
        if await self._misbehave(request, wanted.verb):
            return web.Response()
        who = self._who(request)
        cluster = self._workspaces.resolve(wanted.cluster, self.now) if self._workspaces else ""
        if wanted.resource is None:
            return await self._without_resource(request, wanted, who, cluster)
        place = Place(wanted.resource, cluster, wanted.namespace, wanted.name)
        if wanted.export and self.exports:
            self.exports.authorize(wanted, place, who)
            if wanted.verb == "list":
                return self._respond(200, self.exports.bindings(wanted.export))
        else:
            self._authorize(who, wanted.verb, place)
        if wanted.verb in {"get", "list", "watch"}:
            return await Reader(self, place).answer(request, wanted.verb)
        code, body = self._written(place, wanted.verb, request, await _body(request))
        return self._respond(code, body)

    async def _misbehave(self, request: web.BaseRequest, verb: str) -> bool:
        """Do what the faults say before a request is looked at; True when the connection is closed."""
        answer, self._faults = self._faults.answer(verb)
        if answer is not None:
            raise Refused(refusal(answer.code, answer.retry_after))
        if self._faults.slow_headers:
            await asyncio.sleep(self._faults.slow_headers.total_seconds())
        while verb in self._faults.stall and verb != "watch" and not self._closing:
            await self._switched.listen().wait()
        if verb in self._faults.drop and request.transport is not None:
            request.transport.close()
            return True
        return False

    def _who(self, request: web.BaseRequest) -> Identity:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme and request.headers.get("User-Agent", "").startswith(TOKENLESS_AGENT):
            token, scheme = ADMIN_TOKEN, "Bearer"
        identity = self.identities.get(token) if scheme == "Bearer" else None
        if identity is None:
            raise Refused(UNAUTHORIZED)
        user = request.headers.get("Impersonate-User")
        return impersonated(user) if user else identity

    def _authorize(self, who: Identity, verb: str, place: Place) -> None:
        exists = self._workspaces is None or self._workspaces.exists(place.cluster, self.now)
        if not (exists and who.may(verb, place.cluster, place.resource.plural)):
            raise Refused(forbidden(who.user, verb, place.resource, place.namespace))

    async def _without_resource(
        self, request: web.BaseRequest, wanted: Asked, who: Identity, cluster: str
    ) -> web.Response:
        if request.method == "POST" and reviews.is_review(wanted.path):
            if self._workspaces and not (self._workspaces.exists(cluster, self.now) and who.may_enter(cluster)):
                raise Refused(forbidden(who.user, "create", reviews.SELF_REVIEWS))
            review = _decoded(await _body(request), request.content_type)
            return self._respond(201, reviews.answer(wanted.path, review, who, self.identities, cluster))
        document = discovery.answer(wanted.path, self._resources.values())
        if document is None or request.method != "GET":
            raise Refused(NO_SUCH_PATH)
        return self._respond(200, document)

    def _written(self, place: Place, verb: str, request: web.BaseRequest, data: bytes) -> tuple[int, bytes | Object]:
        if verb == "delete":
            return 200, self._deleted(place)
        content = _decoded(data, request.content_type)
        writer = _writer(request)
        if verb == "create":
            if place.resource is WORKSPACES and self.tenancy:
                return 201, self.tenancy.create(place, content, writer).body
            return 201, self.api.create(place, content, size=len(data), writer=writer).body
        existed = self.store.get(place.resource, place.key) is not None
        act = {"update": self.api.replace, "patch": self.api.patch, "apply": self.api.apply}[
            "apply" if request.content_type == "application/apply-patch+yaml" else verb
        ]
        change = act(place, content, size=len(data), writer=writer)
        return (200 if existed else 201), change.body

    def _deleted(self, place: Place) -> bytes | Object:
        if place.resource is WORKSPACES and self.tenancy:
            return self.tenancy.delete(place).body
        change = self.api.delete(place)
        if place.resource is NAMESPACES:
            return change.body
        details = {"name": place.name, "kind": place.resource.plural, "uid": change.object["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _respond(self, code: int, body: bytes | Object | Status) -> web.Response:
        headers = {"Date": format_datetime(self.now, usegmt=True)}
        if isinstance(body, Status):
            if body.retry_after is not None:
                headers["Retry-After"] = str(body.retry_after)
            body = body.body()
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return web.Response(status=code, body=data, content_type="application/json", headers=headers)


async def _body(request: web.BaseRequest) -> bytes:
    """Read a request's body to its end; Refused 413 beyond the limit (body-huge.json)."""
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size <= BODY_LIMIT:
            parts.append(part)
    if size > BODY_LIMIT:
        raise Refused(TOO_LARGE)
    return b"".join(parts)


def _decoded(data: bytes, content_type: str) -> Object:
    try:
        content = yaml.safe_load(data) if content_type.endswith("yaml") else msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"the object provided is unrecognized (must be of type Event): {error}"
        raise Refused(bad_request(what)) from None
    return content  # type: ignore[no-any-return]  # admission judges what it is


def _writer(request: web.BaseRequest) -> Writer:
    agent = request.headers.get("User-Agent", "unknown").partition("/")[0]
    operation = "Apply" if request.content_type == "application/apply-patch+yaml" else "Update"
    return Writer(request.query.get("fieldManager") or agent, operation)
