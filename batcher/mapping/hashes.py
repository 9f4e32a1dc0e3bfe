"""The one-way names that a syncer derives from a namespace locator, so that a locator can be checked by its name.

Digits are those of Go's ``big.Int.Text``; source: kcp's syncer (``pkg/syncer/shared``), and the recorded vectors
in its tests.
"""

import hashlib
import string

_BASE36 = string.digits + string.ascii_lowercase
_BASE62 = string.digits + string.ascii_lowercase + string.ascii_uppercase
_NAME_DIGITS = 12


def downstream_name(locator: str) -> str:
    """Return the name of the downstream namespace of ``locator``, compact JSON in the order of its fields."""
    return "kcp-" + _text(locator, _BASE36)[:_NAME_DIGITS]


def tenant_id(locator: str) -> str:
    """Return the value of label ``kcp.io/tenant-id``; ``locator`` is compact JSON with an empty namespace."""
    return _text(locator, _BASE62)


def sync_target_key(cluster: str, name: str) -> str:
    """Return the value of label ``internal.workload.kcp.io/cluster`` of the sync target ``name`` in ``cluster``."""
    return _text(f"{cluster}:{name}", _BASE62)


def _text(hashed: str, digits: str) -> str:
    """Return sha224 as a big-endian number in these ``digits``; each leading zero byte is a zero."""
    digest = hashlib.sha224(hashed.encode()).digest()
    number, text = int.from_bytes(digest, "big"), ""
    while number:
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
    return digits[0] * (len(digest) - len(digest.lstrip(b"\0"))) + text
