"""What clients ask before they ask for anything: versions, groups, resources.

Pure: built from the table of resources. OpenAPI is not served (kubectl then validates nothing).
"""

from collections.abc import Iterable, Sequence

from batcher.sandbox.resources import Resource
from batcher.sandbox.shape import Object

VERSION: Object = {
    "major": "1", "minor": "36", "gitVersion": "v1.36.0+sandbox", "gitCommit": "", "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "sandbox",
}  # fmt: skip
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_REVIEWS = "authorization.k8s.io/v1"


def answer(path: Sequence[str], resources: Iterable[Resource]) -> Object | None:
    """Return the document at ``path`` (["api", "v1"]), or None when it is no discovery path."""
    rows = list(resources)
    match list(path):
        case ["version"]:
            return VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            versions = sorted({row.api_version for row in rows if row.group} | {_REVIEWS})
            groups = [_group(version) for version in versions]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["api", "v1"]:
            return _resource_list("v1", rows)
        case ["apis", group, version]:
            api_version = f"{group}/{version}"
            found = _resource_list(api_version, rows)
            return found if found["resources"] or api_version == _REVIEWS else None
        case _:
            return None


def _group(api_version: str) -> Object:
    group, _, version = api_version.partition("/")
    entry = {"groupVersion": api_version, "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resource_list(api_version: str, rows: list[Resource]) -> Object:
    resources = [
        {
            "name": row.plural,
            "singularName": row.singular,
            "namespaced": row.namespaced,
            "kind": row.kind,
            "verbs": _VERBS,
            "shortNames": list(row.short_names),
        }
        for row in rows
        if row.api_version == api_version
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}
