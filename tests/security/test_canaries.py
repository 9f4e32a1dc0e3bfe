"""Every secret that a service can be given is a canary: a run with all that goes wrong, and none of them in anything.

A bundle has its own test (``tests/bundle/test_bundle.py``), and so has a store (``tests/service/test_store.py``); here
all are together, and each is looked for everywhere: arguments of processes, logs, every output, and every file that is
not the secret's own.
"""

import asyncio
import base64
import contextlib
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import trustme
import yaml
from typer.testing import CliRunner

from batcher import clock
from batcher.cli import app
from batcher.connect import connect
from batcher.connect.access import Trust
from batcher.errors import BatcherError
from batcher.sandbox.faults import Answer
from batcher.sandbox.identity import Identity
from batcher.sandbox.kubeconfig import write_kubeconfig
from batcher.sandbox.resources import EVENTS
from batcher.settings import load
from batcher.status import read_status
from tests.archive.s3 import ACCESS_KEY, S3, SECRET, s3
from tests.bundle.test_bundle import unpacked
from tests.connect.certificates import server, server_context
from tests.service.test_redaction import texts_of
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, until, world

READER, WRITER = frozenset({"get", "list", "watch"}), frozenset({"get", "create", "update"})
V1 = "client.authentication.k8s.io/v1"


@dataclass
class Canaries:
    """The secrets, by what they are; each is made here once."""

    found: dict[str, str] = field(default_factory=lambda: {"store key": ACCESS_KEY, "store secret": SECRET})

    def new(self, what: str) -> str:
        secret = f"canary-{len(self.found)}-{what.replace(' ', '-')}-b7c1d8"
        self.found[what] = secret
        return secret

    def known(self, what: str, secret: str) -> None:
        self.found[what] = secret

    def in_(self, text: str) -> set[str]:
        """Which of them are in ``text``, in any form in which one writes them down."""
        return {what for what, secret in self.found.items() if any(form in text for form in _forms(secret))}


def _forms(secret: str) -> tuple[str, ...]:
    return (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), base64.b64encode(secret.encode()).decode()[:-4])


def test_a_canary_is_found_in_every_form_or_this_would_prove_nothing() -> None:
    canaries = Canaries()
    secret = canaries.new("token")
    encoded = base64.b64encode(secret.encode()).decode()
    assert [canaries.in_(text) for text in (f"a{secret}b", f'"{encoded}"', quote(SECRET, safe=""), "none")] == [
        {"token"}, {"token"}, {"store secret"}, set(),
    ]  # fmt: skip


