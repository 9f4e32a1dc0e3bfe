"""``batcher config``: what is printed where, and the exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.called import Told, called
from tests.service.world import batcher
from tests.settings.files import document, folder


async def config(*arguments: str) -> Told:
    return await called("config", *arguments)


def written(path: Path, **changes: Any) -> str:
    path.write_text(yaml.safe_dump(document(**changes)), encoding="utf-8")
    return str(path)


async def test_a_valid_file_is_told_so_with_what_is_in_it(tmp_path: Path) -> None:
    file = written(tmp_path / "c.yaml")
    assert await config("validate", file) == (0, f"{file}: valid; clusters: 1, routes: 0\n", "")


async def test_everything_that_is_wrong_is_on_stderr_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "c.yaml", batch={"interval": "soon"}, surprise=1)
    monkeypatch.setenv("BATCHER_LOG__LEVEL", "loud")
    assert await config("validate", file, "--feature-gates", "Foo=true") == (2, "", "\n".join([
        f"{file}: 4 problems",
        "  batch.interval: 'soon' is not a duration such as 30s, 5m, 1h30m or 30d",
        "  log.level: Input should be 'debug', 'info', 'warning' or 'error' (BATCHER_LOG__LEVEL)",
        "  featureGates: Foo: unknown feature gate; known: AutomaticResync",
        "  surprise: unknown setting",
        "",
    ]))  # fmt: skip


async def test_a_directory_is_looked_into_if_it_is_here_and_else_that_is_said(tmp_path: Path) -> None:
    edge = tmp_path / "edge"
    file = written(tmp_path / "c.yaml", clusters=[{"directory": str(edge)}, {"name": "edge-02"}])
    assert await config("validate", file) == (
        0,
        f"{file}: valid; clusters: 0, routes: 0\n{edge} is not here, so no cluster of a directory was checked\n",
        "",
    )
    folder(edge, "edge-01")
    _, out, _ = await config("validate", file)
    assert out.splitlines() == [
        f"{file}: valid; clusters: 1, routes: 0",
        "clusters[edge-02]: no directory has edge-02.kubeconfig; the entry waits for it",
    ]
    (edge / "Edge.kubeconfig").write_text("", encoding="utf-8")
    code, _, err = await config("validate", file)
    assert (code, err.splitlines()[0]) == (2, "clusters: 1 problem")


async def test_print_defaults_prints_a_file_that_only_lacks_what_is_required(tmp_path: Path) -> None:
    code, out, err = await config("print-defaults")
    assert (code, err) == (0, "")
    (tmp_path / "d.yaml").write_text(out, encoding="utf-8")
    code, _, err = await config("validate", str(tmp_path / "d.yaml"))
    assert (code, [line.partition(":")[0].strip() for line in err.splitlines()[1:]]) == (2, ["clusters", "kcp"])


async def test_explain_says_what_a_setting_is_and_names_the_nearest_of_an_unknown_one() -> None:
    code, out, err = await config("explain", "batch.interval")
    assert (code, out.splitlines()[0], err) == (0, "batch.interval   <duration>", "")
    assert await config("explain", "batch.intervall") == (
        2,
        "",
        "explain: 'batch.intervall' is no setting; near: batch.interval, archive.interval\n",
    )


async def test_schema_prints_what_is_in_deploy() -> None:
    code, out, err = await config("schema")
    committed = Path(__file__).parent.parent.parent / "deploy" / "config.schema.json"
    assert (code, out, err) == (0, committed.read_text(encoding="utf-8"), "")


async def test_diff_tells_what_a_file_changes_of_the_defaults_or_of_another_file(tmp_path: Path) -> None:
    one = written(tmp_path / "one.yaml", batch={"interval": "2s"})
    other = written(tmp_path / "other.yaml", batch={"interval": "2s"}, serve={"port": 80}, publish={"maxAge": "2h"})
    _, out, _ = await config("diff", one)
    assert out.splitlines() == [
        "SETTING                            DEFAULT   FILE                  NEEDS",
        "clusters[us-west1].name                      us-west1",
        "clusters[us-west1].kubeconfig                us-west1.kubeconfig",
        "kcp.kubeconfig                     null      kcp.kubeconfig",
        "kcp.workspaces[root:team-a].path             root:team-a",
        "batch.interval                     5s        2s",
    ]
    _, out, _ = await config("diff", one, other)
    assert out.splitlines() == [
        "SETTING          BEFORE   AFTER   NEEDS",
        "publish.maxAge   1h       2h",
        "serve.port       null     80      restart",
    ]
    assert await config("diff", one, one) == (0, "Nothing differs.\n", "")
    _, out, _ = await config("diff", one, other, "-o", "json")
    assert json.loads(out)[1] == {"path": "serve.port", "before": "null", "after": "80", "needsRestart": True}


async def test_run_refuses_an_unknown_gate_before_anything_is_opened(tmp_path: Path) -> None:
    file = written(tmp_path / "c.yaml", dataDir=str(tmp_path / "data"))
    async with batcher("run", "--config", file, "--feature-gates", "Foo=true") as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    assert err.decode() == f"{file}: 1 problem\n  featureGates: Foo: unknown feature gate; known: AutomaticResync\n"
    assert not (tmp_path / "data").exists()


async def test_a_store_is_checked_and_its_options_are_in_nothing_that_is_printed(tmp_path: Path) -> None:
    options = {"aws_secret_access_key": "canary", "aws_region": "eu-1"}
    file = written(tmp_path / "c.yaml", archive={"path": "s3://bucket/fleet", "storageOptions": options})
    other = written(
        tmp_path / "d.yaml", archive={"path": "gs://bucket/fleet", "storageOptions": options | {"x": "canary"}}
    )
    for command, code in (
        (("validate", file), 0), (("validate", other), 2), (("diff", file), 0), (("diff", file, other), 0),
        (("diff", file, other, "-o", "json"), 0),
    ):  # fmt: skip
        found, out, err = await config(*command)
        assert found == code, err
        assert "canary" not in out + err
    _, _, err = await config("validate", other)
    assert "archive.path: not a URL such as s3://bucket/folder" in err
    assert "archive.storageOptions.x: unknown; known: " in err
    file = written(tmp_path / "e.yaml", archive={"path": "s3://k:canary@bucket/fleet"})
    assert await config("diff", file) == (2, "", "\n".join([
        f"{file}: 1 problem",
        "  archive.path: a URL with credentials; they belong into archive.storageOptions", "",
    ]))  # fmt: skip
