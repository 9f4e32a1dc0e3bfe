"""What must never be in a bundle: the credentials that the configuration leads to, and whatever looks like one."""

import base64
import contextlib
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from batcher import store
from batcher.connect import Connection
from batcher.errors import ConfigError
from batcher.service.destination import connection_to, provider_of
from batcher.service.leading import connection_of_lease
from batcher.service.wiring import archive_root, connection_of
from batcher.settings import Settings

MASK = "***"
SHORTEST = 6
"""Characters; what is shorter is no secret, and to take it out would make nonsense of everything else."""
_LOOKS_SECRET = (
    re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),  # a JWT
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?i)(?<=\bbearer )[^\s\"'\\]+"),
    re.compile(r"(?<=://)[^/\s@\"']+(?=@)"),  # user and password of a URL
    re.compile(r"(?i)(?<=password=)[^\s\"'&]+|(?<=secret=)[^\s\"'&]+|(?<=token=)[^\s\"'&]+"),
)


class Scrubber:
    """Takes secrets out of texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take out ``secrets``, in the forms in which they are written down, and what looks like one."""
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._known = sorted(forms, key=len, reverse=True)

    def scrub(self, text: str) -> str:
        """Return ``text`` without them."""
        for form in self._known:
            text = text.replace(form, MASK)
        for pattern in _LOOKS_SECRET:
            text = pattern.sub(MASK, text)
        return text


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def known_secrets(settings: Settings) -> set[str]:
    """Return the credentials of every cluster, of kcp, the Lease and the store, as far as they can be read now."""
    found: set[str] = set()
    with contextlib.suppress(ConfigError, OSError):
        found |= set(store.secrets(archive_root(settings)).values())
    for way in _ways(settings):
        with contextlib.suppress(ConfigError, OSError):  # then nothing of it can have got in by us
            found |= set(way().secrets)
    return found


def _ways(settings: Settings) -> Iterator[Callable[[], Connection]]:
    """Yield what makes each connection that the service would make."""
    for cluster in settings.clusters:
        yield functools.partial(connection_of, cluster, settings.credentials.exec_allowed)
    if settings.leader_election.enabled:
        yield functools.partial(connection_of_lease, settings)
    if settings.kcp.api_export:
        yield functools.partial(provider_of, settings)
        return
    for workspace in settings.kcp.workspaces:
        yield functools.partial(connection_to, settings, workspace.token_file)
