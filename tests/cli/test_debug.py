"""``batcher debug sandbox`` as kubectl and people meet it."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.service.world import batcher, finish, until


async def test_a_wrong_duration_is_told_in_one_line(tmp_path: Path) -> None:
    async with batcher("debug", "sandbox", "--kubeconfig", str(tmp_path / "k"), "--duration", "soon") as sandbox:
        _, err = await sandbox.communicate()
    assert err.decode().splitlines() == ["--duration: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d"]
    assert sandbox.returncode == 2


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
async def test_kubectl_finds_a_context_for_each_cluster_and_workspace(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    arguments = ("--kubeconfig", str(kubeconfig), "--workspaces", "root:shop=web root:bare")
    async with batcher("debug", "sandbox", *arguments) as sandbox:
        await until(kubeconfig.exists)
        found = {}
        for context in ("us-west1", "root:shop", "root:bare"):
            kubectl = await asyncio.create_subprocess_exec(
                "kubectl", "--kubeconfig", str(kubeconfig), "--cache-dir", str(tmp_path / "cache"),
                "--context", context, "get", "namespaces", "-o", "name", stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            found[context] = (await kubectl.communicate())[0].decode().split()
        assert found["root:shop"] == ["namespace/default", "namespace/kube-system", "namespace/web"]
        assert found["us-west1"] == found["root:bare"] == ["namespace/default", "namespace/kube-system"]
        code, _, err = await finish(sandbox)
    assert (code, err) in {(0, ""), (-15, "")}
