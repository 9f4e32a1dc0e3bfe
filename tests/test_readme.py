"""Every command and file that the README shows, run as a user would: in a fresh folder, from the top."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from batcher import clock
from batcher.sandbox import Sandbox
from batcher.settings import load, validate
from tests.service.world import batcher, finish, until

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
]
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```yaml\n(.*?)```", README, flags=re.DOTALL))
FRAGMENTS = [
    block for block in re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL) if block not in FILES.values()
]

ELSEWHERE = {
    "make test": "it is what runs this test",
    ".venv/bin/batcher run --config one-cluster.yaml": "test_the_service_runs_with_the_file_of_the_readme",
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that has the project's files, and the environment that ``make`` has made."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Makefile", "pyproject.toml", "requirements", "batcher"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("batcher", "python"):
        found = shutil.which(name, path=str(Path(sys.executable).parent))
        assert found, f"{name} is not installed beside {sys.executable}: run make setup"
        (folder / ".venv" / "bin" / name).symlink_to(found)
    (folder / ".venv" / "ready").touch()
    yield folder
    shutil.rmtree(folder)


def test_every_command_is_run_in_order_and_does_what_it_says(clone: Path) -> None:
    environment = os.environ | {"BATCHER_DEMO_DURATION": "3s"}
    ran = []
    for command in COMMANDS:
        if command in ELSEWHERE:
            continue
        done = subprocess.run(  # noqa: S602  the README's own line, as a shell takes it
            command, shell=True, cwd=clone, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout, command
        ran.append(command)
    assert ran[0] == "make demo"
    assert len(ran) + len(ELSEWHERE) == len(COMMANDS)


def test_the_screen_of_the_readme_is_the_shape_of_the_demo(clone: Path) -> None:
    command = [str(clone / ".venv/bin/batcher"), "demo", "--duration", "3s", "--data-dir", "screen"]
    shown = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=100, check=True).stdout
    block = next(b for b in re.findall(r"```text\n(.*?)```", README, flags=re.DOTALL) if b.startswith("batcher demo"))
    headers = [line for line in block.splitlines() if line.startswith(("CLUSTER", "LAST SEEN", "Every line"))]
    assert len(headers) == 3
    for header in headers:
        assert header.split() in [line.split() for line in shown.splitlines()]
    assert max(len(line) for line in shown.splitlines()) <= 80


async def test_the_service_runs_with_the_file_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_text(content, encoding="utf-8")
    async with Sandbox(["us-west1"], {"root:shop": ["web"]}, now=clock.now) as sandbox:
        sandbox.write_kubeconfig(tmp_path / "cluster.kubeconfig")
        kubeconfig = yaml.safe_load(Path("cluster.kubeconfig").read_text(encoding="utf-8"))
        Path("kcp.kubeconfig").write_text(
            yaml.safe_dump(kubeconfig | {"current-context": "root:shop"}), encoding="utf-8"
        )
        about = {"kind": "Pod", "namespace": "web", "name": "web-0"}
        sandbox.clusters["us-west1"].create_event(
            {"metadata": {"name": "e", "namespace": "web"}, "involvedObject": about, "reason": "BackOff", "count": 3}
        )
        async with batcher("run", "--config", "one-cluster.yaml") as process:
            await until(lambda: bool(sandbox.kcp.workspaces["root:shop"].events("web")))
            code, _, err = await finish(process, signal.SIGINT)
    assert code == 0, err
    (event,) = sandbox.kcp.workspaces["root:shop"].events("web")
    assert (event["count"], event["reason"], event["involvedObject"]["name"]) == (3, "BackOff", "web-0")


def test_the_file_of_the_readme_is_the_example_in_deploy() -> None:
    example = yaml.safe_load((ROOT / "deploy/examples/one-cluster.yaml").read_text(encoding="utf-8"))
    assert yaml.safe_load(FILES["one-cluster.yaml"]) == example


@pytest.mark.parametrize("example", sorted((ROOT / "deploy" / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_valid_configuration(example: Path) -> None:
    assert load(example, {}).clusters


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_every_fragment_of_configuration_is_valid_within_the_example(fragment: str) -> None:
    document = yaml.safe_load(FILES["one-cluster.yaml"]) | yaml.safe_load(fragment)
    assert validate(document, "README.md").clusters


def test_the_json_of_events_has_what_the_readme_speaks_of(clone: Path) -> None:
    run = [str(clone / ".venv/bin/batcher"), "demo", "--duration", "2s", "--data-dir", "json", "--output", "json"]
    report = json.loads(subprocess.run(run, cwd=clone, capture_output=True, text=True, timeout=100, check=True).stdout)
    assert {"received", "revisions", "occurrences", "repeats", "ignored", "quarantined", "summaries", "published",
            "dead_lettered", "true_occurrences", "archive"} <= set(report)  # fmt: skip
    ask = [str(clone / ".venv/bin/batcher"), "events", "-A", "--output", "json", "--data-dir", "json"]
    events = json.loads(subprocess.run(ask, cwd=clone, capture_output=True, text=True, timeout=100, check=True).stdout)
    assert "count" in events["items"][0]
    annotations = {f"batcher.kcp.io/{name}" for name in ("verdict", "workspace", "target-namespace")}
    assert annotations <= set(events["items"][0]["metadata"]["annotations"])
