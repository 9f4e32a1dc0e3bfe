"""What a downstream Namespace says of the workspace it serves: a claim, checked as far as it can be.

A claim is data: whoever can edit the Namespace can write it. Whether locators are trusted at all is for the
configuration (``mapping.trust``), and where they may lead is for ``kcp.workspaces``; neither is known here.
"""

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from batcher.mapping.hashes import downstream_name, sync_target_key

CURRENT, LEGACY = "kcp.io/namespace-locator", "kcp.dev/namespace-locator"
SYNC_TARGET_LABEL = "internal.workload.kcp.io/cluster"
_LONGEST = 4096
"""Four times what the longest names of all fields come to."""


class Flaw(StrEnum):
    """Why a claim is not believed."""

    NONE = ""
    UNREADABLE = "unreadable"
    """Not JSON of the known forms, or far too long."""
    INCOMPLETE = "incomplete"
    """It names no workspace or no namespace."""
    OTHER_NAME = "other-name"
    """The namespace's name is not the hash of it: it was copied, or edited."""
    FOREIGN = "foreign-sync-target"
    """Another sync target's, by the label of the namespace."""
    OTHER_HASH = "other-hash"
    """Of an object: its labels are hashes of other names than its annotations give."""
    DUPLICATE = "duplicate"
    """Another namespace of the cluster said the same before, and still says it; no claim has it by itself."""


class Claim(NamedTuple):
    """A workspace and namespace that a downstream namespace claims to serve."""

    workspace: str
    namespace: str
    sync_target: str
    flaw: Flaw


class _SyncTarget(msgspec.Struct):
    cluster: str = ""
    path: str = ""
    workspace: str = ""
    name: str = ""
    uid: str = ""


class _Locator(msgspec.Struct, rename={"sync_target": "syncTarget", "logical_cluster": "logical-cluster"}):
    sync_target: _SyncTarget | None = None
    cluster: str = ""
    path: str = ""
    workspace: str = ""
    logical_cluster: str = ""
    namespace: str = ""

    @property
    def target(self) -> str:
        return self.cluster or self.workspace or self.path or self.logical_cluster


_decoder = msgspec.json.Decoder(_Locator)


def read_claim(name: str, annotations: dict[str, str], labels: dict[str, str]) -> Claim | None:
    """Return what the namespace ``name`` claims by a locator, None if it has none.

    Never raises: what is wrong with a claim is its ``flaw``.
    """
    text = annotations.get(CURRENT) or annotations.get(LEGACY)
    if not text:
        return None
    try:
        if len(text) > _LONGEST:
            return Claim("", "", "", Flaw.UNREADABLE)
        locator = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Claim("", "", "", Flaw.UNREADABLE)
    sync_target = locator.sync_target.name if locator.sync_target else ""
    return Claim(locator.target, locator.namespace, sync_target, _flaw(name, locator, labels))


def _flaw(name: str, locator: _Locator, labels: dict[str, str]) -> Flaw:
    if not locator.target or not locator.namespace:
        return Flaw.INCOMPLETE
    target = locator.sync_target
    if target is not None:
        owner = target.cluster or target.path or target.workspace
        labelled = labels.get(SYNC_TARGET_LABEL)
        if labelled and labelled != sync_target_key(owner, target.name):
            return Flaw.FOREIGN
    if name != downstream_name(canonical(locator)):
        return Flaw.OTHER_NAME
    return Flaw.NONE


def canonical(locator: _Locator) -> str:
    """Return ``locator`` as the syncer hashes it: compact, its fields in the order of the Go structs, none empty."""
    target = locator.sync_target
    said: dict[str, Any] = {
        "syncTarget": target
        and _named(target, "cluster", "path", "workspace") | {"name": target.name, "uid": target.uid},
        **_named(locator, "cluster", "path", "workspace"),
        "logical-cluster": locator.logical_cluster,
    }
    given = {key: value for key, value in said.items() if value}
    return msgspec.json.encode(given | {"namespace": locator.namespace}).decode()


def _named(of: _Locator | _SyncTarget, *fields: str) -> dict[str, str]:
    return {field: getattr(of, field) for field in fields if getattr(of, field)}
