"""What is seen on a terminal of 80 columns: it breaks no line, and nothing is coloured where that is not wanted."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from asyncio.subprocess import DEVNULL
from pathlib import Path

import pytest
import yaml

from batcher.sandbox.scenario import CLUSTERS

COLUMNS = 80
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Of the live table: colours, and moves of the cursor."""


async def seen(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command on a terminal; return its exit code and what it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "batcher", *arguments,
        stdin=DEVNULL, stdout=theirs, stderr=theirs, cwd=folder,
        env=inherited | {"TERM": "xterm-256color"} | environment,
    )  # fmt: skip
    os.close(theirs)
    written = await asyncio.to_thread(_read, ours)
    return await process.wait(), written.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    """Everything until nobody has the terminal any more, which is an error on Linux."""
    written = b""
    try:
        while part := os.read(terminal, 65536):
            written += part
    except OSError:
        pass
    finally:
        os.close(terminal)
    return written


def too_wide(text: str) -> list[str]:
    return [line for line in re.split(r"[\r\n]", CONTROL.sub("", text)) if len(line) > COLUMNS]


def configure(folder: Path) -> None:
    """A configuration of the demo's clusters, which are gone."""
    kubeconfig = str(folder / "d" / "kubeconfig")
    document = {
        "apiVersion": "batcher.kcp.io/v1alpha1", "kind": "BatcherConfig", "dataDir": "d",
        "clusters": [{"name": name, "kubeconfig": kubeconfig, "context": name} for name in CLUSTERS],
        "kcp": {"kubeconfig": kubeconfig, "context": "root:shop", "workspaces": [{"path": "root:shop"}]},
    }  # fmt: skip
    (folder / "batcher.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")


async def test_no_line_of_the_demo_and_of_what_one_looks_at_next_is_wider_than_the_terminal(tmp_path: Path) -> None:
    code, demo = await seen(tmp_path, "demo", "--duration", "4s", "--data-dir", "d")
    assert code == 0
    assert "\x1b[" in demo  # the table that goes along
    assert "the simulator made" in demo
    configure(tmp_path)
    shown = {"demo": demo}
    for command, expected in (
        (("status", "--data-dir", "d"), 1),
        (("incidents", "list", "--data-dir", "d"), 0),
        (("events", "-A", "--data-dir", "d"), 0),
        (("check", "--config", "batcher.yaml"), 1),
    ):
        code, shown[command[0]] = await seen(tmp_path, *command)
        assert code == expected, shown[command[0]]
        assert "\x1b" not in shown[command[0]]
    assert {name: lines for name, text in shown.items() if (lines := too_wide(text))} == {}
    assert [len(text.splitlines()) > 3 for text in shown.values()] == [True, True, False, True, True]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["no-color", "dumb"])
async def test_without_colour_the_demo_says_that_its_report_comes_and_moves_no_cursor(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    code, demo = await seen(tmp_path, "demo", "--duration", "1s", "--data-dir", "d", **environment)
    assert (code, "\x1b" in demo, too_wide(demo)) == (0, False, [])
    first, *report = demo.splitlines()
    assert first == "The report comes at the end; Ctrl-C ends it early."
    assert report[0].startswith("batcher demo   3 simulated clusters -> kcp, 2 workspaces")
