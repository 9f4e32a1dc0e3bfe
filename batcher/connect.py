"""From a kubeconfig to an authenticated HTTP session, for everybody who talks to an API server.

A strict reader of our own instead of the official client's: importing that costs 0.65 s and its
configuration hides which file a credential came from, while we must read tokens and certificates again when
they rotate, and say which file is wrong. Tokens never appear in a repr, a log line or an error.
"""

import base64
import contextlib
import functools
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from batcher.errors import ConfigError, Unavailable

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_POOL = 100
"""Connections to one server: a watch each for a few namespaces, and writes in flight."""


class Secret:
    """A text that never shows itself."""

    def __init__(self, value: str) -> None:
        """Keep ``value``."""
        self._value = value

    def reveal(self) -> str:
        """Return the text, for the one header or file that needs it."""
        return self._value

    def __repr__(self) -> str:  # type: ignore[explicit-override]  # typing.override came with 3.12
        return "***"


@dataclass(frozen=True)
class Access:
    """Where a server is and how to be let in. Paths, not contents, so that a rotation is seen."""

    server: str
    token: Secret | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    ca_data: str | None = None
    certificate: Path | bytes | None = None
    key: Path | bytes | None = field(default=None, repr=False)
    server_name: str | None = None

    def bearer(self) -> str | None:
        """Return the token as of now; a token file is read at each call, because it rotates."""
        if self.token_file is not None:
            # One line whatever is in it: a half-written file is a 401, not a header that cannot be sent.
            return " ".join(self.token_file.read_text(encoding="utf-8", errors="replace").split())
        return self.token.reveal() if self.token else None

    def tls(self) -> ssl.SSLContext | bool:
        """Return the context to verify the server with, and to show a client certificate; verification is on."""
        if not self.server.startswith("https"):
            return True
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        if self.ca_data:
            context.load_verify_locations(cadata=self.ca_data)
        if self.certificate and self.key:
            with _as_file(self.certificate) as certificate, _as_file(self.key) as key:
                context.load_cert_chain(certificate, key)
        return context


@contextlib.contextmanager
def _as_file(content: Path | bytes) -> Any:
    """``ssl`` loads certificates from files only; inline data is one for the moment, private to the user."""
    if isinstance(content, Path):
        yield content
        return
    descriptor, name = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield Path(name)
    finally:
        Path(name).unlink()


class Connection:
    """One API server, and the session to it."""

    def __init__(self, name: str, access: Access, read: Callable[[], Access] | None = None) -> None:
        """Talk to the server of ``access``; ``name`` is for messages, ``read`` reads the access anew."""
        self.name = name
        self._read = read
        self.server = access.server.rstrip("/")
        self._access = access
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's, with a limit for each phase
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request. Raises :class:`Unavailable` when no answer came; any status is an answer."""
        try:
            headers = self._headers() | ({"Content-Type": content_type} if body is not None else {})
            session = self._open()
            async with session.request(
                method,
                self.server + path,
                params=params,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,  # an API server never redirects, and a token must not follow one
                server_hostname=self._access.server_name,
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"{self.name}: {type(error).__name__}: {str(error) or 'no answer in time'}"
            raise Unavailable(message) from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "batcher"}
        token = self._access.bearer()
        return headers | {"Authorization": f"Bearer {token}"} if token else headers

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._access.tls(), limit=_POOL)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True, trust_env=False)
        return self._session

    async def reload(self) -> None:
        """Read every credential again, with a new session: certificates are part of it.

        A kubeconfig that cannot be read now, because it is being written, leaves the access as it is.
        """
        if self._read:
            with contextlib.suppress(ConfigError):
                self._access = self._read()
        await self.close()

    async def close(self) -> None:
        """Close the session; the next request opens another."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


def connect(
    *, name: str, kubeconfig: Path | None = None, context: str | None = None, in_cluster: bool = False
) -> Connection:
    """Return a connection as ``kubeconfig`` (its ``context``, or the current one) or the Pod's own account says.

    Nothing is sent. Raises :class:`ConfigError` naming the file and what to do.
    """
    if in_cluster:
        return Connection(name, _in_cluster(), _in_cluster)
    if kubeconfig is None:
        raise ConfigError([f"{name}: neither kubeconfig nor inCluster is given"])
    read = functools.partial(read_kubeconfig, kubeconfig, context)
    return Connection(name, read(), read)


def _in_cluster() -> Access:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not (_SERVICE_ACCOUNT / "token").exists():
        raise ConfigError(["inCluster: true, but this is no Pod with a service account; give a kubeconfig"])
    address = f"[{host}]" if ":" in host else host
    return Access(
        f"https://{address}:{port}", token_file=_SERVICE_ACCOUNT / "token", ca_file=_SERVICE_ACCOUNT / "ca.crt"
    )


def read_kubeconfig(path: Path, context: str | None) -> Access:
    """Return what ``context`` of the kubeconfig ``path`` says; relative paths in it are relative to it."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        contexts = {entry["name"]: entry["context"] for entry in document["contexts"]}
        chosen = context or document.get("current-context")
        if chosen not in contexts:
            known = ", ".join(sorted(contexts)) or "none"
            raise ConfigError([f"context {chosen!r} is not there; known: {known}"], str(path))
        cluster = _named(document, "clusters", "cluster", contexts[chosen]["cluster"])
        user = _named(document, "users", "user", contexts[chosen].get("user", "")) or {}
        return _access(path.parent, cluster, user, str(path))
    except OSError as error:
        raise ConfigError([f"cannot be read: {error.strerror}"], str(path)) from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(
            [f"not a kubeconfig: {type(error).__name__} {' '.join(str(error).split())}"], str(path)
        ) from None


def _named(document: dict[str, Any], group: str, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next((e[kind] for e in document.get(group) or [] if e["name"] == name), {})
    return found


def _access(folder: Path, cluster: dict[str, Any], user: dict[str, Any], source: str) -> Access:
    unsupported = [key for key in ("exec", "auth-provider", "username") if key in user]
    if unsupported:
        raise ConfigError([f"user has {unsupported[0]}: use a token, a token file or a client certificate"], source)
    if cluster.get("insecure-skip-tls-verify"):
        raise ConfigError(["insecure-skip-tls-verify: give certificate-authority instead"], source)
    authority, certificate, key = "certificate-authority", "client-certificate", "client-key"
    return Access(
        server=cluster["server"],
        token=Secret(user["token"]) if user.get("token") else None,
        token_file=_path(folder, user.get("tokenFile")),
        ca_file=_path(folder, cluster.get(authority)),
        ca_data=(_data(cluster.get(f"{authority}-data")) or b"").decode("ascii") or None,
        certificate=_data(user.get(f"{certificate}-data")) or _path(folder, user.get(certificate)),
        key=_data(user.get(f"{key}-data")) or _path(folder, user.get(key)),
        server_name=cluster.get("tls-server-name"),
    )


def _path(folder: Path, name: str | None) -> Path | None:
    return folder / name if name else None


def _data(text: str | None) -> bytes | None:
    return base64.b64decode("".join(text.split()), validate=True) if text else None
