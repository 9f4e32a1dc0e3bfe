"""What a request asks for, read from its method and path. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from batcher.sandbox.resources import Resource
from batcher.sandbox.status import NO_SUCH_METHOD, NO_SUCH_PATH, Refused

_NAMED = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_UNNAMED = {"GET": "list", "POST": "create"}

Served = Mapping[tuple[str, str, str], Resource]
"""Resources by (group, version, plural)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A verb and what it is about. ``cluster`` is the text behind ``/clusters/``, "" where there is none."""

    cluster: str
    path: tuple[str, ...]
    """The decoded rest of the path, for discovery and reviews."""
    verb: str = "get"
    resource: Resource | None = None
    namespace: str = ""
    name: str = ""
    export: tuple[str, str] | None = None
    """At the endpoint of an APIExport: the provider's logical cluster, and the name of the export."""


def read(method: str, raw_path: str, *, watch: bool, kcp: bool, resources: Served) -> Asked:
    """Read a request line; Refused 404 for paths and 405 for methods that no resource has."""
    parts = tuple(unquote(part) for part in raw_path.strip("/").split("/"))
    cluster, export = "", None
    if kcp and parts[:2] == ("services", "apiexport") and len(parts) > 4:  # noqa: PLR2004  <provider>/<name>/...
        export, parts = (parts[2], parts[3]), parts[4:]
    if kcp and parts[0] == "clusters" and len(parts) > 1:
        cluster, parts = parts[1], parts[2:]
    found = _resource(parts, resources)
    if found is None:
        return Asked(cluster, parts, verb=method, export=export)
    resource, namespace, name = found
    verb = (_NAMED if name else _UNNAMED).get(method)
    if verb is None:
        raise Refused(NO_SUCH_METHOD)
    return Asked(cluster, parts, "watch" if watch and method == "GET" else verb, resource, namespace, name, export)


def _resource(parts: tuple[str, ...], resources: Served) -> tuple[Resource, str, str] | None:
    """Return resource, namespace and name of ``/api/v1/...`` or ``/apis/<group>/<version>/...``."""
    match parts:
        case ("api", version, *tail) if tail:
            group = ""
        case ("apis", group, version, *tail) if tail:
            pass
        case _:
            return None
    namespace = ""
    if len(tail) > 2 and tail[0] == "namespaces":  # noqa: PLR2004  namespaces/<name>/<plural>
        namespace, tail = tail[1], tail[2:]
    resource = resources.get((group, version, tail[0]))
    if resource is None:
        return None
    if len(tail) > 2 or (namespace and not resource.namespaced):  # noqa: PLR2004  <plural>/<name>
        raise Refused(NO_SUCH_PATH)
    return resource, namespace, tail[1] if len(tail) > 1 else ""
