"""The uid that the workspace's own object has: what ``kubectl describe`` selects Events by.

Only metadata is asked for, of the kinds that the settings name, one request at a time in a workspace, because
its worker waits for it. An answer is kept, also that there is none; so is a refusal, for a whole kind. A
look-up never stops a write: without an answer in time the write goes on with what was known before, or
without a uid. Nothing of it is kept on disk.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import aiohttp
import msgspec

from batcher.errors import Unavailable
from batcher.kinds import Kind, api
from batcher.publish.addresses import quoted
from batcher.publish.targets import Target

SECONDS = 2.0
"""What a look-up may delay a write by."""
KEPT, KEPT_ABSENT = 600.0, 120.0
"""Seconds that a uid is believed, and that an object is believed not to be there."""
KEPT_REFUSED = 900.0
"""Seconds that a whole kind is not asked for after a refusal: people change permissions by hand."""
KEPT_SILENT = 30.0
"""Seconds that nothing is asked of a workspace that did not answer."""
REMEMBERED = 50_000
"""Objects, of all workspaces: about 15 MB."""

_TIMEOUT = aiohttp.ClientTimeout(total=SECONDS)
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
REGARDING = "batcher.kcp.io/regarding"
"""The annotation of an Event that is told elsewhere: the object that it is about is not there."""


class _Metadata(msgspec.Struct):
    uid: str


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Details(msgspec.Struct):
    name: str = ""


class _Status(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


class _Known(NamedTuple):
    """What an answer said, until when it is believed."""

    uid: str
    until: float


_UNKNOWN = _Known("", 0.0)


class Lookup:
    """Looks uids up and remembers them. Times are the loop's, in seconds."""

    def __init__(self, kinds: Iterable[Kind] = (), remembered: int = REMEMBERED) -> None:
        """Look up objects of ``kinds``; keep at most ``remembered`` answers."""
        self._remembered = remembered
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()
        self._refused: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.apply(kinds)

    def apply(self, kinds: Iterable[Kind]) -> None:
        """Look up objects of ``kinds`` from now on, and no others."""
        self._kinds = {kind.kind: kind for kind in kinds}

    async def uid(self, target: Target, event: Mapping[str, Any]) -> str:
        """Return the uid of the object in ``target`` that ``event`` is about; empty: not known."""
        about: Mapping[str, Any] = event.get("involvedObject") or {}
        where = self._where(event, about)
        if not where:
            return ""
        key = (target.cluster, where)
        if self._is_refused(target.cluster, about["kind"]):
            return ""
        known = self._known.get(key, _UNKNOWN)
        if self._is_believed(known.until) or self._is_refused(target.cluster, ""):
            return known.uid
        try:
            async with asyncio.timeout(SECONDS):
                uid = await self._ask(target, where, about)
        except (Unavailable, TimeoutError, msgspec.DecodeError):
            self._refuse(target.cluster, "", KEPT_SILENT)
            return known.uid
        return self._remember(key, uid)

    def _where(self, event: Mapping[str, Any], about: Mapping[str, Any]) -> str:
        """Return the path of the object behind ``/clusters/<name>``; empty when it is not to be looked up."""
        kind = self._kinds.get(about.get("kind") or "")
        namespace, name = about.get("namespace") or "", about.get("name") or ""
        elsewhere = REGARDING in (event["metadata"].get("annotations") or {})
        if kind is None or elsewhere or {namespace, name} & {"", ".", ".."}:
            return ""
        root = api(kind, about.get("apiVersion") or "")
        return f"{root}/namespaces/{quoted(namespace)}/{kind.plural}/{quoted(name)}" if root else ""

    async def _ask(self, target: Target, where: str, about: Mapping[str, Any]) -> str:
        """Return the uid; empty when there is no such object, or we may not know. Raises when it is no answer."""
        path = f"/clusters/{target.cluster}{where}"
        async with target.connection.request("GET", path, accept=_METADATA, timeout=_TIMEOUT) as response:
            content = await response.read()
        if response.status == 200:  # noqa: PLR2004  HTTP's own number
            return msgspec.json.decode(content, type=_Object).metadata.uid
        if response.status not in {403, 404}:
            message = f"a look-up is answered {response.status}"
            raise Unavailable(message)
        if response.status == 403 or not _names(content, about["name"]):  # noqa: PLR2004  HTTP's own number
            self._refuse(target.cluster, about["kind"], KEPT_REFUSED)
        return ""

    def _remember(self, key: tuple[str, ...], uid: str) -> str:
        now = asyncio.get_running_loop().time()
        self._known[key] = _Known(uid, now + (KEPT if uid else KEPT_ABSENT))
        self._known.move_to_end(key)
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return uid

    def _refuse(self, cluster: str, kind: str, seconds: float) -> None:
        """Ask for nothing of ``kind`` for a while; an empty one is all of them."""
        self._refused[cluster, kind] = asyncio.get_running_loop().time() + seconds
        self._refused.move_to_end((cluster, kind))
        if len(self._refused) > self._remembered:
            self._refused.popitem(last=False)

    def _is_refused(self, cluster: str, kind: str) -> bool:
        until = self._refused.get((cluster, kind))
        return until is not None and self._is_believed(until)

    @staticmethod
    def _is_believed(until: float) -> bool:
        return asyncio.get_running_loop().time() < until


def _names(content: bytes, name: str) -> bool:
    """Whether a 404 is about the object, and not about a kind that the workspace does not have."""
    try:
        return msgspec.json.decode(content, type=_Status).details.name == name
    except (msgspec.DecodeError, RecursionError):
        return False
