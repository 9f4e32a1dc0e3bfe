"""Lists in pages: which objects, in which bytes, and the token that goes on.

The pages of one list show one revision, whatever is written between them; when its history is forgotten the
token expires (410) with a fresh one that goes on inconsistently. Encoded objects are joined, never encoded
again.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from batcher.errors import Expired
from batcher.sandbox.api import Place
from batcher.sandbox.collection import Change, Key
from batcher.sandbox.options import Options
from batcher.sandbox.status import Refused, bad_request, continue_expired, too_large_version, too_old
from batcher.sandbox.store import EVERYWHERE, Page, Store

_INCONSISTENT = -1
"""The revision in a token that goes on with whatever is there now."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One page and the metadata of its list."""

    page: Page
    metadata: dict[str, Any]


def listed(store: Store, place: Place, options: Options) -> Listed:
    """Return one page of the objects at ``place``; Refused 400, 410 or 504 as recorded (list-*.json)."""
    revision, start = _cursor(store, place, options)
    wanted = _wanted(place, options)
    try:
        page = store.page(
            place.resource, place.cluster, revision=revision, wanted=wanted, start=start, limit=options.limit
        )
    except Expired:
        if start is None:
            oldest = store.collection(place.resource, place.cluster).floor + 1
            raise Refused(too_old(revision or 0, oldest)) from None
        raise Refused(continue_expired(_token(place, _INCONSISTENT, start))) from None
    metadata: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if page.remaining:
        metadata["continue"] = _token(place, page.revision, page.changes[-1].key, after=True)
        if not options.predicates:
            metadata["remainingItemCount"] = page.remaining
    return Listed(page, metadata)


def encoded(place: Place, result: Listed) -> bytes:
    """Return the list as JSON, its items as they were encoded when written."""
    head = {
        "kind": f"{place.resource.kind}List",
        "apiVersion": place.resource.api_version,
        "metadata": result.metadata,
    }
    items = b",".join([change.item for change in result.page.changes])
    return msgspec.json.encode(head)[:-1] + b',"items":[' + items + b"]}\n"


def _wanted(place: Place, options: Options) -> Callable[[Change], bool] | None:
    if not place.namespace:
        return options.selects if options.predicates else None
    return lambda change: change.key.namespace == place.namespace and options.selects(change)


def _cursor(store: Store, place: Place, options: Options) -> tuple[int | None, Key | None]:
    if options.token:
        revision, start = _parsed(place, options.token)
        return (None if revision == _INCONSISTENT else revision), start
    if options.revision is not None and options.revision > store.revision:
        raise Refused(too_large_version(options.revision, store.revision))
    return (options.revision if options.exact else None), None


def _token(place: Place, revision: int, key: Key, *, after: bool = False) -> str:
    parts = [key.cluster] if place.cluster == EVERYWHERE else []
    if place.resource.namespaced and not place.namespace:
        parts.append(key.namespace)
    start = "".join(f"/{part}" for part in [*parts, key.name]) + ("\0" if after else "")
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parsed(place: Place, token: str) -> tuple[int, Key]:
    raw = b""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        content = json.loads(raw)
        parts = content["start"].split("/")[1:]
        name = parts.pop()
        namespace = parts.pop() if place.resource.namespaced and not place.namespace else place.namespace
        cluster = parts.pop() if place.cluster == EVERYWHERE else place.cluster
        return int(content["rv"]), Key(cluster, namespace, name)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, binascii.Error):
        first = chr(raw[0]) if raw else "?"
        what = f"continue key is not valid: invalid character '{first}' looking for beginning of value"
        raise Refused(bad_request(f"invalid continue token: {what}")) from None
