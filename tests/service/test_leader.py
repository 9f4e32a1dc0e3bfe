"""Several ``batcher run`` of which one leads, as processes: who waits, who takes over, and that all is counted once."""

import asyncio
import base64
import json
import re
from asyncio.subprocess import Process
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from batcher.sandbox.identity import ADMIN_TOKEN
from batcher.sandbox.resources import LEASES
from batcher.sandbox.shape import Object
from batcher.status import read_status
from batcher.verify import verify
from tests.called import called
from tests.service.world import World, batcher, finish, script, until, world


def electing(w: World, name: str = "batcher.yaml", lease: str = "batcher", **changes: Any) -> Path:
    """Write a configuration whose Lease is in the first cluster; times are short."""
    election = {
        "enabled": True, "leaseName": lease, "kubeconfig": str(w.folder / "kubeconfig"), "context": "us-west1",
        "leaseDuration": "7s", "renewDeadline": "6s", "retryPeriod": "300ms",
    }  # fmt: skip
    w.configure(leaderElection=election, **changes)
    return w.config.rename(w.folder / name)


def lease(w: World, name: str = "batcher") -> Object:
    """The Lease's spec; empty before there is one."""
    found = w.sandbox.clusters["us-west1"].objects(LEASES)
    return next((each["spec"] for each in found if each["metadata"]["name"] == name), {})


def holder(w: World, name: str = "batcher") -> str:
    return str(lease(w, name).get("holderIdentity", ""))


def failed(w: World) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in verify(w.directory, w.directory.archive) if not check.ok]


async def line(process: Process, text: str) -> str:
    """Return the next line of the log that has ``text``."""
    assert process.stderr
    while (found := (await process.stderr.readline()).decode()) and text not in found:
        pass
    assert found, f"the log has no {text!r}"
    return found


async def test_who_waits_opens_nothing_and_takes_over_when_the_leader_ends_and_nothing_is_counted_twice(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        config = str(electing(w))
        async with batcher("run", "--config", config) as first:
            w.happen(script(100))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            leader = holder(w)
            other = str(tmp_path / "other")
            async with batcher("run", "--config", config, "--data-dir", other) as elsewhere:
                await line(elsewhere, "waiting for the Lease")
                async with batcher("run", "--config", config) as second:
                    await line(second, "waiting for the Lease")
                    w.happen(script(200)[100:])
                    await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
                    assert (holder(w), Path(other).exists()) == (leader, False)
                    assert (await finish(elsewhere))[0] == 0
                    assert (await finish(first))[0] == 0
                    w.happen(script(300)[200:])
                    await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
                    assert holder(w) not in {"", leader}
                    code, _, err = await finish(second)
        assert (code, failed(w), lease(w)["leaseTransitions"]) == (0, [], 1), err
        assert holder(w) == ""


async def test_when_a_leader_is_killed_its_lease_runs_out_and_the_next_goes_on_from_its_directory(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        config = str(electing(w))
        async with batcher("run", "--config", config) as first, batcher("run", "--config", config) as second:
            w.happen(script(100))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            killed, left = (
                (first, second) if f"{first.pid}" in (w.directory.root / "lock").read_text() else (second, first)
            )
            killed.kill()
            w.happen(script(200)[100:])
            await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
            code, _, err = await finish(left)
        assert (code, failed(w)) == (0, []), err


async def test_a_leader_whose_lease_is_taken_commits_what_it_has_and_ends_with_1(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        config = str(electing(w))
        async with batcher("run", "--config", config) as process:
            w.happen(script(50))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            spec = {"holderIdentity": "thief", "leaseDurationSeconds": 15}
            metadata = {"name": "batcher", "namespace": "default"}
            w.sandbox.clusters["us-west1"].create_object(LEASES, "default", {"metadata": metadata, "spec": spec})
            _, err = await process.communicate()
        assert (process.returncode, failed(w), holder(w)) == (1, [], "thief")
        assert err.decode().splitlines()[-1] == "the Lease default/batcher is lost: thief has it"


async def test_two_who_both_lead_on_one_data_directory_run_one_after_the_other_and_count_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        one, two = str(electing(w, "one.yaml", "one")), str(electing(w, "two.yaml", "two"))
        async with batcher("run", "--config", one) as first:
            w.happen(script(100))
            await until(lambda: w.totals().get("occurrences") == w.emitter.occurrences)
            async with batcher("run", "--config", two) as second:
                assert f"in use by another batcher (process {first.pid})" in await line(second, "waiting for the data")
                assert "" not in {holder(w, "one"), holder(w, "two")}
                w.happen(script(200)[100:])
                await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
                assert (await finish(first))[0] == 0
                await line(second, "started")
                w.happen(script(300)[200:])
                await until(lambda: w.totals()["occurrences"] == w.emitter.occurrences)
                code, _, err = await finish(second)
        assert (code, failed(w)) == (0, []), err


async def test_who_waits_is_alive_and_ready_and_its_metrics_say_that_it_does_not_lead(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        config = str(electing(w))
        async with batcher("run", "--config", config):
            await until(lambda: bool(holder(w)))
            port = await free_port()
            second = str(electing(w, "second.yaml", serve={"port": port}))
            async with batcher("run", "--config", second) as waits:
                await line(waits, "waiting for the Lease")
                assert await ask(port, "/livez") == (200, "ok\n")
                assert await ask(port, "/readyz?verbose") == (200, "[+]lease ok\nreadyz check passed\n")
                _, metrics = await ask(port, "/metrics")
                assert re.findall(r"^(batcher_le\S+) (\S+)$", metrics, re.MULTILINE) == [
                    ("batcher_leader", "0.0"),
                    ("batcher_lease_failures_total", "0.0"),
                ]


async def test_status_says_by_which_lease_the_service_runs(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        config = str(electing(w))
        async with batcher("run", "--config", config) as process:
            await until((w.directory.root / "status.json").exists)
            _, out, _ = await called("status", "--config", config)
            assert (await finish(process))[0] == 0
        (told,) = [each for each in out.splitlines() if each.startswith("leader")]
        assert re.fullmatch(r"leader     \S+_[0-9a-f]{16} by the Lease default/batcher, for \d+s", told)


async def test_status_says_when_that_expires_with_which_the_lease_is_renewed(tmp_path: Path) -> None:
    said = base64.urlsafe_b64encode(json.dumps({"exp": 1_800_000_000}).encode()).decode().rstrip("=")
    async with world(tmp_path) as w:
        config = electing(w)
        kubeconfig = yaml.safe_load((tmp_path / "kubeconfig").read_text(encoding="utf-8"))
        kubeconfig["users"] = [{"name": user["name"], "user": {"token": f"h.{said}.s"}} for user in kubeconfig["users"]]
        for identities in (w.sandbox.kcp.identities, *(each.identities for each in w.sandbox.clusters.values())):
            identities[f"h.{said}.s"] = identities[ADMIN_TOKEN]
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
        async with batcher("run", "--config", str(config)) as process:
            await until((w.directory.root / "status.json").exists)
            found = read_status(w.directory.root).credentials
            assert (await finish(process))[0] == 0
    (told,) = [each for each in found if each.side == "lease"]
    assert (told.name, told.credential, told.expires_at) == (
        "default/batcher", "token", datetime(2027, 1, 15, 8, tzinfo=UTC),
    )  # fmt: skip


async def free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def ask(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()
