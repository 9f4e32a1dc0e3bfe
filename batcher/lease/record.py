"""A Lease as the API server has it, and what of it is the election's. Nothing here sends anything."""

from datetime import UTC, datetime
from typing import Any

import msgspec

_API_VERSION = "coordination.k8s.io/v1"
GIVEN_UP_SECONDS = 1
"""How long a Lease is said to last that its holder gave up; zero is not allowed."""


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """The ``spec`` of a Lease: who holds it, and the times as the holder's clock told them."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None

    @property
    def holder(self) -> str:
        """Who holds it; empty: nobody."""
        return self.holder_identity or ""

    @property
    def transitions(self) -> int:
        """How often it went from one holder to another."""
        return self.lease_transitions or 0


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str


class Found(msgspec.Struct):
    """A Lease that is there."""

    metadata: _Metadata
    spec: Record = Record()

    @property
    def version(self) -> str:
        """Its resourceVersion, without which nothing is written over it."""
        return self.metadata.resource_version


def taken(before: Record, identity: str, seconds: int, now: datetime) -> Record:
    """Return what ``identity`` writes to acquire the Lease that said ``before``, or to renew its own."""
    at = _micro_time(now)
    is_ours = before.holder == identity
    return Record(
        holder_identity=identity,
        lease_duration_seconds=seconds,
        acquire_time=before.acquire_time if is_ours else at,
        renew_time=at,
        lease_transitions=before.transitions + (not is_ours and before != Record()),
    )


def given_up(before: Record, now: datetime) -> Record:
    """Return what the holder writes when it ends: nobody holds it, and the next one need not wait."""
    at = _micro_time(now)
    return Record("", GIVEN_UP_SECONDS, at, at, before.transitions)


def lease(namespace: str, name: str, record: Record, version: str = "") -> bytes:
    """Return the Lease to be sent; with ``version`` it replaces that one only."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    metadata |= {"resourceVersion": version} if version else {}
    return msgspec.json.encode({"apiVersion": _API_VERSION, "kind": "Lease", "metadata": metadata, "spec": record})


def _micro_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
