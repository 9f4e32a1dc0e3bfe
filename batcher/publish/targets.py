"""Where what is written for a workspace goes, or why nothing may: what the publisher knows of identities.

The publisher asks for each request anew, and sends nothing without an answer, so that what is allowed is
decided in one place: :mod:`.identities` (a kubeconfig, or an identity a workspace) or :mod:`.export` (an
APIExport). Nothing here sends anything.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from batcher.publish.answers import Answer, Meaning
from batcher.publish.exchange import Requests

NOT_ALLOWED = Answer(Meaning.NEVER, "WorkspaceNotAllowed")
"""The configuration names it nowhere."""
NOT_BOUND = Answer(Meaning.CAUSE_MAY_PASS, "WorkspaceNotBound")
"""It has no APIBinding that accepts our claim of Events; its people may make one."""

Appeared = Callable[[Iterable[str]], None]
"""Told of workspaces, by any of their names, that can be written to from now on."""


class Target(NamedTuple):
    """A workspace that may be written to."""

    connection: Requests
    """With the identity that is meant for this workspace, and for no other."""
    cluster: str
    """What stands behind ``/clusters/`` in its requests: the logical name where it is known, else the path."""
    logical: str = ""
    """Name of its logical cluster; empty when unknown."""
    path: str = ""
    """Its path; empty when unknown."""
    new: bool = False
    """It was bound a moment ago: kcp may still refuse what it will allow."""


class Targets(Protocol):
    """Which workspaces may be written to, how, and by which identity."""

    def of(self, workspace: str) -> Target | Answer:
        """Return where requests for ``workspace`` (a path or a logical name) go, or why none does.

        A :attr:`Meaning.LATER` says that it is not known yet; :attr:`Meaning.NEVER`, that the configuration
        forbids it.
        """
        ...

    def name(self, workspace: str) -> str:
        """Return one name for all names of ``workspace``: its path where that is known."""
        ...

    def heard(self, workspace: str, target: Target, answer: Answer, cluster: str) -> None:
        """Learn from the answer to a write: ``cluster`` is the logical cluster that the object said it is in."""
        ...

    async def run(self, appeared: Appeared) -> None:
        """Keep what is known up to date, for ever."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
