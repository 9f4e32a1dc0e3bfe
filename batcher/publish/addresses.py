"""Where an Event of a workspace is, as a path of a request.

Namespaces and names come from other people's clusters. They are quoted, and what an HTTP client would
resolve as a step in the path has no address at all, so that no name can reach another object.
"""

import re
from urllib.parse import quote

from batcher.publish.writes import Write

_WORKSPACE = re.compile(r"[a-z0-9]([a-z0-9:-]*[a-z0-9])?")
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
"""What is quoted as itself, as nearly every name is."""
_STEPS = {"", ".", ".."}


def has_address(write: Write) -> bool:
    """Whether ``write`` names one workspace (no wildcard), one namespace and one Event."""
    named = _WORKSPACE.fullmatch(write.workspace) is not None
    return named and _STEPS.isdisjoint({write.namespace, write.name})


def collection(write: Write) -> str:
    """Return where Events of the namespace are created."""
    return f"/clusters/{write.workspace}/api/v1/namespaces/{quoted(write.namespace)}/events"


def item(write: Write) -> str:
    """Return where the Event itself is."""
    return f"{collection(write)}/{quoted(write.name)}"


def quoted(text: str) -> str:
    """Return ``text`` as one part of a path."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")
