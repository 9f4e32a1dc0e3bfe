"""A real kcp, named by ``BATCHER_KCP_KUBECONFIG``, and what these tests make in it: workspaces, accounts, claims."""

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml

from batcher.connect import Connection, connect

KUBECONFIG = os.environ.get("BATCHER_KCP_KUBECONFIG", "")
WORKSPACES = "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces"
NAMESPACES = ("web", "jobs")
EXPORTS, ROLES = "apis.kcp.io/v1alpha2", "rbac.authorization.k8s.io/v1"


class Account(NamedTuple):
    """A ServiceAccount."""

    name: str
    token: str


@dataclass
class Kcp:
    """A real kcp with workspaces of this test's own."""

    connection: Connection
    mark: str = field(default_factory=lambda: secrets.token_hex(3))

    async def call(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        timeout = aiohttp.ClientTimeout(total=30)
        async with self.connection.request(method, path, body=data, content_type=kind, timeout=timeout) as response:
            return response.status, await response.json()

    async def workspace(self, role: str) -> str:
        """Create a workspace with the namespaces of the scenario; return its path."""
        name = f"batcher-{role}-{self.mark}"
        universal = {"type": {"name": "universal", "path": "root"}}
        content = {"apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name}}
        assert (await self.call("POST", WORKSPACES, content | {"spec": universal}))[0] == 201
        async with asyncio.timeout(60):
            while (await self.call("GET", f"{WORKSPACES}/{name}"))[1].get("status", {}).get("phase") != "Ready":
                await asyncio.sleep(0.1)
        path = f"root:{name}"
        for namespace in NAMESPACES:
            await self._namespace(path, namespace)
        return path

    async def _namespace(self, path: str, name: str) -> None:
        """Create a namespace; a workspace that has just become ready may refuse for a moment."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        async with asyncio.timeout(30):
            while (await self.call("POST", f"/clusters/{path}/api/v1/namespaces", body))[0] not in {201, 409}:
                await asyncio.sleep(0.1)

    async def delete(self, path: str) -> None:
        await self.call("DELETE", f"{WORKSPACES}/{path.removeprefix('root:')}")

    async def events(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.call("GET", f"/clusters/{path}/api/v1/events"))[1]["items"]
        return items

    async def make(self, path: str, kind: str, content: Mapping[str, Any], namespace: str = "") -> dict[str, Any]:
        """Create an object of ``kind`` (``<plural>.<group>/<version>``) in the workspace ``path``; return it."""
        plural, _, version = kind.partition(".")
        root = f"/clusters/{path}/" + (f"apis/{version}" if version else "api/v1")
        where = f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"
        async with asyncio.timeout(30):  # what a workspace has just been given is served a moment later
            while (answer := await self.call("POST", where, content))[0] not in {201, 409}:
                await asyncio.sleep(0.2)
        made: dict[str, Any] = answer[1]
        return made

    async def until(self, said: Callable[[], Awaitable[object]], expected: object) -> None:
        """Return when ``said`` says what is ``expected``; kcp can only be asked."""
        async with asyncio.timeout(60):
            while await said() != expected:
                await asyncio.sleep(0.2)

    async def logical(self, path: str) -> str:
        """Return the name of the logical cluster at ``path``."""
        name: str = (await self.call("GET", f"{WORKSPACES}/{path.removeprefix('root:')}"))[1]["spec"]["cluster"]
        return name

    async def account(self, path: str, rules: list[dict[str, Any]]) -> Account:
        """Create a ServiceAccount in the workspace ``path`` that may do what ``rules`` say, and nothing else."""
        name = f"batcher-{secrets.token_hex(3)}"
        await self.make(path, "serviceaccounts", {"metadata": {"name": name}}, "default")
        await self._grant(path, name, rules, {"kind": "ServiceAccount", "name": name, "namespace": "default"})
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        where = f"/clusters/{path}/api/v1/namespaces/default/serviceaccounts/{name}/token"
        return Account(name, (await self.call("POST", where, asked))[1]["status"]["token"])

    async def allow(self, path: str, user: str, rules: list[dict[str, Any]]) -> None:
        """Let ``user``, who is not of the workspace ``path``, enter it and do what ``rules`` say."""
        name, subject = f"batcher-{secrets.token_hex(3)}", {"kind": "User", "name": user}
        await self._grant(path, name, rules, subject)
        await self._bind_role(path, f"{name}-access", "system:kcp:workspace:access", subject)

    async def _grant(self, path: str, name: str, rules: list[dict[str, Any]], subject: dict[str, str]) -> None:
        await self.make(path, f"clusterroles.{ROLES}", {"metadata": {"name": name}, "rules": rules})
        await self._bind_role(path, name, name, subject)

    async def _bind_role(self, path: str, name: str, role: str, subject: dict[str, str]) -> None:
        reference = {"apiGroup": ROLES.partition("/")[0], "kind": "ClusterRole", "name": role}
        content = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        await self.make(path, f"clusterrolebindings.{ROLES}", content)

    @staticmethod
    async def status_for(token_file: Path, path: str) -> int:
        """Return how a GET of ``path`` is answered to who has the token in ``token_file``."""
        other = connect(name="kcp", kubeconfig=Path(KUBECONFIG), token_file=token_file)
        other.server = other.server.partition("/clusters/")[0]
        async with other.request("GET", path, timeout=aiohttp.ClientTimeout(total=30)) as response:
            status = response.status
        await other.close()
        return status

    async def publish_export(self, path: str, name: str) -> None:
        """Offer an APIExport in the workspace ``path`` that claims Events."""
        claim = {"group": "", "resource": "events", "verbs": ["get", "create", "update"]}
        content = {"apiVersion": EXPORTS, "kind": "APIExport", "metadata": {"name": name}}
        await self.make(path, f"apiexports.{EXPORTS}", content | {"spec": {"permissionClaims": [claim]}})

    async def bind(self, path: str, provider: str, name: str, state: str) -> None:
        """Bind the export in the workspace ``path``, and accept or reject its claim, also when it is bound already."""
        claim = {"group": "", "resource": "events", "verbs": ["get", "create", "update"], "state": state}
        claims = {"permissionClaims": [claim | {"selector": {"matchAll": True}}]}
        reference = {"reference": {"export": {"path": provider, "name": name}}}
        content = {"apiVersion": EXPORTS, "kind": "APIBinding", "metadata": {"name": name}, "spec": reference | claims}
        await self.make(path, f"apibindings.{EXPORTS}", content)
        where = f"/clusters/{path}/apis/{EXPORTS}/apibindings/{name}"
        assert (await self.call("PATCH", where, {"spec": claims}, "application/merge-patch+json"))[0] == 200


def kubeconfig(paths: Mapping[str, str], server: str) -> dict[str, Any]:
    """The given kubeconfig with a context a path."""
    given = yaml.safe_load(Path(KUBECONFIG).read_text(encoding="utf-8"))
    context = next(c["context"] for c in given["contexts"] if c["name"] == given["current-context"])
    cluster = next(c["cluster"] for c in given["clusters"] if c["name"] == context["cluster"])
    clusters = [
        {"name": name, "cluster": {**cluster, "server": f"{server}/clusters/{path}"}} for name, path in paths.items()
    ]
    contexts = [{"name": name, "context": {"cluster": name, "user": context["user"]}} for name in paths]
    return {**given, "clusters": clusters, "contexts": contexts, "current-context": ""}
