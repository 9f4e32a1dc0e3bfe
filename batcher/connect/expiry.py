"""When a credential expires that people have to renew: read from the credential itself, believed as little as any text.

A token and a certificate are verified by whoever they are shown to; here they only say when they end. What lives for
so short that somebody must be renewing it is left out. Never keeps or shows a secret.
"""

import base64
import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from batcher.connect.access import Credential

RENEWED_BELOW = timedelta(days=2)
"""What lives for less is renewed by somebody: kubelet's tokens live for an hour, and are replaced after 48 minutes."""
RENEW_BEFORE = timedelta(seconds=60)
"""A plugin's credential is renewed so long before it expires, at the next request."""
LOOK_BEFORE = timedelta(hours=25)
"""One that lives for long is asked for again so long before, so that it is renewed before anybody is alarmed."""
LOOK_AGAIN = timedelta(hours=1)
"""While the plugin gives the same one."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x17, 0x18, 0xA0


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


@functools.lru_cache(maxsize=1024)
def certificate_expires_at(pem: bytes) -> datetime | None:
    """Return when the first certificate in ``pem`` expires, if it lives for :data:`RENEWED_BELOW` or longer.

    Of its fields (RFC 5280, section 4.1) only the validity is read, which Python's own ``ssl`` shows of CAs alone.
    """
    found = _PEM.search(pem)
    try:
        begins, ends = _validity(base64.b64decode(found[1] if found else b""))
    except (ValueError, IndexError, OverflowError):
        return None
    return None if ends - begins < RENEWED_BELOW else ends


def _validity(der: bytes) -> tuple[datetime, datetime]:
    _, certificate, _ = _element(der, 0)
    _, at, _ = _element(der, certificate)
    if der[at] == _VERSION:
        _, _, at = _element(der, at)
    for _ in ("serial number", "signature", "issuer"):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)
    tag, begins, behind = _element(der, at)
    last_tag, ends, end = _element(der, behind)
    return _time(tag, der[begins:behind]), _time(last_tag, der[ends:end])


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag at ``at``, where its content begins, and where it ends."""
    length, begins = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, begins = int.from_bytes(der[begins : begins + size]), begins + size
    return der[at], begins, begins + length


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        message = f"no time: {tag}"
        raise ValueError(message)
    return datetime.strptime(text.removesuffix("Z") + "+0000", "%Y%m%d%H%M%S%z")


@dataclass(frozen=True)
class Given:
    """What a plugin gave."""

    credential: Credential
    since: datetime
    """When it gave this one for the first time."""
    asked_at: datetime

    def again(self, credential: Credential, now: datetime) -> "Given":
        """Return what is held when the plugin has given ``credential``, which may be the same, at ``now``."""
        same = credential.expires_at == self.credential.expires_at
        return Given(credential, self.since if same else now, now)

    @property
    def expires_at(self) -> datetime | None:
        """When it expires, if somebody has to see to it: it lives for long, or says no time at which to ask again."""
        said = self.credential.expires_at
        if said is not None:
            return None if said - self.since < RENEWED_BELOW else said
        token, certificate = self.credential.token, self.credential.certificate
        ends = [
            expires_at(token.reveal()) if token else None,
            certificate_expires_at(certificate.reveal().encode()) if certificate else None,
        ]
        return min((each for each in ends if each), default=None)

    def is_over(self, now: datetime) -> bool:
        """Whether it must be renewed before the next request."""
        said = self.credential.expires_at
        return said is not None and said - RENEW_BEFORE <= now

    def may_be_renewed(self, now: datetime) -> bool:
        """Whether the plugin may have a newer one by now."""
        said = self.credential.expires_at
        is_near = said is not None and self.expires_at is not None and said - LOOK_BEFORE <= now
        return is_near and now - self.asked_at >= LOOK_AGAIN
