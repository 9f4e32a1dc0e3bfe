"""``batcher check`` against a real kcp: what identities of little permission are told of their workspaces."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from batcher import clock
from batcher.sandbox import Sandbox
from tests.kcp.real import KUBECONFIG, Kcp, kubeconfig
from tests.kcp.test_targets import CONTENT, EVENTS, SLICES
from tests.service.world import batcher

pytestmark = [
    pytest.mark.kcp,
    pytest.mark.skipif(not KUBECONFIG, reason="BATCHER_KCP_KUBECONFIG names no kubeconfig of a real kcp"),
]

Findings = dict[tuple[str, str], tuple[str, str]]
"""Result and detail by name and check."""


@asynccontextmanager
async def workspaces(kcp: Kcp, *roles: str) -> AsyncIterator[dict[str, str]]:
    """Yield the paths of new workspaces by role."""
    async with AsyncExitStack() as made:
        paths = {}
        for role in roles:
            paths[role] = await kcp.workspace(role)
            made.push_async_callback(kcp.delete, paths[role])
        yield paths


async def checked(folder: Path, paths: Mapping[str, str], kcp: Mapping[str, Any]) -> Findings:
    """Run the command with a simulated cluster whose namespaces web and jobs lead to ``shop`` and ``team``."""
    async with Sandbox(["us-west1"], {}, now=clock.now) as sandbox:
        sandbox.write_kubeconfig(folder / "us-west1")
        for namespace in ("web", "jobs"):
            sandbox.clusters["us-west1"].create_namespace(namespace)
        rules = [{"namespace": "web", "workspace": paths["shop"]}, {"namespace": "jobs", "workspace": paths["team"]}]
        document = {
            "apiVersion": "batcher.kcp.io/v1alpha1",
            "kind": "BatcherConfig",
            "clusters": [{"name": "us-west1", "kubeconfig": str(folder / "us-west1"), "context": "us-west1"}],
            "kcp": kcp,
            "mapping": {"rules": rules},
        }
        (folder / "batcher.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        async with batcher("check", "--config", str(folder / "batcher.yaml"), "-o", "json") as process:
            out, err = await process.communicate()
    assert process.returncode in {0, 1}, err.decode()
    found = json.loads(out)["checks"]
    return {(each["name"], each["check"]): (each["result"], each["detail"]) for each in found}


async def test_an_account_that_may_only_write_events_is_well_in_its_workspace_and_kept_out_of_others(
    kcp: Kcp, tmp_path: Path
) -> None:
    async with workspaces(kcp, "shop", "team") as paths:
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(paths, kcp.connection.server)), encoding="utf-8")
        account = await kcp.account(paths["shop"], [EVENTS])
        (tmp_path / "token").write_text(account.token, encoding="utf-8")
        named = [{"path": path, "tokenFile": str(tmp_path / "token")} for path in paths.values()]
        found = await checked(
            tmp_path, paths, {"kubeconfig": str(tmp_path / "kubeconfig"), "context": "shop", "workspaces": named}
        )
        assert found[paths["shop"], "access"] == ("OK", "can be entered")
        assert found[paths["shop"], "events"] == ("OK", "may get, create, update in web")
        assert found[paths["team"], "access"] == ("FAIL", "must not be entered")
        assert found[paths["shop"], "clock"][0] == "OK"
        assert found[str(tmp_path / "token"), "credential"] == ("OK", "does not say when it ends, or is renewed")


async def test_an_account_that_lacks_update_is_told_so_and_a_workspace_that_is_not_there_as_well(
    kcp: Kcp, tmp_path: Path
) -> None:
    async with workspaces(kcp, "shop") as paths:
        paths["team"] = "root:batcher-nowhere"
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(paths, kcp.connection.server)), encoding="utf-8")
        account = await kcp.account(paths["shop"], [EVENTS | {"verbs": ["get", "create"]}])
        (tmp_path / "token").write_text(account.token, encoding="utf-8")
        named = [{"path": paths["shop"], "tokenFile": str(tmp_path / "token")}, {"path": paths["team"]}]
        found = await checked(
            tmp_path, paths, {"kubeconfig": str(tmp_path / "kubeconfig"), "context": "shop", "workspaces": named}
        )
        assert found[paths["shop"], "events"] == ("FAIL", "not allowed: update in web")
        assert found[paths["team"], "access"][0] == "FAIL"


async def test_with_an_apiexport_the_bound_workspace_is_well_and_the_other_is_named(kcp: Kcp, tmp_path: Path) -> None:
    async with workspaces(kcp, "provider", "shop", "team") as paths:
        account = await kcp.account(paths["provider"], [SLICES, CONTENT])
        await kcp.publish_export(paths["provider"], "events")
        await kcp.bind(paths["shop"], paths["provider"], "events", "Accepted")
        document = kubeconfig({"provider": paths["provider"]}, kcp.connection.server)
        document["users"] = [{"name": "account", "user": {"token": account.token}}]
        document["contexts"][0]["context"]["user"] = "account"
        (tmp_path / "provider").write_text(yaml.safe_dump(document), encoding="utf-8")
        export = {"kubeconfig": str(tmp_path / "provider"), "context": "provider", "name": "events"}

        async def bound() -> bool:
            found = await checked(tmp_path, paths, {"apiExport": export})
            assert found["APIExport events", "content"][0] == "OK"
            return (paths["shop"], "access") in found

        await kcp.until(bound, expected=True)
        found = await checked(tmp_path, paths, {"apiExport": export})
        assert found[paths["shop"], "access"] == ("OK", "can be entered")
        assert found["APIExport events", "bindings"] == ("WARN", f"mapped to and not bound: {paths['team']}")
