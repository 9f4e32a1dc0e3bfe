"""Where a server is, how it proves who it is, and how we do. Nothing here sends anything."""

import contextlib
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from batcher.text import safe


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
class Trust:
    """What a kubeconfig is trusted with, as our own configuration says; nothing, unless told."""

    exec_allowed: frozenset[str] = frozenset()
    """Absolute paths of the credential plugins that may be run."""
    insecure: bool = False
    """Do not verify the server. Anybody in between can then read tokens and invent Events."""
    relaxed_x509: bool = False
    """Drop only ``VERIFY_X509_STRICT``, which Python sets from 3.13 on and many clusters' own CAs do not meet."""


@dataclass(frozen=True)
class Plugin:
    """A credential plugin (client.authentication.k8s.io), as the kubeconfig describes it."""

    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = field(repr=False)
    api_version: str
    cluster: dict[str, Any] | None = field(default=None, repr=False)
    """What it is told of the cluster, with ``provideClusterInfo``; a proxy's URL may have a password."""


@dataclass(frozen=True)
class Credential:
    """What a plugin gave."""

    token: Secret | None = None
    certificate: Secret | None = None
    key: Secret | None = None
    expires_at: datetime | None = None


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
    plugin: Plugin | None = None
    trust: Trust = Trust()
    source: Path | None = None
    """The kubeconfig."""

    @property
    def files(self) -> list[Path]:
        """Every file whose content is part of a session; a token's is part of each request."""
        return [path for path in (self.source, self.ca_file, self.certificate, self.key) if isinstance(path, Path)]

    def bearer(self, credential: Credential | None = None) -> str | None:
        """Return the token as of now; a token file is read at each call, because it rotates.

        It is one line whatever is in it: what is garbled is a 401, and not a header that cannot be sent.
        """
        if self.token_file is not None:
            return _one_line(self.token_file.read_text(encoding="utf-8", errors="replace"))
        token = self.token or (credential.token if credential else None)
        return _one_line(token.reveal()) if token else None

    @property
    def shown_certificate(self) -> bytes:
        """The certificate that is shown to the server, PEM; empty if none is. Raises ``OSError`` for a missing file."""
        return self.certificate.read_bytes() if isinstance(self.certificate, Path) else self.certificate or b""

    @property
    def secrets(self) -> Iterator[str]:
        """Yield what must not be shown anywhere, for those who take it out. Raises ``OSError`` for a missing file."""
        if self.token is not None:
            yield _one_line(self.token.reveal())
        if self.token_file is not None:
            yield self.bearer() or ""
        if self.key is not None:
            key = self.key if isinstance(self.key, bytes) else self.key.read_bytes()
            yield from key.decode("ascii", "replace").splitlines()
        if self.plugin is not None:
            yield from (value for _, value in self.plugin.environment)

    def tls(self, credential: Credential | None = None) -> ssl.SSLContext | bool:
        """Return the context to verify the server with, and to show a client certificate.

        Verification is on unless :class:`Trust` says otherwise. Raises ``OSError`` for a file that is missing
        or holds no certificate.
        """
        if not self.server.startswith("https"):
            return True
        # With a CA of its own a cluster is not vouched for by the system's, which would take 0.8 MB a cluster, too.
        context = ssl.create_default_context(
            cafile=str(self.ca_file) if self.ca_file else None, cadata=self.ca_data or None
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.trust.relaxed_x509:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.trust.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._show_certificate(context, credential)
        return context

    def _show_certificate(self, context: ssl.SSLContext, credential: Credential | None) -> None:
        certificate, key = self.certificate, self.key
        if credential and credential.certificate and credential.key:
            certificate, key = credential.certificate.reveal().encode(), credential.key.reveal().encode()
        if certificate and key:
            with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
                context.load_cert_chain(certificate_file, key_file)


def _one_line(token: str) -> str:
    return " ".join(safe(token).split())


@contextlib.contextmanager
def _as_file(content: Path | bytes) -> Iterator[Path]:
    """``ssl`` loads certificates from files only; inline data is one for the moment, private to the user.

    On Linux it is one in memory: no key comes to a disk, and none is needed where nothing can be written.
    """
    if isinstance(content, Path):
        yield content
        return
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("credential"), "wb") as file:
            file.write(content)
            file.flush()
            yield Path(f"/proc/self/fd/{file.fileno()}")
    else:
        descriptor, name = tempfile.mkstemp()
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            yield Path(name)
        finally:
            Path(name).unlink()
