"""``batcher debug bundle``: what is in it, and that no token and no text of an Event ever is."""

import json
import stat
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.bundle.lines import reduced
from batcher.bundle.secrets import MASK, Scrubber, known_secrets
from batcher.sandbox.identity import Identity
from batcher.sandbox.kubeconfig import write_kubeconfig
from batcher.sandbox.resources import EVENTS
from tests.called import called
from tests.service.test_targets import back_off
from tests.service.world import World, batcher, finish, until, world
from tests.settings.files import valid

TOKEN, OTHER_TOKEN = "canary-token-5f2a7c", "canary-workspace-token-91"
MESSAGE = "canary: what a tenant would tell nobody"
NO_UID = (
    b'{"type":"ADDED","object":{"metadata":{"name":"n","resourceVersion":"3"},"message":"%s"}}\n' % MESSAGE.encode()
)
MEMBERS = {"batches.json", "config.yaml", "files.tsv", "metrics.txt", "quarantine.json", "status.json", "versions.json"}


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {member: archive.extractfile(member) for member in archive.getmembers()}
        return {member.name.removeprefix("batcher-bundle/"): f.read().decode() for member, f in files.items() if f}


async def bundled(w: World, out: str, *arguments: str) -> dict[str, str]:
    code, shown, err = await called("debug", "bundle", "--config", str(w.config), "-o", str(w.folder / out), *arguments)
    assert code == 0, err
    for canary in (TOKEN, OTHER_TOKEN):
        assert canary not in shown + err
    return unpacked(w.folder / out)


def plant(w: World) -> None:
    """Put tokens and a message wherever a bundle looks."""
    cluster, shop = w.sandbox.clusters["us-west1"], w.sandbox.kcp.workspaces["root:shop"]
    cluster.identities[TOKEN] = Identity("reader", frozenset({"get", "list", "watch"}))
    write_kubeconfig(w.folder / "us-west1", {"us-west1": cluster.url}, TOKEN)
    w.sandbox.kcp.identities[OTHER_TOKEN] = Identity("writer", None, frozenset({shop.logical}))
    (w.folder / "token").write_text(f"{OTHER_TOKEN}\n", encoding="utf-8")
    workspaces = [{"path": "root:shop", "tokenFile": str(w.folder / "token")}, {"path": "root:team-a"}]
    w.configure(
        clusters=[{"name": "us-west1", "kubeconfig": str(w.folder / "us-west1")}],
        kcp={"kubeconfig": str(w.folder / "kubeconfig"), "context": "root:shop", "workspaces": workspaces},
        transform={
            "redact": [{"name": "ours", "pattern": f"password={TOKEN}", "replace": MESSAGE, "at": "publish"}],
            "addAnnotations": {"example.com/note": f"{MESSAGE} {OTHER_TOKEN}"},
        },
        filter={"rules": [{"name": "quiet", "action": "shadow", "match": {"message": MESSAGE}}]},
    )
    lines = [
        f"2026-11-25T20:00:00.000000Z warning archive is away; batches and publishing go on  error={MESSAGE} {TOKEN}",
        json.dumps({"timestamp": "t", "level": "info", "event": "batch", "batch": 7, "error": MESSAGE, "token": TOKEN}),
        f"Traceback (most recent call last): {MESSAGE} Bearer {OTHER_TOKEN}",
        "2026-11-25T20:00:01.000000Z info    batch  batch=8 seconds=0.5 received=100",
    ]
    (w.folder / "log").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    event = back_off("web") | {"message": f"{MESSAGE}, with {TOKEN}"}
    cluster.create_object(EVENTS, "web", event)
    cluster.faults = replace(cluster.faults, inserts=(NO_UID,))


async def test_no_token_and_no_text_of_an_event_is_in_a_bundle_wherever_they_were_planted(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        plant(w)
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals().get("quarantined") == 1 and w.told() > 0)
            members = await bundled(w, "bundle.tar.gz", "--log", str(tmp_path / "log"))
            whole = await bundled(w, "whole.tar.gz", "--log", str(tmp_path / "log"), "--with-events")
            code, _, err = await finish(process)
        assert code == 0, err
        assert members.keys() == MEMBERS | {"log.txt"}
        for name, text in members.items():
            for canary in (TOKEN, OTHER_TOKEN, MESSAGE):
                assert canary not in text, (name, canary)
        assert whole.keys() == MEMBERS | {"log.txt", "events.ndjson", "quarantined-lines.ndjson"}
        for name in ("events.ndjson", "quarantined-lines.ndjson", "log.txt"):
            assert MESSAGE in whole[name], name
        for name, text in whole.items():
            for canary in (TOKEN, OTHER_TOKEN):
                assert canary not in text, (name, canary)


