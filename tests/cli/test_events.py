"""``batcher events`` as a process and as a plugin of kubectl: what it prints, that it follows, and how it ends."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.called import Told, called
from tests.history import history
from tests.sections import event, watched
from tests.service.world import batcher

HOSTILE = "\x1b[31mred\x07 \u202egpj\nforged line"
PLUGIN = "import sys; sys.argv[0] = {name!r}\nfrom batcher.__main__ import main\nmain()\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with history(tmp_path / "data") as h:
        source = {"component": "kubelet", "host": "node-1"}
        h.batch(watched(event("web", 10, count=3, minute=1, message=HOSTILE, source=source)), minute=1)
        h.batch(watched(event("job", 11, namespace="jobs", minute=2, type="Normal")), minute=2)
    return tmp_path / "data"


async def run(*arguments: str) -> Told:
    return await called("events", *arguments)


async def test_a_table_cannot_be_disturbed_by_what_an_event_says(data: Path) -> None:
    code, out, err = await run("-A", "--data-dir", str(data))
    assert (code, err) == (0, "")
    header, web, job = out.splitlines()
    assert header.split()[:4] == ["LAST", "SEEN", "CLUSTER", "NAMESPACE"]
    assert web.endswith("   3   pod/web   [31mred   gpj forged line")
    assert job.split()[-8:-4] == ["Normal", "BackOff", "1", "pod/job"]
    code, out, _ = await run("-n", "web", "--no-headers", "--data-dir", str(data))
    assert (code, out.count("\n"), out.split()[1:7]) == (
        0, 1, ["us-west1", "web", "Warning", "BackOff", "3", "pod/web"],
    )  # fmt: skip


async def test_json_and_yaml_are_the_list_of_events_that_kubectl_prints(data: Path) -> None:
    _, out, _ = await run("-n", "web", "-o", "json", "--data-dir", str(data))
    _, same, _ = await run("-n", "web", "-o", "yaml", "--data-dir", str(data))
    found = json.loads(out)
    assert found == yaml.safe_load(same)
    assert not any(ord(char) < 32 and char != "\n" for char in out + same)
    (web,) = found.pop("items")
    assert found == {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": ""}}
    assert web == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": "web.1",
            "namespace": "web",
            "uid": "uid-web",
            "resourceVersion": "10",
            "creationTimestamp": "2026-11-23T16:01:00Z",
            "annotations": {
                "kcp.io/source-cluster": "us-west1",
                "batcher.kcp.io/received-at": "2026-11-23T16:01:00.000000Z",
                "batcher.kcp.io/cluster-uid": "uid-us",
                "batcher.kcp.io/verdict": "kept",
                "batcher.kcp.io/workspace": "root:shop",
                "batcher.kcp.io/target-namespace": "web",
            },
        },
        "involvedObject": {"kind": "Pod", "namespace": "web", "name": "web", "apiVersion": "v1"},
        "reason": "BackOff",
        "message": HOSTILE,
        "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": "2026-11-23T16:01:00Z",
        "lastTimestamp": "2026-11-23T16:01:00Z",
        "count": 3,
        "type": "Warning",
        "reportingComponent": "kubelet",
    }


async def test_names_and_an_empty_answer_are_as_kubectl_has_them(data: Path) -> None:
    place = ("--data-dir", str(data))
    assert await run("-A", "-o", "name", *place) == (0, "event/web.1\nevent/job.1\n", "")
    assert await run("-A", "-o", "name", "--sort-by", ".metadata.name", *place) == (0, "event/job.1\nevent/web.1\n", "")
    assert await run(*place) == (0, "", "No events found in default namespace.\n")
    assert await run("-A", "--types", "Warning", "--for", "po/job", *place) == (0, "", "No events found.\n")
    assert json.loads((await run("-o", "json", *place))[1])["items"] == []
    code, out, err = await run("-A", "-o", "name", "--limit", "1", *place)
    assert (code, out, err) == (0, "event/job.1\n", "")


async def test_what_is_wrong_with_the_call_is_one_line_and_exit_2(data: Path) -> None:
    for arguments, told in (
        (
            ("--since", "soon"),
            "--since: 'soon' is neither a duration such as 30s, 5m, 1h30m or 7d, nor a time such as ",
        ),
        (("--types", "Fatal"), "--types: 'Fatal' is no type of Events; there are: Normal, Warning\n"),
        (("-n", "a[b]"), "--namespace: 'a[b]' is no name, nor a glob such as shop-*"),
        (("-w", "--until", "1h"), "--watch: prints what comes as it comes; leave out --until and --sort-by\n"),
        (("--sort-by", "size"), "--sort-by: 'size' is nothing to sort by; there are: last, first, created, "),
    ):
        code, out, err = await run(*arguments, "--data-dir", str(data))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(told)


async def lines(process: Process, number: int) -> list[str]:
    assert process.stdout
    async with asyncio.timeout(60):
        return [(await process.stdout.readline()).decode().rstrip("\n") for _ in range(number)]


async def test_a_watch_prints_what_is_there_and_then_every_revision_that_is_committed(data: Path) -> None:
    async with batcher("events", "-n", "web", "-w", "--data-dir", str(data)) as process:
        assert [line.split()[0] for line in await lines(process, 2)] == ["LAST", (await age(data))]
        with history(data) as h:
            h.batch(watched(event("web", 20, count=5, minute=3)), watched(event("x", 1, namespace="y")), minute=3)
            h.batch(minute=4)
            h.batch(watched(event("web", 30, count=6, minute=5)), minute=5)
        first, second = await lines(process, 2)
        assert ("   5   pod/web" in first, "   6   pod/web" in second) == (True, True)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")


async def age(data: Path) -> str:
    _, out, _ = await run("-n", "web", "--no-headers", "--data-dir", str(data))
    return out.split()[0]


async def test_a_watch_of_json_prints_documents_and_ends_when_its_reader_has_gone(data: Path) -> None:
    async with batcher("events", "-A", "-w", "-o", "json", "--data-dir", str(data)) as process:
        assert process.stdout
        document = ""
        async with asyncio.timeout(60):
            while not document or not _is_whole(document):
                document += (await process.stdout.readline()).decode()
        assert json.loads(document)["metadata"]["name"] == "web.1"
        process.stdout._transport.close()  # type: ignore[attr-defined]
        async with asyncio.timeout(60):
            code = await process.wait()
        assert process.stderr
        assert (code, await process.stderr.read()) == (141, b"")


def _is_whole(document: str) -> bool:
    with suppress(json.JSONDecodeError):
        return bool(json.loads(document))
    return False


async def test_a_reader_that_has_gone_before_ends_it_with_its_own_exit_code(data: Path) -> None:
    out, end = os.pipe()
    os.close(out)
    command = [sys.executable, "-u", "-m", "batcher", "events", "-A", "--data-dir", str(data)]
    process = await asyncio.create_subprocess_exec(*command, stdout=end, stderr=PIPE)
    os.close(end)
    _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


async def test_kubectl_finds_it_as_a_plugin(data: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "bin" / "kubectl-batcher"
    plugin.parent.mkdir()
    plugin.write_text(f"#!{sys.executable}\n{PLUGIN.format(name=str(plugin))}")
    plugin.chmod(0o755)
    path = f"{plugin.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}

    async def call(*arguments: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(*arguments, stdout=PIPE, stderr=PIPE, env=environment)
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    asked = ("events", "-n", "jobs", "-o", "name", "--data-dir", str(data))
    assert await call(str(plugin), *asked) == (0, "event/job.1\n")
    code, usage = await call(str(plugin), "events", "--help")
    assert (code, "kubectl batcher events" in usage) == (0, True)
    with suppress(FileNotFoundError):
        assert await call("kubectl", "batcher", *asked) == (0, "event/job.1\n")


def test_the_plugin_is_installed_beside_the_command() -> None:
    scripts: dict[str, Any] = msgspec.toml.decode(Path("pyproject.toml").read_bytes())["project"]["scripts"]
    assert scripts == {"batcher": "batcher.__main__:main", "kubectl-batcher": "batcher.__main__:main"}
