import base64
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from batcher.connect import Access, Connection, Secret, Trust, connect, read_kubeconfig
from batcher.errors import ConfigError, Unavailable

TIMEOUT = aiohttp.ClientTimeout(total=10)


def document(*, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    """A kubeconfig of one cluster, one user, and the context ``main``."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"} | (cluster or {})}],
        "users": [{"name": "u", "user": {"token": "s3cret"} if user is None else user}],
    }


def kubeconfig(folder: Path, content: object) -> Path:
    path = folder / "kubeconfig"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def problem(path: Path, context: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read_kubeconfig(path, context)
    assert caught.value.source == str(path)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


async def who(request: web.Request) -> web.Response:
    return web.json_response({"authorization": request.headers.get("Authorization"), "path": request.path_qs})


async def ask(connection: Connection) -> dict[str, str]:
    async with connection.request("GET", "/who", params={"limit": "5"}, timeout=TIMEOUT) as response:
        answer: dict[str, str] = await response.json()
        return answer


def test_the_current_context_says_server_and_token(tmp_path: Path) -> None:
    access = read_kubeconfig(kubeconfig(tmp_path, document()), None)
    assert access.server == "https://127.0.0.1:6443"
    assert access.bearer() == "s3cret"


def test_a_context_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    assert problem(kubeconfig(tmp_path, document()), "prod") == "context 'prod' is not there; known: main"
    nothing = document() | {"contexts": []}
    assert problem(kubeconfig(tmp_path, nothing)) == "context 'main' is not there; known: none"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "not a kubeconfig: no YAML (line 1, column 5)"),
        ("", "not a kubeconfig: TypeError"),
        ("just text", "not a kubeconfig: TypeError"),
        ("clusters: []", "not a kubeconfig: KeyError 'contexts'"),
        (document() | {"clusters": []}, "not a kubeconfig: KeyError 'server'"),
        (document(user={"client-key-data": "%%%"}), "not a kubeconfig: Error"),
        (document(cluster={"certificate-authority-data": "A"}), "not a kubeconfig: Error"),
        (
            document(user={"exec": {"command": "aws"}}),
            "user has exec: 'aws' is not allowed to run; give its absolute path",
        ),
        (document(user={"username": "admin"}), "user has username: use a token"),
        (document(cluster={"certificate-authority-data": "/w=="}), "not a kubeconfig: UnicodeDecodeError"),
        (document(cluster={"insecure-skip-tls-verify": True}), "insecure-skip-tls-verify: give certificate-authority"),
        (document(cluster={"server": "127.0.0.1:6443"}), "server is no URL such as https://127.0.0.1:6443"),
        (document(cluster={"server": "https://[::1"}), "server is no URL such as https://127.0.0.1:6443"),
        (document(cluster={"server": "https://127.0.0.1:api"}), "server is no URL such as https://127.0.0.1:6443"),
    ],
    ids=[
        "broken",
        "empty",
        "text",
        "no-contexts",
        "no-cluster",
        "key",
        "authority",
        "no-text",
        "exec",
        "password",
        "insecure",
        "no-scheme",
        "no-host",
        "no-port",
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_sentence(tmp_path: Path, content: object, said: str) -> None:
    told = problem(kubeconfig(tmp_path, content))
    assert told.startswith(said)
    assert "\n" not in told


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert problem(tmp_path / "none") == "cannot be read: No such file or directory"


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_bytes(b"\xff\xfe")
    assert problem(tmp_path / "kubeconfig").startswith("not a kubeconfig: UnicodeDecodeError")


def test_relative_paths_are_relative_to_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    user = {"tokenFile": "secrets/token", "client-certificate": "/abs/tls.crt", "client-key": "tls.key"}
    content = document(cluster={"certificate-authority": "ca.crt"}, user=user)
    access = read_kubeconfig(kubeconfig(tmp_path, content), None)
    assert access.token_file == tmp_path / "secrets" / "token"
    assert access.ca_file == tmp_path / "ca.crt"
    assert access.certificate == Path("/abs/tls.crt")
    assert access.key == tmp_path / "tls.key"


def test_inline_data_is_decoded_and_is_over_the_paths(tmp_path: Path) -> None:
    def inline(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    user = {"client-certificate-data": inline("CERT"), "client-key-data": inline("KEY"), "client-key": "tls.key"}
    content = document(cluster={"certificate-authority-data": inline("CA")}, user=user)
    access = read_kubeconfig(kubeconfig(tmp_path, content), None)
    assert (access.ca_data, access.certificate, access.key) == ("CA", b"CERT", b"KEY")


def test_a_token_file_is_read_again_at_each_request(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    access = Access("http://127.0.0.1", token=Secret("old"), token_file=tmp_path / "token")
    assert access.bearer() == "first"
    (tmp_path / "token").write_text("second\n")
    assert access.bearer() == "second"


@pytest.mark.parametrize(("content", "sent"), [(b"a\nb\n", "a b"), (b"\xff", "\ufffd"), (b"", "")], ids=repr)
def test_a_garbled_token_file_is_still_a_header(tmp_path: Path, content: bytes, sent: str) -> None:
    (tmp_path / "token").write_bytes(content)
    assert Access("http://127.0.0.1", token_file=tmp_path / "token").bearer() == sent


@pytest.mark.parametrize("token", ["s3cret\n", "\n s3cret", "\x00s3cret\x1b", "s3cret\r\n"], ids=repr)
async def test_a_token_of_a_kubeconfig_is_sent_as_one_line_whatever_stands_around_it(
    tmp_path: Path, token: str
) -> None:
    application = web.Application()
    application.router.add_get("/who", who)
    async with TestServer(application) as server:
        content = document(cluster={"server": str(server.make_url("/"))}, user={"token": token})
        connection = connect(name="us", kubeconfig=kubeconfig(tmp_path, content))
        assert (await ask(connection))["authorization"] == "Bearer s3cret"
        assert connection.secrets == ["s3cret"]
        await connection.close()


@pytest.mark.parametrize("server", ["https://admin:s3cret@127.0.0.1:6443", "https://s3cret@127.0.0.1"])
def test_a_password_in_the_servers_url_is_refused_and_not_repeated(tmp_path: Path, server: str) -> None:
    told = problem(kubeconfig(tmp_path, document(cluster={"server": server})))
    assert told == "server has a user or a password in its URL: use a token or a client certificate"


def test_a_certificate_authority_that_is_none_is_an_error_of_the_world() -> None:
    with pytest.raises(OSError, match="no start line"):
        Access("https://127.0.0.1", ca_data="garbage").tls()


@pytest.mark.parametrize("given", ["file", "data"])
def test_a_cluster_with_an_authority_of_its_own_is_not_vouched_for_by_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    own, system = trustme.CA(organization_name="own"), trustme.CA(organization_name="system")
    own.cert_pem.write_to_path(tmp_path / "own.crt")
    system.cert_pem.write_to_path(tmp_path / "system.crt")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.crt"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    ca: dict[str, Any] = (
        {"ca_file": tmp_path / "own.crt"} if given == "file" else {"ca_data": own.cert_pem.bytes().decode()}
    )
    context = Access("https://127.0.0.1", **ca).tls()
    assert isinstance(context, ssl.SSLContext)
    assert ["own" in str(certificate["issuer"]) for certificate in context.get_ca_certs()] == [True]


def test_secrets_show_in_no_repr(tmp_path: Path) -> None:
    user = {"token": "s3cret", "client-key-data": base64.b64encode(b"s3cret").decode()}
    access = read_kubeconfig(kubeconfig(tmp_path, document(user=user)), None)
    assert access.key == b"s3cret"
    assert "s3cret" not in f"{access} {access!r} {access.token} {access.token!r}"


def test_a_proxys_password_shows_in_no_repr(tmp_path: Path) -> None:
    exec_ = {"command": "/bin/a", "apiVersion": "client.authentication.k8s.io/v1", "provideClusterInfo": True}
    content = document(cluster={"proxy-url": "http://me:s3cret@127.0.0.1:3128"}, user={"exec": exec_})
    access = read_kubeconfig(kubeconfig(tmp_path, content), None, Trust(exec_allowed=frozenset({"/bin/a"})))
    assert access.plugin is not None
    assert access.plugin.cluster is not None
    assert access.plugin.cluster["proxy-url"].startswith("http://me:s3cret@")
    assert "s3cret" not in f"{access} {access!r} {access.plugin!r}"


def test_the_server_is_verified_and_nothing_turns_that_off() -> None:
    context = Access("https://127.0.0.1").tls()
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_a_rotated_token_is_sent_with_the_next_request(tmp_path: Path) -> None:
    application = web.Application()
    application.router.add_get("/who", who)
    (tmp_path / "token").write_text("first")
    async with TestServer(application) as server:
        user, cluster = {"tokenFile": "token"}, {"server": str(server.make_url("/"))}
        connection = connect(name="us", kubeconfig=kubeconfig(tmp_path, document(cluster=cluster, user=user)))
        assert await ask(connection) == {"authorization": "Bearer first", "path": "/who?limit=5"}
        (tmp_path / "token").write_text("second")
        assert (await ask(connection))["authorization"] == "Bearer second"
        await connection.reload()
        assert (await ask(connection))["authorization"] == "Bearer second"
        await connection.close()


async def test_a_token_follows_no_redirect(tmp_path: Path) -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    application = web.Application()
    application.router.add_get("/{path}", elsewhere)
    async with TestServer(application) as server:
        content = document(cluster={"server": str(server.make_url("/"))})
        connection = connect(name="us", kubeconfig=kubeconfig(tmp_path, content))
        async with connection.request("GET", "/who", timeout=TIMEOUT) as response:
            assert response.status == 307
        await connection.close()
    assert asked == ["/who"]


async def test_no_answer_is_unavailable_and_names_the_connection(unused_tcp_port: int) -> None:
    connection = Connection("us-west1", Access(f"http://127.0.0.1:{unused_tcp_port}"))
    with pytest.raises(Unavailable, match="us-west1: ClientConnectorError"):
        await ask(connection)
    await connection.close()


async def test_a_vanished_token_file_is_unavailable_until_it_is_back(tmp_path: Path) -> None:
    connection = Connection("us-west1", Access("http://127.0.0.1:1", token_file=tmp_path / "token"))
    with pytest.raises(Unavailable, match="us-west1: FileNotFoundError"):
        await ask(connection)


def test_a_connection_needs_a_way_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="us: neither kubeconfig nor inCluster is given"):
        connect(name="us")
    with pytest.raises(ConfigError, match="no Pod with a service account"):
        connect(name="us", in_cluster=True)
    assert connect(name="us", kubeconfig=kubeconfig(tmp_path, document())).server == "https://127.0.0.1:6443"
