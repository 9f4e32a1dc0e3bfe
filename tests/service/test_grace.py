"""What an orchestrator relies on: an end within the grace period, and health that never hangs on a cluster."""

import asyncio
import re
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from batcher import clock
from batcher.verify import verify
from tests.service.test_leader import ask, free_port
from tests.service.world import PATIENCE_SECONDS, World, batcher, finish, script, until, world

GRACE_SECONDS = 30.0
"""A Pod's ``terminationGracePeriodSeconds``, unless it says otherwise."""
EVERY_VERB = frozenset({"get", "list", "watch", "create", "update"})


def failed(w: World) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in verify(w.directory, w.directory.archive) if not check.ok]


def misbehave(w: World, **faults: Any) -> None:
    """Let every server, kcp too, have ``faults`` from now on."""
    w.sandbox.kcp.faults = replace(w.sandbox.kcp.faults, **faults)
    for cluster in w.sandbox.clusters.values():
        cluster.faults = replace(cluster.faults, **faults)


@pytest.mark.parametrize(
    "faults",
    [
        {"stall": EVERY_VERB},
        {"drop": EVERY_VERB},
        {"slow_headers": timedelta(minutes=10)},
    ],
    ids=["silent", "gone", "slow"],
)
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_it_ends_within_the_grace_period_whatever_the_servers_do_and_all_that_is_received_is_committed(
    tmp_path: Path, faults: dict[str, Any], sign: signal.Signals
) -> None:
    async with world(tmp_path) as w, batcher("run", "--config", str(w.config)) as process:
        w.happen(script(50))
        await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
        misbehave(w, **faults)
        began = clock.monotonic()
        code, _, err = await finish(process, sign)
        took = clock.monotonic() - began
        misbehave(w, stall=frozenset(), drop=frozenset(), slow_headers=timedelta(0))
        assert (code, failed(w)) == (0, []), err
        assert took < GRACE_SECONDS
        assert "Traceback" not in err


async def test_it_is_alive_and_says_what_it_is_not_ready_for_while_no_cluster_answers(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        port = await free_port()
        w.configure(serve={"port": port})
        misbehave(w, stall=EVERY_VERB)
        async with batcher("run", "--config", str(w.config)) as process:
            await until((w.directory.root / "archive.path").exists)
            await answered(port, "/livez")
            assert await ask(port, "/livez") == (200, "ok\n")
            status, told = await ask(port, "/readyz?verbose")
            assert (status, told.splitlines()) == (503, [
                "[+]spool ok",
                "[-]clusters failed: not heard of yet: ap-south1, eu-central1, us-west1",
                "readyz check failed",
            ])  # fmt: skip
            misbehave(w, stall=frozenset())
            await answered(port, "/readyz")
            assert await ask(port, "/readyz?verbose") == (200, "[+]spool ok\n[+]clusters ok\nreadyz check passed\n")
            misbehave(w, drop=EVERY_VERB)
            assert await ask(port, "/livez") == (200, "ok\n")
            status, _ = await ask(port, "/readyz")
            assert status == 200, "a cluster that goes away later is no reason to take the Pod out"
            _, metrics = await ask(port, "/metrics")
            assert re.findall(r"^batcher_leader (\S+)$", metrics, re.MULTILINE) == ["1.0"]
            misbehave(w, drop=frozenset())
            assert (await finish(process))[0] == 0


async def answered(port: int, path: str) -> None:
    """Return when ``path`` is answered with 200; it is another process that does, so it can only be asked."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await _is_ok(port, path):
            await asyncio.sleep(0.05)


async def _is_ok(port: int, path: str) -> bool:
    try:
        return (await ask(port, path))[0] == 200
    except aiohttp.ClientConnectionError:
        return False
