"""Who has opted in: the APIBindings of an APIExport, read where kcp serves them.

Each shard has an endpoint of its own, told by the APIExportEndpointSlices of the export; at each of them one
list over all workspaces has the bindings of its shard. kcp sets ``kcp.io/cluster`` and ``kcp.io/path`` itself
and puts them right again when a tenant changes them (tried), so a binding cannot speak for another workspace.
A list shows rejected claims too. Reads only.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from batcher.connect import Connection
from batcher.errors import Unavailable
from batcher.publish.names import is_logical

PAGE = 500
REQUEST_SECONDS = 30.0
SLICES = "/apis/apis.kcp.io/v1alpha1/apiexportendpointslices"
BINDINGS = "/clusters/*/apis/apis.kcp.io/v1alpha2/apibindings"

T = TypeVar("T")


class Bound(NamedTuple):
    """A workspace that accepts our claim of Events."""

    logical: str
    path: str
    """Empty when kcp did not say it."""


class _Named(msgspec.Struct, rename="camel"):
    name: str = ""


class _Reference(msgspec.Struct, rename="camel"):
    export: _Named = msgspec.field(default_factory=_Named)


class _Endpoint(msgspec.Struct):
    url: str


class _Endpoints(msgspec.Struct, rename="camel"):
    endpoints: list[_Endpoint] = []


class _Slice(msgspec.Struct, rename="camel"):
    spec: _Reference
    status: _Endpoints = msgspec.field(default_factory=_Endpoints)


class _Slices(msgspec.Struct):
    items: list[_Slice]


class _Claim(msgspec.Struct):
    resource: str
    group: str = ""
    state: str = ""


class _Claims(msgspec.Struct, rename="camel"):
    reference: _Reference
    permission_claims: list[_Claim] = []


class _Metadata(msgspec.Struct, rename="camel"):
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None


class _Binding(msgspec.Struct):
    metadata: _Metadata
    spec: _Claims


class _Page(msgspec.Struct):
    continue_: str = msgspec.field(default="", name="continue")


class _Bindings(msgspec.Struct):
    items: list[_Binding]
    metadata: _Page = msgspec.field(default_factory=_Page)


async def read_endpoints(provider: Connection, export: str) -> list[str]:
    """Return the URLs at which ``export`` is served, one a shard, in the order of their text.

    Raises :class:`Unavailable` when they cannot be read, and for one that would take our token where the
    provider's own server is not: over plain HTTP.
    """
    slices = _decoded(await _get(provider, SLICES, {}), _Slices)
    ours = [each for each in slices.items if each.spec.export.name == export]
    urls = sorted({endpoint.url for each in ours for endpoint in each.status.endpoints})
    plain = [url for url in urls if urlsplit(url).scheme != urlsplit(provider.server).scheme]
    if plain:
        message = f"{provider.name}: the endpoint {plain[0]} is not served as {provider.server} is"
        raise Unavailable(message)
    return urls


async def read_bindings(endpoint: Connection, export: str) -> list[Bound]:
    """Return the workspaces of the shard at ``endpoint`` that accept our claim. Raises :class:`Unavailable`."""
    found: list[Bound] = []
    params = {"limit": str(PAGE)}
    while True:
        page = _decoded(await _get(endpoint, BINDINGS, params), _Bindings)
        found += _bound(page, export)
        if not page.metadata.continue_:
            return found
        params = {"limit": str(PAGE), "continue": page.metadata.continue_}


def _bound(page: _Bindings, export: str) -> Iterator[Bound]:
    for binding in page.items:
        logical = binding.metadata.annotations.get("kcp.io/cluster", "")
        if is_logical(logical) and _accepts(binding, export):
            yield Bound(logical, binding.metadata.annotations.get("kcp.io/path", ""))


def _accepts(binding: _Binding, export: str) -> bool:
    claims = [claim for claim in binding.spec.permission_claims if (claim.group, claim.resource) == ("", "events")]
    accepted = bool(claims) and all(claim.state == "Accepted" for claim in claims)
    return accepted and binding.spec.reference.export.name == export and not binding.metadata.deletion_timestamp


async def _get(connection: Connection, path: str, params: Mapping[str, str]) -> bytes:
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with connection.request("GET", path, params=params, timeout=timeout) as response:
        content = await response.read()
        if response.status != 200:  # noqa: PLR2004  HTTP's own number
            message = f"{connection.name}: {path} answers {response.status}"
            raise Unavailable(message)
        return content


def _decoded(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"the answer is no {kind.__name__.strip('_')}: {error}"
        raise Unavailable(message) from None
