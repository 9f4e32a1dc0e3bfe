"""Credential plugins: what they are asked, what they answer, and all that can go wrong."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from batcher.connect import Connection, Trust, connect, plugin, read_kubeconfig
from batcher.errors import ConfigError, Unavailable
from batcher.sandbox.manual_clock import ManualClock
from tests.connect.certificates import ask, server, server_context, write_authority, write_kubeconfig

V1 = "client.authentication.k8s.io/v1"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CANARY = "t0ken-canary"


class Plugin:
    """An executable that does what its script says, and counts its runs."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        self.path = folder / "plugin"
        self.write(script)

    def write(self, script: str) -> None:
        runs = self.folder / "runs"
        text = f"#!{sys.executable}\nimport json, os, sys, time\nopen({str(runs)!r}, 'a').write('x')\n{script}\n"
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o700)

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text()) if (self.folder / "runs").exists() else 0

    def connection(self, url: str, *, now: ManualClock | None = None, cluster: Any = None, **said: Any) -> Connection:
        exec_ = {"apiVersion": V1, "command": str(self.path)} | said
        path = write_kubeconfig(self.folder, url, user={"exec": exec_}, cluster=cluster)
        trust = Trust(exec_allowed=frozenset({str(self.path)}))
        return Connection("us", read_kubeconfig(path, None, trust), now=now or ManualClock(NOW))


def prints(token: str, expires_at: datetime | None = None, version: str = V1) -> str:
    status = {"token": token} | ({"expirationTimestamp": expires_at.isoformat()} if expires_at else {})
    return f"print({json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status})!r})"


async def test_09_a_plugin_s_token_is_used_and_it_is_asked_once_for_all_who_wait(tmp_path: Path) -> None:
    made = Plugin(tmp_path, prints(CANARY))
    async with server(None) as url:
        connection = made.connection(url)
        answers = await asyncio.gather(*(ask(connection) for _ in range(5)))
        assert [answer["authorization"] for answer in answers] == [f"Bearer {CANARY}"] * 5
        assert made.runs == 1
        await connection.close()


async def test_09_a_credential_is_renewed_before_it_expires_and_after_it_was_refused(tmp_path: Path) -> None:
    made, now = Plugin(tmp_path, prints("first", NOW + timedelta(minutes=10))), ManualClock(NOW)
    async with server(None) as url:
        connection = made.connection(url, now=now)
        await ask(connection)
        made.write(prints("second", NOW + timedelta(minutes=20)))
        now.advance(timedelta(minutes=8, seconds=59))
        assert (await ask(connection))["authorization"] == "Bearer first"
        now.advance(timedelta(seconds=1))
        assert (await ask(connection))["authorization"] == "Bearer second"
        made.write(prints("third"))
        await connection.reload()
        assert (await ask(connection))["authorization"] == "Bearer third"
        await connection.close()


async def test_a_credential_that_lives_for_long_is_asked_for_again_hourly_on_its_last_day(tmp_path: Path) -> None:
    ends = NOW + timedelta(days=7)
    made, now = Plugin(tmp_path, prints("first", ends)), ManualClock(NOW)
    async with server(None) as url:
        connection = made.connection(url, now=now)
        assert connection.expiries == {}
        runs = []
        for step in (timedelta(0), timedelta(days=5, hours=22), timedelta(hours=1), *[timedelta(minutes=30)] * 4):
            now.advance(step)
            await ask(connection)
            runs.append(made.runs)
        assert runs == [1, 1, 2, 2, 3, 3, 4]
        assert connection.expiries == {"plugin": ends}
        made.write("sys.exit(1)")
        now.advance(timedelta(hours=1))
        assert (await ask(connection))["authorization"] == "Bearer first"
        made.write(prints("second", ends + timedelta(days=7)))
        assert (await ask(connection))["authorization"] == "Bearer first"
        now.advance(timedelta(hours=1))
        assert (await ask(connection))["authorization"] == "Bearer second"
        assert connection.expiries == {"plugin": ends + timedelta(days=7)}
        await connection.close()


