"""Run a credential plugin: a command that prints a token or a certificate (client.authentication.k8s.io).

It runs with our own rights, so only what our configuration allows by its absolute path gets here. What it
prints is a secret, and shows in no error; what it says on stderr is one line of one.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from datetime import datetime
from typing import Any

import msgspec

from batcher.connect.access import Credential, Plugin, Secret
from batcher.errors import Unavailable
from batcher.text import safe

SECONDS = 30.0
OUTPUT_BYTES = 1024 * 1024
SAID_BYTES = 4096


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    status: _Status


async def run_plugin(plugin: Plugin) -> Credential:
    """Return what ``plugin`` prints. Raises :class:`Unavailable` naming the command, and what it said on stderr."""
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.arguments,
            env=_environment(plugin),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,  # so that what it started ends with it
        )
    except OSError as error:
        raise _failed(plugin, error.strerror or "cannot be run") from None
    try:
        async with asyncio.timeout(SECONDS):
            printed, said = await _outputs(process)
            code = await process.wait()
    except TimeoutError:
        raise _failed(plugin, f"has not answered within {SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code:
        first = said.decode("utf-8", "replace").strip().partition("\n")[0]
        raise _failed(plugin, f"ended with {code}: {safe(first)}")
    return _credential(plugin, printed)


async def _outputs(process: Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None  # noqa: S101  both are pipes
    assert process.stderr is not None  # noqa: S101
    async with asyncio.TaskGroup() as group:
        printed = group.create_task(_read(process.stdout, OUTPUT_BYTES))
        said = group.create_task(_read(process.stderr, SAID_BYTES))
    return printed.result(), said.result()


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    """Read to the end, and keep the first ``limit`` bytes: who is not read to the end cannot end."""
    kept = b""
    while part := await stream.read(64 * 1024):
        kept += part[: limit - len(kept)]
    return kept


def _environment(plugin: Plugin) -> dict[str, str]:
    """Ours, but for our own settings, which may hold secrets; then the kubeconfig's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BATCHER_")}
    spec: dict[str, Any] = {"interactive": False} | ({"cluster": plugin.cluster} if plugin.cluster else {})
    told = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    return inherited | dict(plugin.environment) | {"KUBERNETES_EXEC_INFO": msgspec.json.encode(told).decode()}


def _credential(plugin: Plugin, printed: bytes) -> Credential:
    try:
        found = msgspec.json.decode(printed, type=_ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _failed(plugin, "printed no ExecCredential") from None
    status = found.status
    if found.api_version != plugin.api_version:
        raise _failed(plugin, f"printed another apiVersion than {plugin.api_version}")
    if not status.token and not (status.client_certificate_data and status.client_key_data):
        raise _failed(plugin, "printed neither a token nor a certificate with its key")
    return Credential(
        _secret(status.token),
        _secret(status.client_certificate_data),
        _secret(status.client_key_data),
        status.expiration_timestamp,
    )


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


def _failed(plugin: Plugin, why: str) -> Unavailable:
    return Unavailable(f"credential plugin {plugin.command}: {why}")