async def test_a_bundle_says_how_batcher_is_set_up_and_how_it_goes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        plant(w)
        async with batcher("run", "--config", str(w.config)) as process:
            await until(lambda: w.totals().get("quarantined") == 1 and w.told() > 0)
            await finish(process)
        members = await bundled(w, "bundle.tar.gz", "--log", str(tmp_path / "log"))
        assert "pattern: '***'" in members["config.yaml"]
        assert f"tokenFile: {tmp_path / 'token'}" in members["config.yaml"]
        assert 'batcher_spool_lines_total{fate="quarantined"} 1.0' in members["metrics.txt"]
        assert json.loads(members["quarantine.json"]) == [
            {"cluster": "us-west1", "cause": "no-uid", "lines": 1, "bytes": len(NO_UID) - 1}
        ]
        assert json.loads(members["status.json"])["stopped"] is True
        assert json.loads(members["versions.json"])["packages"].keys() >= {"polars", "aiohttp", "deltalake"}
        last = json.loads(members["batches.json"])[-1]
        assert (last["plan"]["code"], last["sums"].keys() >= {"received", "kept"}) == ("0.1.0", True)
        names = [line.split("\t") for line in members["files.tsv"].splitlines()]
        assert [(size, mode) for size, mode, _, name in names if name == "format"] == [("2", "0600")]
        assert members["log.txt"].splitlines() == [
            "2026-11-25T20:00:00.000000Z warning archive is away; batches and publishing go on",
            '{"timestamp":"t","level":"info","event":"batch","batch":7}',
            f"(a line of {len(MESSAGE) + 68} characters that is none of the log)",
            "2026-11-25T20:00:01.000000Z info    batch  batch=8 seconds=0.5 received=100",
        ]


async def test_only_its_owner_can_read_a_bundle_and_none_is_written_over(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        async with batcher("run", "--config", str(w.config)) as process:
            await until((w.directory.root / "status.json").exists)
            await finish(process)
        members = await bundled(w, "bundle.tar.gz")
        out = tmp_path / "bundle.tar.gz"
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        with tarfile.open(out) as archive:
            assert [m.name for m in archive] == [f"batcher-bundle/{name}" for name in sorted(members)]
            assert {(m.mode, m.uid, m.gid, m.type) for m in archive} == {(0o600, 0, 0, tarfile.REGTYPE)}
        before = out.read_bytes()
        code, _, err = await called("debug", "bundle", "--config", str(w.config), "-o", str(out))
        assert (code, err) == (2, f"{out}: is there already; give another name\n")
        assert out.read_bytes() == before


async def test_what_is_damaged_or_wrong_takes_nothing_else_with_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        async with batcher("run", "--config", str(w.config)) as process:
            await until((w.directory.root / "status.json").exists)
            await finish(process)
        (w.directory.root / "status.json").write_text(f"{{{MESSAGE}")
        w.config.write_text(f"surprise: {TOKEN}\n{TOKEN}: 1\n", encoding="utf-8")
        out = tmp_path / "bundle.tar.gz"
        where = ("--config", str(w.config), "--data-dir", str(w.directory.root))
        code, _, _ = await called("debug", "bundle", *where, "-o", str(out))
        members = unpacked(out)
        assert code == 0
        assert members["status.json"] == members["metrics.txt"] == "not here: DataDirError\n"
        assert "surprise: is wrong\n" in members["config.yaml"]
        assert json.loads(members["quarantine.json"]) == []
        assert json.loads(members["versions.json"])["batcher"] == "0.1.0"


@pytest.mark.parametrize(
    "said",
    [
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzYSJ9.c2lnbmF0dXJl",
        "Bearer 0123456789abcdef",
        "https://user:hunter22@example.com/",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----",
        "postgres password=hunter22 host=h",
    ],
)
def test_what_looks_like_a_secret_is_taken_out_though_nobody_knew_it(said: str) -> None:
    scrubbed = Scrubber().scrub(f"before {said} after")
    assert MASK in scrubbed
    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")
    for part in ("c2lnbmF0dXJl", "0123456789abcdef", "hunter22", "MIIB"):
        assert part not in scrubbed


def test_secrets_are_known_of_clusters_kcp_the_lease_and_the_store(tmp_path: Path) -> None:
    ways: dict[str, Any] = {name: {"kubeconfig": str(tmp_path / name)} for name in ("us-west1", "kcp", "lease")}
    for name in ways:
        write_kubeconfig(tmp_path / name, {name: "https://127.0.0.1:1"}, f"canary-{name}")
    options = {"aws_access_key_id": "canary-key", "aws_secret_access_key": "canary-secret", "aws_region": "eu"}
    settings = valid(
        clusters=[{"name": "us-west1"} | ways["us-west1"]],
        kcp=ways["kcp"] | {"workspaces": [{"path": "root:shop"}]},
        leaderElection=ways["lease"] | {"enabled": True},
        archive={"path": "s3://bucket/a", "storageOptions": options},
    )
    assert known_secrets(settings) == {
        "canary-us-west1", "canary-kcp", "canary-lease", "canary-key", "canary-secret",
    }  # fmt: skip


@given(secret=st.text(min_size=6), before=st.text(), after=st.text())
def test_a_secret_that_is_known_is_taken_out_in_every_form_in_which_it_is_written(
    secret: str, before: str, after: str
) -> None:
    scrubber = Scrubber([secret])
    for text in (before + secret + after, json.dumps({"a": [secret]}), msgspec.json.encode(secret).decode()):
        assert secret not in scrubber.scrub(text) or secret in MASK
        assert json.dumps(secret)[1:-1] not in scrubber.scrub(text)


@given(st.dictionaries(st.sampled_from(["error", "problems", "why", "message", "line"]), st.text(min_size=9)))
def test_no_text_of_a_line_of_the_log_is_left_but_what_we_say_ourselves(texts: dict[str, Any]) -> None:
    line = json.dumps({"timestamp": "t", "level": "info", "event": "batch", "batch": 1} | texts)
    assert json.loads(reduced(line)) == {"timestamp": "t", "level": "info", "event": "batch", "batch": 1}
