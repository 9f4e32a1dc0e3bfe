"""Certificates that are rotated under a running watch, which never notices."""

import asyncio
from dataclasses import replace
from pathlib import Path

import trustme
import yaml

from tests.connect.certificates import server_context, write_authority, write_client
from tests.virtual_time import in_virtual_time
from tests.watch.watched import sandboxed, watching


def use_certificates(kubeconfig: Path) -> None:
    document = yaml.safe_load(kubeconfig.read_text())
    document["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    document["users"][0]["user"] |= {"client-certificate": "tls.crt", "client-key": "tls.key"}
    kubeconfig.write_text(yaml.safe_dump(document))


@in_virtual_time
async def test_09_a_client_certificate_and_authority_that_are_rotated_lose_no_event(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    write_authority(tmp_path, old)
    write_client(tmp_path, old, "batcher")
    tls = server_context(old, clients=old)
    async with sandboxed(tmp_path, tls=tls) as cluster:
        use_certificates(tmp_path / "kubeconfig")
        async with watching(cluster, tmp_path) as w:
            w.event("before")
            await w.heard("before")
            new.issue_cert("127.0.0.1").configure_cert(tls)
            new.configure_trust(tls)
            await asyncio.sleep(60)  # until no idle connection is left that was trusted before
            cluster.faults = replace(cluster.faults, resets=1)
            w.event("while-nobody-is-trusted")
            await w.until(lambda: "CertificateError" in w.status.last_error)
            write_authority(tmp_path, new)
            write_client(tmp_path, new, "batcher")
            await w.heard("while-nobody-is-trusted", seconds=120)
            assert w.sink.names() == ["before", "while-nobody-is-trusted"]


@in_virtual_time
async def test_09_a_rotation_does_not_end_the_watch_that_runs(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_authority(tmp_path, authority)
    write_client(tmp_path, authority, "first")
    async with sandboxed(tmp_path, tls=server_context(authority, clients=authority)) as cluster:
        use_certificates(tmp_path / "kubeconfig")
        async with watching(cluster, tmp_path, resources=("events", "namespaces")) as w:
            await w.connected()
            write_client(tmp_path, authority, "second")
            await w.until(lambda: len(w.watches()) >= 4, step=5)
            w.event("a")
            await w.heard("a")
            assert w.status.restarts == 0
