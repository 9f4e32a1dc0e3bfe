"""One API server, and an authenticated session to it that follows every rotation of its credentials.

A token file is read at each request. Certificates, CA and the kubeconfig itself are part of a session: when
one of their files changes, new requests get a new session, and those that run keep theirs to their end.
"""

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from batcher import clock, disk
from batcher.connect.access import Access, Credential, Plugin, Trust
from batcher.connect.bounded import BoundedResponse
from batcher.connect.expiry import Given, certificate_expires_at, expires_at
from batcher.connect.kubeconfig import SERVICE_ACCOUNT, read_kubeconfig, read_service_account
from batcher.connect.plugin import run_plugin
from batcher.connect.urls import url
from batcher.errors import ConfigError, Unavailable
from batcher.telemetry import CredentialKind

_POOL = 100
"""Connections to one server: a watch each for a few namespaces, and writes in flight."""
LOOK_SECONDS = 1.0
"""How often files are looked at: a write is a third of a millisecond, and must not cost three stats."""


_NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass
class _Session:
    """A client session, how many requests use it, and whether it is to be closed after the last of them."""

    client: aiohttp.ClientSession
    users: int = 0
    retired: bool = False

    async def leave(self) -> None:
        """Let one request fewer use it."""
        self.users -= 1
        if self.retired and not self.users:
            await self.client.close()