async def test_09_a_plugin_s_certificate_is_shown_to_the_server(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_authority(tmp_path, authority)
    issued = authority.issue_cert("client.example", common_name="by-plugin")
    status = {
        "clientCertificateData": issued.cert_chain_pems[0].bytes().decode(),
        "clientKeyData": issued.private_key_pem.bytes().decode(),
    }
    made = Plugin(tmp_path, f"print({json.dumps({'apiVersion': V1, 'status': status})!r})")
    async with server(server_context(authority, clients=authority)) as url:
        connection = made.connection(url, cluster={"certificate-authority": "ca.crt"})
        assert (await ask(connection))["certificate"][-1] == "by-plugin"
        await connection.close()


async def test_a_plugin_is_given_its_arguments_its_environment_and_the_cluster_but_no_setting_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHER_KCP__TOKEN", CANARY)
    seen = tmp_path / "seen"
    told = f"json.dump([sys.argv[1:], dict(os.environ)], open({str(seen)!r}, 'w'))\n" + prints("t")
    made = Plugin(tmp_path, told)
    async with server(None) as url:
        connection = made.connection(
            url,
            args=["get-token", "--cluster", "x y"],
            env=[{"name": "REGION", "value": "us"}],
            provideClusterInfo=True,
        )
        await ask(connection)
        await connection.close()
    arguments, environment = json.loads(seen.read_text())
    assert arguments == ["get-token", "--cluster", "x y"]
    assert (environment["REGION"], CANARY in str(environment)) == ("us", False)
    assert json.loads(environment["KUBERNETES_EXEC_INFO"]) == {
        "apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False, "cluster": {"server": url}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (f"sys.stderr.write('no session\\nmore'); print('{CANARY}'); sys.exit(3)", "ended with 3: no session"),
        (f"sys.stderr.write('\\x1b[31mred\\x1b[0m {'x' * 9}'); sys.exit(1)", "ended with 1: "),
        (f"print('{CANARY}')", "printed no ExecCredential"),
        ("", "printed no ExecCredential"),
        (prints(CANARY, version="client.authentication.k8s.io/v1beta1"), f"printed another apiVersion than {V1}"),
        (f"print({json.dumps({'apiVersion': V1, 'status': {}})!r})", "printed neither a token nor a certificate"),
        (prints(CANARY).replace("{", "{" + "[" * 2000, 1), "printed no ExecCredential"),
        (f"print('{CANARY}' * 500000)", "printed no ExecCredential"),
    ],
    ids=["fails", "escapes", "no-json", "nothing", "other-version", "empty-status", "deep", "huge"],
)
async def test_a_plugin_that_fails_is_named_with_its_first_line_and_never_with_a_token(
    tmp_path: Path, script: str, says: str
) -> None:
    made = Plugin(tmp_path, script)
    connection = made.connection("http://127.0.0.1:1")
    with pytest.raises(Unavailable) as failed:
        await ask(connection)
    message = str(failed.value)
    assert message.startswith(f"credential plugin {made.path}: {says}")
    assert (CANARY in message, "\x1b" in message, "\n" in message) == (False, False, False)


async def test_a_plugin_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "SECONDS", 0.5)
    pids = tmp_path / "pids"
    child = f"import time, os; open({str(pids)!r}, 'a').write(str(os.getpid()) + ' '); time.sleep(600)"
    made = Plugin(tmp_path, f"import subprocess; subprocess.run([sys.executable, '-c', {child!r}])")
    with pytest.raises(Unavailable, match="has not answered within"):
        await ask(made.connection("http://127.0.0.1:1"))
    for pid in pids.read_text().split() if pids.exists() else []:
        async with asyncio.timeout(10):
            while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
                await asyncio.sleep(0.01)


async def test_a_plugin_that_is_gone_is_named(tmp_path: Path) -> None:
    made = Plugin(tmp_path, "")
    connection = made.connection("http://127.0.0.1:1")
    made.path.unlink()
    with pytest.raises(Unavailable, match="plugin: No such file or directory"):
        await ask(connection)


def test_a_plugin_that_is_not_on_our_list_never_runs(tmp_path: Path) -> None:
    made = Plugin(tmp_path, prints(CANARY))
    path = write_kubeconfig(tmp_path, "http://x", user={"exec": {"apiVersion": V1, "command": str(made.path)}})
    with pytest.raises(ConfigError, match=f"add {made.path} to credentials.execAllowed"):
        connect(name="us", kubeconfig=path)
    with pytest.raises(ConfigError, match="add"):
        connect(name="us", kubeconfig=path, trust=Trust(exec_allowed=frozenset({str(tmp_path), "plugin"})))
    assert made.runs == 0


@pytest.mark.parametrize("command", ["plugin", "./plugin", "../bin/plugin"])
def test_a_plugin_without_an_absolute_path_is_refused(tmp_path: Path, command: str) -> None:
    path = write_kubeconfig(tmp_path, "http://x", user={"exec": {"apiVersion": V1, "command": command}})
    with pytest.raises(ConfigError, match="give its absolute path"):
        connect(name="us", kubeconfig=path, trust=Trust(exec_allowed=frozenset({"/bin/plugin"})))


def test_a_plugin_of_another_protocol_is_refused(tmp_path: Path) -> None:
    said = {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "/bin/true"}
    path = write_kubeconfig(tmp_path, "http://x", user={"exec": said})
    with pytest.raises(ConfigError, match="exec has apiVersion"):
        connect(name="us", kubeconfig=path, trust=Trust(exec_allowed=frozenset({"/bin/true"})))


def test_nothing_that_a_plugin_gave_shows_in_a_repr(tmp_path: Path) -> None:
    said = {"apiVersion": V1, "command": "/bin/true", "env": [{"name": "SECRET", "value": CANARY}]}
    path = write_kubeconfig(tmp_path, "http://x", user={"exec": said})
    access = read_kubeconfig(path, None, Trust(exec_allowed=frozenset({"/bin/true"})))
    assert CANARY not in repr(access)
