"""Credentials that change under a running connection, with real handshakes."""

import asyncio
import base64
import ssl
import sys
import tempfile
from pathlib import Path

import pytest
import trustme

from batcher.connect import Access, Connection, Trust, connect
from batcher.connect import connection as looked
from batcher.errors import ConfigError, Unavailable
from tests.connect.certificates import (
    TIMEOUT,
    ask,
    server,
    server_context,
    write_authority,
    write_client,
    write_kubeconfig,
)

CLIENT = {"client-certificate": "tls.crt", "client-key": "tls.key"}


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked, "LOOK_SECONDS", 0.0)


async def test_09_a_client_certificate_that_was_rotated_is_shown_with_the_next_request(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_authority(tmp_path, authority)
    write_client(tmp_path, authority, "first")
    async with server(server_context(authority, clients=authority)) as url:
        path = write_kubeconfig(tmp_path, url, user=CLIENT, cluster={"certificate-authority": "ca.crt"})
        connection = connect(name="us", kubeconfig=path)
        assert (await ask(connection))["certificate"] == ["first"]
        write_client(tmp_path, authority, "second")
        assert (await ask(connection))["certificate"][-1] == "second"
        await connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ssl is given a file for the moment, private to the user")
async def test_a_key_in_the_kubeconfig_is_used_and_comes_to_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    write_authority(tmp_path, authority)
    write_client(tmp_path, authority, "inline")
    inline = {
        f"client-{what}-data": base64.b64encode((tmp_path / f"tls.{file}").read_bytes()).decode()
        for what, file in (("certificate", "crt"), ("key", "key"))
    }
    async with server(server_context(authority, clients=authority)) as url:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        path = write_kubeconfig(tmp_path, url, user=inline, cluster={"certificate-authority": "ca.crt"})
        connection = connect(name="us", kubeconfig=path)
        assert (await ask(connection))["certificate"] == ["inline"]
        await connection.close()


async def test_09_an_authority_that_was_rotated_is_trusted_once_its_file_is_there_and_the_old_no_more(
    tmp_path: Path,
) -> None:
    old, new = trustme.CA(), trustme.CA()
    write_authority(tmp_path, old)
    async with server(server_context(old)) as url:
        path = write_kubeconfig(tmp_path, url, cluster={"certificate-authority": "ca.crt"})
        connection = connect(name="us", kubeconfig=path)
        await ask(connection)
    port = int(url.rpartition(":")[2])
    async with server(server_context(new), port):
        with pytest.raises(Unavailable, match="us: ClientConnectorCertificateError"):
            await ask(connection)
        write_authority(tmp_path, new)
        await ask(connection)
    async with server(server_context(old), port):
        with pytest.raises(Unavailable, match="us: ClientConnectorCertificateError"):
            await ask(connection)
    await connection.close()


async def test_09_a_kubeconfig_that_was_replaced_is_read_before_the_next_request(tmp_path: Path) -> None:
    async with server(None) as url:
        connection = connect(name="us", kubeconfig=write_kubeconfig(tmp_path, url, user={"token": "first"}))
        assert (await ask(connection))["authorization"] == "Bearer first"
        write_kubeconfig(tmp_path, url, user={"token": "second"})
        assert (await ask(connection))["authorization"] == "Bearer second"
        await connection.close()


async def test_09_a_mounted_secret_whose_symlink_is_swapped_is_read_again(tmp_path: Path) -> None:
    async with server(None) as url:
        for version in ("1", "2"):
            (tmp_path / version).mkdir()
            write_kubeconfig(tmp_path / version, url, user={"token": version})
        link = tmp_path / "data"
        link.symlink_to("1")
        connection = connect(name="us", kubeconfig=link / "kubeconfig")
        assert (await ask(connection))["authorization"] == "Bearer 1"
        (tmp_path / "fresh").symlink_to("2")
        (tmp_path / "fresh").replace(link)
        assert (await ask(connection))["authorization"] == "Bearer 2"
        await connection.close()


@pytest.mark.parametrize("half", ["", "{", "contexts: []", "users: [{name: u, user: {to"])
async def test_09_a_file_that_is_being_written_leaves_what_was_known(tmp_path: Path, half: str) -> None:
    async with server(None) as url:
        path = write_kubeconfig(tmp_path, url, user={"token": "first"})
        connection = connect(name="us", kubeconfig=path)
        await ask(connection)
        path.write_text(half)
        assert (await ask(connection))["authorization"] == "Bearer first"
        write_kubeconfig(tmp_path, url, user={"token": "second"})
        assert (await ask(connection))["authorization"] == "Bearer second"
        await connection.close()


async def test_09_a_certificate_without_its_key_yet_leaves_what_was_known(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_authority(tmp_path, authority)
    write_client(tmp_path, authority, "first")
    async with server(server_context(authority, clients=authority)) as url:
        path = write_kubeconfig(tmp_path, url, user=CLIENT, cluster={"certificate-authority": "ca.crt"})
        connection = connect(name="us", kubeconfig=path)
        await ask(connection)
        key = (tmp_path / "tls.key").read_bytes()
        write_client(tmp_path, authority, "second")
        second = (tmp_path / "tls.key").read_bytes()
        (tmp_path / "tls.key").write_bytes(key)
        assert (await ask(connection))["certificate"] == ["first"]
        (tmp_path / "tls.key").write_bytes(second)
        assert (await ask(connection))["certificate"] == ["second"]
        await connection.close()


async def test_09_a_request_that_runs_goes_on_while_the_credential_is_rotated(tmp_path: Path) -> None:
    async with server(None) as url:
        path = write_kubeconfig(tmp_path, url, user={"token": "first"})
        connection = connect(name="us", kubeconfig=path)
        async with connection.request("GET", "/who", timeout=TIMEOUT) as running:
            write_kubeconfig(tmp_path, url, user={"token": "second"})
            assert (await ask(connection))["authorization"] == "Bearer second"
            await connection.reload()
            assert (await running.json())["authorization"] == "Bearer first"
        await connection.close()


async def test_a_pod_s_account_gives_the_address_the_token_and_the_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    write_authority(tmp_path, authority)
    (tmp_path / "token").write_text("of-the-pod\n")
    async with server(server_context(authority)) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        connection = connect(name="here", in_cluster=True, service_account=tmp_path)
        assert (await ask(connection))["authorization"] == "Bearer of-the-pod"
        (tmp_path / "token").write_text("rotated\n")
        assert (await ask(connection))["authorization"] == "Bearer rotated"
        await connection.close()


async def test_a_server_that_nobody_vouches_for_is_refused_unless_our_own_configuration_says_so(
    tmp_path: Path,
) -> None:
    async with server(server_context(trustme.CA())) as url:
        path = write_kubeconfig(tmp_path, url)
        careful = connect(name="us", kubeconfig=path)
        with pytest.raises(Unavailable, match="us: ClientConnectorCertificateError"):
            await ask(careful)
        assert not careful.insecure
        write_kubeconfig(tmp_path, url, cluster={"insecure-skip-tls-verify": True})
        with pytest.raises(ConfigError, match="insecureSkipTLSVerify"):
            connect(name="us", kubeconfig=path)
        careless = connect(name="us", kubeconfig=path, trust=Trust(insecure=True))
        await ask(careless)
        assert careless.insecure
        await asyncio.gather(careful.close(), careless.close())


def test_only_the_strict_flag_is_dropped_for_an_authority_that_needs_it() -> None:
    strict, relaxed = (
        Access("https://127.0.0.1", trust=Trust(relaxed_x509=relaxed)).tls() for relaxed in (False, True)
    )
    assert isinstance(strict, ssl.SSLContext)
    assert isinstance(relaxed, ssl.SSLContext)
    assert relaxed.verify_flags == strict.verify_flags & ~ssl.VERIFY_X509_STRICT
    assert (relaxed.verify_mode, relaxed.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert strict.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_missing_authority_is_unavailable_and_named(tmp_path: Path) -> None:
    connection = Connection("us", Access("https://127.0.0.1:1", ca_file=tmp_path / "none"))
    with pytest.raises(Unavailable, match="us: FileNotFoundError"):
        await ask(connection)
