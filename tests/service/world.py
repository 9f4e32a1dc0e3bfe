"""A sandbox and a real ``batcher run`` process against it; what both say, asked from outside."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from batcher import clock
from batcher.batch import DataDirectory
from batcher.batch.process import latest
from batcher.decode import OWN_LABEL
from batcher.sandbox import Sandbox
from batcher.sandbox.scenario import CLUSTERS, WORKSPACES, Emitter, Happening, play
from batcher.settings import parse_duration

PATIENCE_SECONDS = 60.0


@dataclass
class World:
    """The sandbox, the configuration of a batcher that watches it, and the ledger of what happened."""

    sandbox: Sandbox
    folder: Path
    emitter: Emitter

    @property
    def config(self) -> Path:
        return self.folder / "batcher.yaml"

    @property
    def directory(self) -> DataDirectory:
        return DataDirectory(self.folder / "data")

    def happen(self, happenings: Iterable[Happening]) -> None:
        for happening in happenings:
            self.emitter.emit(happening, clock.now())

    def totals(self) -> Mapping[str, int]:
        """What the last commit says; nothing before there is one."""
        return totals(self.directory)

    def told(self) -> int:
        """How many occurrences the workspaces' summaries say there were."""
        events = [event for workspace in self.sandbox.kcp.workspaces.values() for event in workspace.events()]
        return told(events)

    def configure(self, **changes: Any) -> None:
        """Write the configuration, with top-level ``changes``."""
        kubeconfig = str(self.folder / "kubeconfig")
        document = {
            "apiVersion": "batcher.kcp.io/v1alpha1",
            "kind": "BatcherConfig",
            "dataDir": str(self.directory.root),
            "clusters": [{"name": n, "kubeconfig": kubeconfig, "context": n} for n in self.sandbox.clusters],
            "kcp": {"kubeconfig": kubeconfig, "context": "root:shop", "workspaces": [{"path": "root:*"}]},
            "mapping": {"rules": [
                {"namespace": "web", "workspace": "root:shop"},
                {"namespace": "jobs", "workspace": "root:team-a"},
            ]},
            "batch": {"interval": "200ms"},
            "archive": {"path": str(self.folder / "archive"), "interval": "500ms"},
            "publish": {"rewriteAfter": "200ms", "rewriteMost": "200ms"},
        }  # fmt: skip
        self.config.write_text(yaml.safe_dump(document | changes), encoding="utf-8")


def totals(directory: DataDirectory) -> Mapping[str, int]:
    """What the last commit in ``directory`` says; nothing before there is one."""
    if not (directory.root / "format").exists():
        return {}
    return latest(directory)[0].totals


def told(events: Iterable[Mapping[str, Any]]) -> int:
    """How many occurrences the summaries among a workspace's ``events`` say there were; incidents tell them again."""
    ours = [event["metadata"] for event in events if "labels" in event["metadata"]]
    summaries = [metadata for metadata in ours if metadata["labels"][OWN_LABEL] != "incident"]
    return sum(int(metadata["annotations"]["batcher.kcp.io/occurrences"]) for metadata in summaries)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Run the sandbox of the demo's clusters and workspaces, and configure a batcher for it."""
    async with Sandbox(CLUSTERS, WORKSPACES, now=clock.now) as sandbox:
        sandbox.write_kubeconfig(folder / "kubeconfig")
        made = World(sandbox, folder, Emitter(sandbox.clusters))
        made.configure()
        yield made


def script(count: int, seed: int = 1) -> list[Happening]:
    """Return the first ``count`` happenings of the demo's outage."""
    return list(islice(play(duration=parse_duration("10m"), rate=count // 10 + 1, seed=seed), count))


@asynccontextmanager
async def batcher(*arguments: str) -> AsyncIterator[Process]:
    """Run ``python -m batcher`` with ``arguments``; what still runs at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "batcher", *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def finish(process: Process, sign: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """Send ``sign``, and return exit code, stdout and stderr."""
    process.send_signal(sign)
    out, err = await process.communicate()
    code = process.returncode
    assert code is not None
    return code, out.decode(), err.decode()


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Return when ``condition`` holds; it is about another process, so it can only be asked.

    A fifth of the time is spent asking at most: what takes long to answer takes it from who is waited for.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        began = loop.time()
        while not condition():
            await asyncio.sleep(max(0.02, 4 * (loop.time() - began)))
            began = loop.time()
