"""The answers of get, list and watch, in the form that the client accepts.

Reads one collection; changes nothing but the faults that happen once.
"""

import socket
import struct
from contextlib import suppress
from datetime import datetime
from email.utils import format_datetime
from typing import Protocol

import msgspec
from aiohttp import web

from batcher.errors import Expired
from batcher.sandbox import listing
from batcher.sandbox.api import Api, Place
from batcher.sandbox.faults import Compacted, Faults
from batcher.sandbox.forms import Form, partial, partial_list, wanted
from batcher.sandbox.options import Options, parse
from batcher.sandbox.resources import Resource
from batcher.sandbox.shape import Object
from batcher.sandbox.status import Refused, too_old
from batcher.sandbox.store import Store
from batcher.sandbox.stream import Stream, event_line
from batcher.sandbox.table import table
from batcher.sandbox.watching import Bell, Course, Cut

_LINGER_ZERO = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing the socket sends RST instead of FIN."""


class Server(Protocol):
    """What reading needs of the server."""

    api: Api
    store: Store
    kcp: bool
    faults: Faults
    generation: int

    @property
    def now(self) -> datetime:
        """Return the server's time."""

    def alive(self, cluster: str, generation: int) -> bool:
        """Tell whether streams go on."""

    def bell(self, resource: Resource, cluster: str) -> Bell:
        """Return what rings when a collection changes."""


class Reader:
    """Reads one place for one request."""

    def __init__(self, server: Server, place: Place) -> None:
        """Read ``place`` of ``server``."""
        self._server = server
        self._place = place

    async def answer(self, request: web.BaseRequest, verb: str) -> web.StreamResponse:
        """Answer ``get``, ``list`` or ``watch``; Refused as recorded."""
        form = wanted(request.headers.get("Accept", ""))
        if verb == "get":
            return self._get(form)
        options = parse(self._place.resource, request.query)
        return await self._watch(request, options, form) if verb == "watch" else self._list(options, form)

    def _get(self, form: Form) -> web.Response:
        change = self._server.api.get(self._place)
        if form is Form.PLAIN:
            return self._json(change.body)
        if form is Form.METADATA:
            return self._json(msgspec.json.encode(partial(change.object)))
        return self._json(self._table([change.object], {"resourceVersion": str(change.revision)}))

    def _list(self, options: Options, form: Form) -> web.Response:
        result = listing.listed(self._server.store, self._place, options)
        if form is Form.PLAIN:
            return self._json(listing.encoded(self._place, result))
        objects = [change.object for change in result.page.changes]
        if form is Form.METADATA:
            return self._json(msgspec.json.encode(partial_list(objects, result.metadata)))
        return self._json(self._table(objects, result.metadata))

    def _table(self, objects: list[Object], metadata: Object) -> bytes:
        return msgspec.json.encode(table(self._place.resource, objects, metadata, self._server.now))

    def _json(self, body: bytes) -> web.Response:
        headers = {"Date": format_datetime(self._server.now, usegmt=True)}
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _watch(self, request: web.BaseRequest, options: Options, form: Form) -> web.StreamResponse:
        server, place = self._server, self._place
        collection = server.store.collection(place.resource, place.cluster)
        bell = server.bell(place.resource, place.cluster)
        stream = Stream(place, options, collection, kcp=server.kcp, form=form)
        response = web.StreamResponse(headers={"Date": format_datetime(server.now, usegmt=True)})
        response.content_type = "application/json"
        try:
            first = stream.start(server.faults, server.now)
        except Expired:
            return await self._expired(request, response, options.revision or 0)
        response.enable_chunked_encoding()
        await response.prepare(request)
        course = Course(
            stream, _Pipe(request, response), server, bell, cluster=place.cluster, generation=server.generation
        )
        with suppress(Cut, ConnectionError):
            try:
                await course.run(first, options.timeout)
            except Expired:
                await response.write(self._too_old_line(options.revision or 0))
        return response

    async def _expired(
        self, request: web.BaseRequest, response: web.StreamResponse, revision: int
    ) -> web.StreamResponse:
        """Answer a watch from before the history in one of the three ways that are seen."""
        how = self._server.faults.compacted
        if how is Compacted.GONE:
            raise Refused(too_old(revision, self._oldest()))
        response.enable_chunked_encoding()
        await response.prepare(request)
        if how is Compacted.IN_STREAM:
            await response.write(self._too_old_line(revision))
        return response

    def _too_old_line(self, revision: int) -> bytes:
        return event_line("ERROR", too_old(revision, self._oldest()).body())

    def _oldest(self) -> int:
        return self._server.store.collection(self._place.resource, self._place.cluster).floor + 1


class _Pipe:
    """A response as a stream writes to it."""

    def __init__(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Write into ``response``, a chunked one that is prepared."""
        self._request = request
        self._response = response

    async def write(self, data: bytes) -> None:
        """Send one HTTP chunk."""
        await self._response.write(data)

    def reset(self, data: bytes) -> None:
        """Begin a chunk that is never finished, and reset the connection."""
        transport = self._request.transport
        if transport is None:
            return
        transport.write(f"{len(data) + 1:x}\r\n".encode() + data)
        plain: socket.socket | None = transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        transport.abort()
