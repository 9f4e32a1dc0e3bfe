"""Run only while this process holds the Lease: wait for it, run, end when it is lost, give it up at the end.

Who waits has opened nothing: no data directory, no watch. That is the simplest meaning that is safe wherever the
directories are. Of two processes on one directory the lock would keep the second out anyway; of two on directories of
their own both would watch, count and write, and their summaries would contest each other. It costs the second one a
start (it recovers the spool and lists) when it takes over, which loses nothing that is younger than the event TTL.
Nothing here counts on the Lease: whoever leads still needs the lock of its directory and the owner of its archive.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import structlog

from batcher.clock import Now
from batcher.connect import Connection, Trust, connect
from batcher.connect.kubeconfig import SERVICE_ACCOUNT
from batcher.errors import LeaseLost
from batcher.lease import Elector, Terms
from batcher.serve import Health, serving
from batcher.settings import LeaderElection, Settings
from batcher.status import Leadership, leader_samples

Work = Callable[[asyncio.Event, Callable[[], Leadership | None]], Awaitable[None]]
"""What the leader does until the event is set; it is told what to say of its Lease."""

log = structlog.get_logger("batcher")


async def led(settings: Settings, work: Work, *, stop: asyncio.Event, now: Now) -> None:
    """Do ``work`` while this process leads; return when ``stop`` is set, whether it ever did.

    Raises :class:`LeaseLost`, after ``work`` has ended in order, when another leads or may do so.
    """
    connection = connection_of_lease(settings)
    elector = Elector(connection, terms_of(settings.leader_election), now=now)
    try:
        if await _acquired(settings, elector, stop):
            await _lead(elector, connection, work, stop)
    finally:
        await elector.release()
        await connection.close()


def connection_of_lease(settings: Settings) -> Connection:
    """Return how the cluster of the Lease is reached; nothing is sent. Raises :class:`ConfigError`."""
    said = settings.leader_election
    return connect(
        name="lease",
        kubeconfig=said.kubeconfig,
        context=said.context,
        in_cluster=said.in_cluster,
        trust=Trust(frozenset(settings.credentials.exec_allowed)),
    )


def terms_of(said: LeaderElection) -> Terms:
    """Return the Lease that ``said`` names, to be held by a name of this process's own."""
    return Terms(
        namespace=said.namespace or _own_namespace(said),
        name=said.lease_name,
        identity=f"{os.uname().nodename}_{secrets.token_hex(8)}",  # as client-go's users name themselves
        lease_seconds=said.lease_duration.total_seconds(),
        renew_seconds=said.renew_deadline.total_seconds(),
        retry_seconds=said.retry_period.total_seconds(),
    )


def _own_namespace(said: LeaderElection, service_account: Path = SERVICE_ACCOUNT) -> str:
    with contextlib.suppress(OSError):
        if said.in_cluster:
            return (service_account / "namespace").read_text(encoding="ascii").strip()
    return "default"


async def _acquired(settings: Settings, elector: Elector, stop: asyncio.Event) -> bool:
    """Wait for the Lease, answering for health and metrics meanwhile; False if told to stop before it came."""
    async with _standing_by(settings, elector), asyncio.TaskGroup() as group:
        log.info("waiting for the Lease", lease=_name(elector), identity=elector.terms.identity)
        acquiring, stopping = group.create_task(elector.acquire()), group.create_task(stop.wait())
        await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
        acquiring.cancel()
        stopping.cancel()
    if elector.leading:
        log.info("leading", lease=_name(elector), identity=elector.terms.identity)
    return elector.leading and not stop.is_set()


def _standing_by(settings: Settings, elector: Elector) -> AbstractAsyncContextManager[object]:
    """It is ready while it can ask for the Lease: to wait is what it is there for."""
    serve = settings.serve
    if serve.port is None:
        return contextlib.nullcontext()
    return serving(
        serve.address,
        serve.port,
        samples=lambda: leader_samples(leads=False, failures=elector.failures),
        health=lambda: Health({"lease": elector.trouble}),
    )


async def _lead(elector: Elector, connection: Connection, work: Work, stop: asyncio.Event) -> None:
    end = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        renewing = group.create_task(elector.renew())
        stopping = group.create_task(stop.wait())
        working = group.create_task(_awaited(work(end, lambda: _leadership(elector, connection))))
        await asyncio.wait({renewing, stopping, working}, return_when=asyncio.FIRST_COMPLETED)
        end.set()
        if not elector.leading:
            log.error("the Lease is lost; ending", lease=_name(elector), holder=elector.holder, error=elector.trouble)
        await asyncio.wait({working})
        renewing.cancel()
        stopping.cancel()
    if not elector.leading:
        message = f"the Lease {_name(elector)} is lost: {elector.trouble or f'{elector.holder} has it'}"
        raise LeaseLost(message)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _leadership(elector: Elector, connection: Connection) -> Leadership:
    return Leadership(
        lease=_name(elector),
        identity=elector.terms.identity,
        since=elector.since,
        failures=elector.failures,
        trouble=elector.trouble,
        expiries=dict(connection.expiries),
    )


def _name(elector: Elector) -> str:
    return f"{elector.terms.namespace}/{elector.terms.name}"