@asynccontextmanager
async def garbage() -> AsyncIterator[str]:
    """A server that answers what no HTTP is; a library then keeps the request, with its headers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 banana\r\n\r\n")
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


class Bait:
    """Credentials of every kind in ``folder``, and the servers that take or refuse them."""

    def __init__(self, w: World, canaries: Canaries) -> None:
        self.w = w
        self.canaries = canaries
        self.folder = w.folder / "secrets"
        self.folder.mkdir()
        self.plugin = self.folder / "plugin"
        self.clusters: list[dict[str, Any]] = []

    def token_file(self, name: str, what: str) -> Path:
        (self.folder / name).write_text(f"{self.canaries.new(what)}\n", encoding="utf-8")
        return self.folder / name

    def kubeconfig(self, name: str, url: str, user: Mapping[str, Any], **cluster: Any) -> Path:
        write_kubeconfig(self.folder / name, {name: url}, "")
        document = yaml.safe_load((self.folder / name).read_text())
        document["users"][0]["user"] = dict(user)
        document["clusters"][0]["cluster"] |= cluster
        (self.folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")
        return self.folder / name

    def add(self, name: str, url: str, user: Mapping[str, Any], **cluster: Any) -> None:
        self.clusters.append({"name": name, "kubeconfig": str(self.kubeconfig(name, url, user, **cluster))})

    def lets_in(self, cluster: str, secret: str, verbs: frozenset[str] = READER) -> None:
        self.w.sandbox.clusters[cluster].identities[secret] = Identity("reader", verbs)

    def prints(self, what: str, *, code: int = 0) -> str:
        """Let the plugin print a token, which is good for a second, and end with ``code``."""
        token = self.canaries.new(what)
        until_then = (clock.now() + timedelta(seconds=61)).isoformat()
        said = {"apiVersion": V1, "kind": "ExecCredential",
                "status": {"token": token, "expirationTimestamp": until_then}}  # fmt: skip
        script = f"#!{sys.executable}\nimport sys\nprint({json.dumps(said)!r})\n"
        (self.folder / "new").write_text(f"{script}sys.stderr.write('no session')\nsys.exit({code})\n")
        (self.folder / "new").chmod(0o700)
        (self.folder / "new").replace(self.plugin)
        return token

    def way_in(self, untrusted: str, broken: str, client: trustme.LeafCert) -> None:
        """A cluster for each credential, and for each way of being refused."""
        (us, eu, ap), canaries = self.w.sandbox.clusters.values(), self.canaries
        self.lets_in("us-west1", self.token_file("us.token", "token in a file").read_text().strip())
        self.add("us-west1", us.url, {"tokenFile": "us.token"})
        self.lets_in("eu-central1", canaries.new("token of a kubeconfig"))
        self.add("eu-central1", eu.url, {"token": canaries.found["token of a kubeconfig"]})
        self.lets_in("ap-south1", self.prints("token of a plugin"))
        plugin = {"command": str(self.plugin), "apiVersion": V1, "provideClusterInfo": True,
                  "env": [{"name": "SESSION", "value": canaries.new("environment of a plugin")}]}  # fmt: skip
        proxy = f"http://proxy:{canaries.new('password of a proxy')}@127.0.0.1:1"
        self.add("ap-south1", ap.url, {"exec": plugin}, **{"proxy-url": proxy})
        self.add("unknown", eu.url, {"token": canaries.new("token that is refused with 401")})
        self.lets_in("eu-central1", canaries.new("token that may do nothing"), frozenset())
        self.add("forbidden", eu.url, {"token": canaries.found["token that may do nothing"]})
        self.add("broken", broken, {"token": canaries.new("token for a server that speaks no HTTP")})
        key = client.private_key_pem.bytes().decode()
        canaries.known("client key", key.splitlines()[1])
        pems = {"client-key-data": key, "client-certificate-data": client.cert_chain_pems[0].bytes().decode()}
        shown = {name: base64.b64encode(pem.encode()).decode() for name, pem in pems.items()}
        self.add("untrusted", untrusted, {**shown, "token": canaries.new("token for a server nobody vouches for")})

    def destination(self) -> dict[str, Any]:
        """A kcp with an identity a workspace, of which one is unknown."""
        shop = self.w.sandbox.kcp.workspaces["root:shop"]
        of_shop = self.token_file("shop.token", "token of a workspace")
        self.lets_write(of_shop.read_text().strip())
        of_team = self.token_file("team.token", "token of a workspace that is refused")
        url = shop.url.partition("/clusters/")[0]
        kcp = self.kubeconfig("kcp", url, {"token": self.canaries.new("token of the kubeconfig of kcp")})
        return {
            "kubeconfig": str(kcp),
            "workspaces": [
                {"path": "root:shop", "tokenFile": str(of_shop)}, {"path": "root:team-a", "tokenFile": str(of_team)},
            ],
        }  # fmt: skip

    def lets_write(self, secret: str) -> None:
        kcp = self.w.sandbox.kcp
        kcp.identities[secret] = Identity("writer", WRITER, frozenset({kcp.workspaces["root:shop"].logical}))


@asynccontextmanager
async def baited(folder: Path, store: S3, canaries: Canaries, port: int) -> AsyncIterator[Bait]:
    authority, client = trustme.CA(), trustme.CA().issue_cert("client.example")
    async with world(folder) as w, server(server_context(authority)) as untrusted, garbage() as broken:
        bait = Bait(w, canaries)
        bait.way_in(untrusted, broken, client)
        w.configure(
            clusters=bait.clusters,
            kcp=bait.destination(),
            credentials={"execAllowed": [str(bait.plugin)]},
            archive={"path": "s3://bucket/a", "storageOptions": store.options, "interval": "300ms",
                     "compactEvery": "3s"},
            log={"level": "debug", "format": "json"},
            serve={"port": port},
        )  # fmt: skip
        yield bait


class Said:
    """Whatever was said, by whom."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def asked(self, *arguments: str) -> str:
        """Ask the command line, in this process and beside the servers; an error counts with its whole traceback."""
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        shown = "".join(traceback.format_exception(result.exception)) if result.exception else ""
        self.texts[" ".join(arguments[:3])] = text = result.output + shown
        return text

    async def run(self, *arguments: str) -> None:
        async with batcher("run", *arguments) as process:
            out, err = await process.communicate()
        self.texts[" ".join(arguments)] = (out + err).decode()


