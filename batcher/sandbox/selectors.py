"""Field and label selectors of lists and watches, as far as kubectl and clients use them.

Pure: text in, a predicate over decoded objects out. Set-based label selectors are refused, not ignored.
"""

from collections.abc import Callable
from typing import Any

from batcher.sandbox.resources import EVENTS, Resource
from batcher.sandbox.status import Refused, bad_request

Predicate = Callable[[dict[str, Any]], bool]

EVENT_FIELDS = frozenset({
    "involvedObject.apiVersion", "involvedObject.fieldPath", "involvedObject.kind", "involvedObject.name",
    "involvedObject.namespace", "involvedObject.resourceVersion", "involvedObject.uid", "reason",
    "reportingComponent", "source", "type",
})  # fmt: skip
"""What kube-apiserver can select Events by (``kubectl describe`` uses name, namespace, kind and uid)."""
OBJECT_FIELDS = frozenset({"metadata.name", "metadata.namespace"})


def field_selector(resource: Resource, text: str) -> Predicate | None:
    """Parse ``a.b=x,c!=y``; None for the empty selector. Raises Refused (400) for a field unknown."""
    known = OBJECT_FIELDS | (EVENT_FIELDS if resource is EVENTS else frozenset())
    terms = [_term(part) for part in text.split(",") if part]
    for path, _, _ in terms:
        if path not in known:
            raise Refused(bad_request(f'field label not supported: "{path}"'))
    return _all(terms, _field) if terms else None


def label_selector(text: str) -> Predicate | None:
    """Parse ``a=x,b!=y,c,!d``; None for the empty selector. Raises Refused (400) for set-based terms."""
    if "(" in text:
        raise Refused(bad_request(f"set-based requirements are not simulated: {text}"))
    terms = [_label_term(part.strip()) for part in text.split(",") if part]
    return _all(terms, _label) if terms else None


def _term(part: str) -> tuple[str, bool, str | None]:
    negative = "!=" in part
    name, found, value = part.partition("!=" if negative else "=")
    if not found:
        raise Refused(bad_request(f"invalid selector: '{part}'; can't understand '{part}'"))
    return name.strip(), not negative, value.removeprefix("=").strip()


def _label_term(part: str) -> tuple[str, bool, str | None]:
    """Return (name, whether it should match, value); value None asks for presence."""
    if "=" in part:
        return _term(part)
    return part.removeprefix("!"), not part.startswith("!"), None


def _all(terms: list[tuple[str, bool, str | None]], read: Callable[[dict[str, Any], str], str | None]) -> Predicate:
    def holds(decoded: dict[str, Any]) -> bool:
        return all(_holds(read(decoded, name), value) is wanted for name, wanted, value in terms)

    return holds


def _holds(found: str | None, value: str | None) -> bool:
    return found is not None if value is None else found == value


def _field(decoded: dict[str, Any], path: str) -> str:
    if path == "source":
        return str(decoded.get("source", {}).get("component", ""))
    found: Any = decoded
    for part in path.split("."):
        found = found.get(part, "") if isinstance(found, dict) else ""
    return str(found)


def _label(decoded: dict[str, Any], name: str) -> str | None:
    labels: dict[str, str] = decoded["metadata"].get("labels") or {}
    return labels.get(name)
