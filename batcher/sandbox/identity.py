"""Who asks, and what they may do: bearer tokens of a simulated server.

An identity is a name and what it is allowed; tokens are the keys of a plain mapping, so that a test rotates
one by replacing it. The tokens protect nothing: servers listen on loopback only.
"""

from dataclasses import dataclass

from batcher.sandbox.store import EVERYWHERE

NOBODY = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Identity:
    """A user. ``verbs`` or ``workspaces`` None: all; workspaces are logical cluster names."""

    user: str
    verbs: frozenset[str] | None = None
    workspaces: frozenset[str] | None = None
    wildcard: bool = False
    """May use ``/clusters/*``: a shard administrator (wildcard-list*.json)."""
    forbidden: frozenset[str] = NOBODY
    """Plurals of resources that are none of theirs."""

    def may_enter(self, cluster: str) -> bool:
        """Tell whether anything at all is theirs in the logical cluster."""
        return self.wildcard or self.workspaces is None or cluster in self.workspaces

    def may(self, verb: str, cluster: str, plural: str = "") -> bool:
        """Tell whether ``verb`` is allowed in the logical cluster, on the resources of that ``plural``."""
        if plural in self.forbidden:
            return False
        if cluster == EVERYWHERE:
            return self.wildcard
        in_reach = self.workspaces is None or cluster in self.workspaces
        return in_reach and (self.verbs is None or verb in self.verbs)


ADMIN_TOKEN = "sandbox-admin"  # noqa: S105  protects nothing
SHARD_ADMIN_TOKEN = "sandbox-shard-admin"  # noqa: S105  protects nothing


def default_identities() -> dict[str, Identity]:
    """Return the identities a new server knows, by token."""
    return {
        ADMIN_TOKEN: Identity("kcp-admin"),
        SHARD_ADMIN_TOKEN: Identity("shard-admin", wildcard=True),
    }


def impersonated(user: str) -> Identity:
    """Return the identity of ``Impersonate-User``: known to nobody, allowed nothing."""
    return Identity(user, verbs=NOBODY)
