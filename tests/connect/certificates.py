"""Authorities, servers and clients with certificates made for the moment."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import trustme
import yaml
from aiohttp import web

from batcher.connect import Connection

TIMEOUT = aiohttp.ClientTimeout(total=10)


def server_context(authority: trustme.CA, clients: trustme.CA | None = None) -> ssl.SSLContext:
    """A server whose certificate ``authority`` signed; with ``clients``, it wants one of theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
    return context


async def who(request: web.BaseRequest) -> web.Response:
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    names = [value for part in (certificate or {}).get("subject", ()) for key, value in part if key == "commonName"]
    return web.json_response({"authorization": request.headers.get("Authorization"), "certificate": names})


@asynccontextmanager
async def server(context: ssl.SSLContext | None, port: int = 0) -> AsyncIterator[str]:
    """Run a server that tells who asked."""
    runner = web.ServerRunner(web.Server(who))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(connection: Connection) -> dict[str, Any]:
    async with connection.request("GET", "/who", timeout=TIMEOUT) as response:
        answer: dict[str, Any] = await response.json()
        return answer


def write_kubeconfig(
    folder: Path, url: str, *, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None
) -> Path:
    """A kubeconfig of one server, replaced at once as a mounted Secret is."""
    document = {
        "current-context": "main",
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
    }
    fresh = folder / "kubeconfig.new"
    fresh.write_text(yaml.safe_dump(document), encoding="utf-8")
    return fresh.replace(folder / "kubeconfig")


def write_client(folder: Path, authority: trustme.CA, name: str) -> None:
    """A client certificate and its key, replaced at once."""
    issued = authority.issue_cert(f"{name}.example", common_name=name)
    for file, blob in (("tls.key", issued.private_key_pem), ("tls.crt", issued.cert_chain_pems[0])):
        blob.write_to_path(folder / f"{file}.new")
        (folder / f"{file}.new").replace(folder / file)


def write_authority(folder: Path, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(folder / "ca.new")
    (folder / "ca.new").replace(folder / "ca.crt")