class _Exchange(contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]):
    """A request, and its answer for as long as it is read; a class, for generators cost a tenth of a write."""

    def __init__(self, name: str, sent: Coroutine[Any, Any, tuple[_Session, aiohttp.ClientResponse]]) -> None:
        self._name = name
        self._sent = sent

    async def __aenter__(self) -> aiohttp.ClientResponse:  # type: ignore[explicit-override]  # typing.override came with 3.12
        try:
            self._session, self._response = await self._sent
        except _NO_ANSWER as error:
            raise self._unavailable(error) from error
        return self._response

    async def __aexit__(  # type: ignore[explicit-override]  # typing.override came with 3.12
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._end()
        except _NO_ANSWER as late:
            raise self._unavailable(late) from late
        if isinstance(error, _NO_ANSWER):
            raise self._unavailable(error) from error

    async def _end(self) -> None:
        try:
            self._response.release()
            await self._response.wait_for_close()
        finally:
            await self._session.leave()

    def _unavailable(self, error: BaseException) -> Unavailable:
        return Unavailable(f"{self._name}: {type(error).__name__}: {str(error) or 'no answer in time'}")


class Connection:
    """One API server, and the session to it."""

    def __init__(
        self,
        name: str,
        access: Access,
        read: Callable[[], Access] | None = None,
        now: clock.Now = clock.now,
    ) -> None:
        """Talk to the server of ``access``; ``name`` is for messages, ``read`` reads the access anew."""
        self.name = name
        self.server = access.server.rstrip("/")
        self._read = read
        self._now = now
        self._access = access
        self._seen = _fingerprints(access)
        self._looked = 0.0
        self._session: _Session | None = None
        self._given: Given | None = None
        self._asking = asyncio.Lock()

    @property
    def insecure(self) -> bool:
        """Whether the server is not verified."""
        return self._access.trust.insecure

    @property
    def _credential(self) -> Credential | None:
        return self._given.credential if self._given else None

    @property
    def expiries(self) -> dict[CredentialKind, datetime]:
        """When that expires which a request would have now, as far as it says so and nobody is known to renew it."""
        found: dict[CredentialKind, datetime | None] = {"plugin": self._given.expires_at if self._given else None}
        with contextlib.suppress(OSError):
            found["token"] = expires_at(self._access.bearer() or "")
        with contextlib.suppress(OSError):
            found["certificate"] = certificate_expires_at(self._access.shown_certificate)
        return {kind: ends for kind, ends in found.items() if ends}

    @property
    def secrets(self) -> list[str]:
        """What of its credentials must not be shown anywhere; for those who take it out of texts, and nobody else.

        Raises ``OSError`` for a file that is not there.
        """
        return list(self._access.secrets)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: aiohttp.ClientTimeout,
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send one request. Raises :class:`Unavailable` when no answer came; any status is an answer."""
        headers = {"Accept": accept, "User-Agent": "batcher"}
        if body is not None:
            headers["Content-Type"] = content_type
        return _Exchange(self.name, self._send(method, path, headers, params=params, data=body, timeout=timeout))

    async def _send(
        self, method: str, path: str, headers: dict[str, str], **what: Any
    ) -> tuple[_Session, aiohttp.ClientResponse]:
        await self._follow_rotations()
        if token := self._access.bearer(self._credential):
            headers["Authorization"] = f"Bearer {token}"
        session = self._opened()
        session.users += 1
        try:
            response = await session.client.request(
                method,
                url(self.server, path),
                headers=headers,
                allow_redirects=False,  # an API server never redirects, and a token must not follow one
                server_hostname=self._access.server_name,
                **what,
            )
        except BaseException:
            await session.leave()
            raise
        return session, response

    async def _follow_rotations(self) -> None:
        time = asyncio.get_running_loop().time()
        if time - self._looked >= LOOK_SECONDS:
            self._looked = time
            found = _fingerprints(self._access)
            if found != self._seen:
                await self._read_again()
        if self._access.plugin is not None:
            async with self._asking:  # one run for all who wait
                await self._follow_plugin(self._access.plugin)

    async def _follow_plugin(self, plugin: Plugin) -> None:
        """Ask ``plugin`` if it must be asked, or if it may have what it will be asked for; the latter may fail."""
        now = self._now()
        if self._given is None or self._given.is_over(now):
            await self._ask(plugin)
        elif self._given.may_be_renewed(now):
            self._given = dataclasses.replace(self._given, asked_at=now)
            with contextlib.suppress(Unavailable):
                await self._ask(plugin)

    async def _ask(self, plugin: Plugin) -> None:
        credential, now = await run_plugin(plugin), self._now()
        self._given = self._given.again(credential, now) if self._given else Given(credential, now, now)
        if credential.certificate:
            await self.retire()

    async def _read_again(self) -> None:
        """Read every file again. One that cannot be read now, because it is being written, changes nothing."""
        try:
            access = self._read() if self._read else self._access
            access.tls(self._credential)
        except (ConfigError, OSError):
            return
        self._seen = _fingerprints(access)
        self._access = access
        await self.retire()

    def _opened(self) -> _Session:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._access.tls(self._credential), limit=_POOL)
            client = aiohttp.ClientSession(connector=connector, response_class=BoundedResponse, trust_env=False)
            self._session = _Session(client)
        return self._session

    async def retire(self) -> None:
        """Close the session once its last request has ended; the next request opens another."""
        session, self._session = self._session, None
        if session is not None:
            session.retired = True
            if not session.users:
                await session.client.close()

    def at(self, server: str) -> "Connection":
        """Return another connection with the same credentials, to ``server``; nothing is shared but the files."""
        read = self._read

        def elsewhere() -> Access:
            access = read() if read else self._access
            same = urlsplit(access.server).netloc == urlsplit(server).netloc
            return dataclasses.replace(access, server=server, server_name=access.server_name if same else None)

        return Connection(f"{self.name} at {server}", elsewhere(), elsewhere, self._now)

    async def reload(self) -> None:
        """Read every credential again, after one was refused; running requests end as they would have."""
        self._given = None
        await self._read_again()

    async def close(self) -> None:
        """Close the session, with what still runs over it; the next request opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.client.close()


def _fingerprints(access: Access) -> list[tuple[int, int, int]]:
    return [disk.fingerprint(path) for path in access.files]


def connect(
    *,
    name: str,
    kubeconfig: Path | None = None,
    context: str | None = None,
    in_cluster: bool = False,
    token_file: Path | None = None,
    trust: Trust = Trust(),  # noqa: B008  frozen
    service_account: Path = SERVICE_ACCOUNT,
) -> Connection:
    """Return a connection as ``kubeconfig`` (its ``context``, or the current one) or the Pod's own account says.

    With ``token_file`` the server is the kubeconfig's, and of who we are only the token in that file counts.
    Nothing is sent. Raises :class:`ConfigError` naming the file and what to do.
    """
    if in_cluster:
        read = functools.partial(read_service_account, service_account, trust)
    elif kubeconfig is not None:
        read = functools.partial(read_kubeconfig, kubeconfig, context, trust)
    else:
        raise ConfigError([f"{name}: neither kubeconfig nor inCluster is given"])
    if token_file is not None:
        read = functools.partial(_as_bearer, read, token_file)
    return Connection(name, read(), read)


def _as_bearer(read: Callable[[], Access], token_file: Path) -> Access:
    """Return what ``read`` returns for whoever has the token in ``token_file``, and none of its own credentials."""
    if not token_file.is_file():
        raise ConfigError(["cannot be read: no such file"], str(token_file))
    return dataclasses.replace(read(), token=None, token_file=token_file, certificate=None, key=None, plugin=None)