def arguments() -> str:
    """The arguments of every process on this machine that is ours; those of others hold nothing of these canaries."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(process.read_bytes().decode("utf-8", "replace"))
    return "\n".join(found)


async def _watch_arguments(seen: set[str], canaries: Canaries) -> None:
    while True:
        seen |= canaries.in_(await asyncio.to_thread(arguments))
        await asyncio.sleep(0.1)


def emit(w: World, number: int) -> None:
    for cluster in w.sandbox.clusters.values():
        cluster.create_object(EVENTS, "web", back_off("web", f"web-{number}"))
        cluster.create_object(EVENTS, "jobs", back_off("jobs", f"job-{number}"))


def told(w: World) -> int:
    return len(w.sandbox.kcp.workspaces["root:shop"].events())


async def _rotate(bait: Bait) -> None:
    """Replace every credential that was taken, with what was there before refused from now on; then break them."""
    w, canaries = bait.w, bait.canaries
    for cluster in w.sandbox.clusters.values():
        for token in [token for token, who in cluster.identities.items() if who.verbs == READER]:
            del cluster.identities[token]
    bait.lets_in("us-west1", bait.token_file("us.token", "token in a file that was rotated").read_text().strip())
    eu = w.sandbox.clusters["eu-central1"]
    bait.lets_in("eu-central1", canaries.new("token of a kubeconfig that was rotated"))
    rotated = {"token": canaries.found["token of a kubeconfig that was rotated"]}
    bait.kubeconfig("eu-central1", eu.url, rotated)
    bait.lets_in("ap-south1", bait.prints("token of a plugin that was rotated"))
    old = canaries.found["token of a workspace"]
    bait.lets_write(bait.token_file("shop.token", "token of a workspace that was rotated").read_text().strip())
    del w.sandbox.kcp.identities[old]
    for cluster in w.sandbox.clusters.values():
        cluster.faults = replace(cluster.faults, ends=2)
    before = told(w)
    emit(w, 1)
    await until(lambda: told(w) > before)


async def _break(bait: Bait) -> None:
    """A plugin that prints a token and fails; a kubeconfig that is none any more, with a token in it; errors of kcp."""
    bait.prints("token of a plugin that fails", code=3)
    garbled = bait.canaries.new("token in a kubeconfig that is no YAML")
    (bait.folder / "eu-central1").write_text(f"users:\n- user: {{token: {garbled}\n  - [", encoding="utf-8")
    kcp = bait.w.sandbox.kcp
    answers = tuple(Answer(code, times=2) for code in (401, 403, 500))
    kcp.faults = replace(kcp.faults, answers=answers)
    for cluster in bait.w.sandbox.clusters.values():
        cluster.faults = replace(cluster.faults, ends=2, answers=answers)
    emit(bait.w, 2)
    await until(lambda: "plugin" in _errors(bait.w).get("ap-south1", ""))


def _errors(w: World) -> dict[str, str]:
    return {cluster.name: cluster.last_error for cluster in read_status(w.directory.root).clusters}


async def _ask_everything(bait: Bait, said: Said, port: int) -> None:
    config, data = ("--config", str(bait.w.config)), ("--data-dir", str(bait.w.directory.root))
    for path in ("/metrics", "/readyz?verbose"):
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
            said.texts[path] = await response.text()
    for command in (
        ("status", *data), ("status", "-o", "json", *data), ("archive", "keep", *config),
        ("check", "-o", "wide", *config),
        ("check", "-o", "json", *config), ("config", "validate", str(bait.w.config)),
        ("config", "diff", str(bait.w.config)), ("config", "diff", str(bait.w.config), "-o", "json"),
        ("archive", "status", *config), ("archive", "status", *data), ("verify", *config),
        ("events", "-A", "-o", "json", *config), ("failed", "list", "-o", "wide", *config),
        # What people do by mistake: a kubeconfig, or the file of a token, in the place of the configuration.
        ("config", "validate", str(bait.folder / "us-west1")), ("config", "validate", str(bait.folder / "eu-central1")),
        ("config", "validate", str(bait.folder / "unknown")),
    ):  # fmt: skip
        await said.asked(*command)
    await said.run("--config", str(bait.folder / "us.token"))


async def _bundle(bait: Bait, said: Said) -> None:
    log = bait.w.folder / "log.txt"
    log.write_text(said.texts["log"], encoding="utf-8")
    for name, more in (("without", ()), ("with", ("--with-events",))):
        out = bait.w.folder / f"bundle-{name}.tar.gz"
        config = ("--config", str(bait.w.config), "--data-dir", str(bait.w.directory.root))
        await said.asked("debug", "bundle", "-o", str(out), "--log", str(log), *config, *more)
        said.texts |= {f"bundle {name}: {member}": text for member, text in unpacked(out).items()}


@pytest.fixture
def store() -> Iterator[S3]:
    with s3() as there:
        yield there


async def test_no_secret_is_in_any_argument_log_output_file_or_object(
    tmp_path: Path, store: S3, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries, said, in_arguments = Canaries(), Said(), set[str]()
    monkeypatch.setenv("BATCHER_SERVE__TOKEN", canaries.new("variable that is no setting"))
    await said.run("--config", str(tmp_path / "none"))
    monkeypatch.delenv("BATCHER_SERVE__TOKEN")
    async with baited(tmp_path, store, canaries, unused_tcp_port) as bait, asyncio.TaskGroup() as group:
        looking = group.create_task(_watch_arguments(in_arguments, canaries))
        async with batcher("run", "--config", str(bait.w.config)) as process:
            await until(lambda: bait.w.directory.root.joinpath("status.json").exists())
            emit(bait.w, 0)
            await until(lambda: told(bait.w) > 0)
            await _rotate(bait)
            await _break(bait)
            await _ask_everything(bait, said, unused_tcp_port)
            errors = _errors(bait.w)
            code, out, said.texts["log"] = await finish(process)
        await _bundle(bait, said)
        looking.cancel()
    assert (code, out) == (0, "")
    for name, (content, _) in store.objects.items():
        (tmp_path / "objects" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "objects" / name).write_bytes(content)
    for path, text in texts_of(tmp_path).items():
        if Path(path).parent != bait.folder and Path(path) != bait.w.config:
            said.texts[path] = text
    assert {name: found for name, text in said.texts.items() if (found := canaries.in_(text))} == {}
    assert in_arguments == set()
    _assert_that_it_went_wrong(errors, said)


def _assert_that_it_went_wrong(errors: Mapping[str, str], said: Said) -> None:
    """Whatever should have failed did; or nothing was proved. Who was let in by nobody may have met an error that was
    made for all last.
    """
    for cluster, words in {
        "unknown": "HTTP ", "forbidden": "HTTP ", "broken": "ClientResponseError",
        "untrusted": "CERTIFICATE_VERIFY_FAILED",
        "ap-south1": "no session",
    }.items():  # fmt: skip
        assert words in errors[cluster], (cluster, errors[cluster])
    assert "FAIL" in said.texts["check -o wide"]
    assert any("/objects/a/occurrences/" in name and name.endswith(".parquet") for name in said.texts)
    assert '"event": "batch"' in said.texts["log"]


async def test_no_secret_is_in_an_exception_or_its_traceback_or_in_any_repr(tmp_path: Path, store: S3) -> None:
    canaries = Canaries()
    async with baited(tmp_path, store, canaries, 0) as bait:
        bait.prints("token of a plugin that fails", code=3)
        shown: list[str] = []
        for each in bait.clusters:
            trust = Trust(exec_allowed=frozenset({str(bait.plugin)}))
            connection = connect(name=each["name"], kubeconfig=Path(each["kubeconfig"]), trust=trust)
            shown += [repr(connection), repr(vars(connection)), str(vars(connection))]
            try:
                async with connection.request("GET", "/x", timeout=aiohttp.ClientTimeout(total=10)):
                    pass
            except BatcherError as error:
                shown += [repr(error), "".join(traceback.format_exception(error))]
            await connection.close()
        settings = load(bait.w.config, os.environ)
        shown += [repr(settings), str(settings), repr(settings.archive.storage_options)]
        assert len([text for text in shown if "Traceback" in text]) == 3
        assert {text: found for text in shown if (found := canaries.in_(text))} == {}
