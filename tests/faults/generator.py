"""Clusters in which things happen, as a process of its own: ``python -m tests.faults.generator FOLDER SEED``.

Writes ``clusters`` and ``kcp`` (kubeconfigs) into FOLDER, says ``ready``, and lets things happen until told
``stop``, for which it answers with the ledger; ``told`` is answered with what the workspaces were told. Ends when its
input does. The clusters keep an Event for two seconds and their history for a few, so that Events expire, are
created again, and cursors are too old; the kcp keeps everything.
"""

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from batcher import clock
from batcher.sandbox import Sandbox
from batcher.sandbox.scenario import CLUSTERS, WORKSPACES, Emitter, Happening, play
from tests.faults.ledger import Ledger, Recorder
from tests.service.world import told

EVENT_TTL = timedelta(seconds=2)
FOR_EVER = timedelta(days=365)
MEAN_PAUSE_SECONDS = 0.02
HISTORY_LOST_ONE_IN = 500
"""Changes between two compactions of a cluster, about: a cursor of before is answered with 410."""


class Generator:
    """Two sandboxes and the ledger of the one with clusters."""

    def __init__(self, seed: int) -> None:
        self.clusters = Sandbox(CLUSTERS, {}, now=clock.now, event_ttl=EVENT_TTL)
        self.kcp = Sandbox((), WORKSPACES, now=clock.now, event_ttl=FOR_EVER)
        self.ledger = Ledger()
        self._rng = random.Random(seed)  # noqa: S311  a load, not a secret
        self._recorders = {name: Recorder(cluster, self.ledger) for name, cluster in self.clusters.clusters.items()}
        self._emitter = Emitter(self._recorders)
        self._script = _endless(seed)

    async def happen(self) -> None:
        """Let things happen for ever."""
        while True:
            self._emitter.emit(next(self._script), clock.now())
            if self._rng.random() < 1 / HISTORY_LOST_ONE_IN:
                self._rng.choice(list(self.clusters.clusters.values())).compact()
            await asyncio.sleep(self._rng.expovariate(1 / MEAN_PAUSE_SECONDS))

    def stop(self) -> dict[str, Any]:
        """Let every Event be there with its last count, to stay, and return the ledger."""
        for recorder in self._recorders.values():
            recorder.cluster._api.event_ttl = FOR_EVER
            recorder.create_expired_again()
        return {
            "revisions": [[*revision, name] for revision, name in self.ledger.revisions.items()],
            "occurrences": self.ledger.occurrences(),
            "workspaces": {
                path: sum(self.ledger.occurrences(namespace) for namespace in namespaces)
                for path, namespaces in WORKSPACES.items()
            },
            "recreated": self.ledger.recreated,
        }

    def told(self) -> dict[str, int]:
        """Return how many occurrences each workspace was told of."""
        return {path: told(workspace.events()) for path, workspace in self.kcp.kcp.workspaces.items()}


def _endless(seed: int) -> Iterator[Happening]:
    """Outage after outage."""
    for number in count(seed):
        yield from play(duration=timedelta(minutes=10), rate=60, seed=number)


async def main(folder: Path, seed: int) -> None:
    """Serve until standard input ends."""
    generator = Generator(seed)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with generator.clusters, generator.kcp, asyncio.TaskGroup() as group:
        generator.clusters.write_kubeconfig(folder / "clusters")
        generator.kcp.write_kubeconfig(folder / "kcp")
        happening = group.create_task(generator.happen())
        _say("ready")
        while command := (await reader.readline()).decode().strip():
            if command == "stop":
                happening.cancel()
                await asyncio.wait([happening])
            _say(generator.stop() if command == "stop" else generator.told())
        happening.cancel()


def _say(answer: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
