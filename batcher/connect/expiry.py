"""When a token expires that people have to renew: read from the token itself, which is believed as little as any text.

A token is verified by whoever it is shown to; here it only says when it ends. Never keeps or shows one.
"""

import base64
from datetime import UTC, datetime, timedelta

import msgspec

RENEWED_BELOW = timedelta(days=2)
"""A token that lives for less is renewed by somebody: kubelet's live for an hour, and are replaced after 48 minutes."""


class _Said(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


def expires_at(token: str) -> datetime | None:
    """Return when ``token`` expires, if it is a JWT that says so and lives for :data:`RENEWED_BELOW` or longer."""
    _, _, rest = token.partition(".")
    claims, dot, _ = rest.partition(".")
    try:
        padded = claims + "=" * (-len(claims) % 4)
        said = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_Said)
        if not dot or said.exp is None:
            return None
        ends = datetime.fromtimestamp(said.exp, UTC)
        begins = datetime.fromtimestamp(said.iat, UTC) if said.iat is not None else None
    except (ValueError, OverflowError, OSError, msgspec.MsgspecError):
        return None
    return None if begins and ends - begins < RENEWED_BELOW else ends
