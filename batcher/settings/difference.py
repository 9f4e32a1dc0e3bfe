"""What a configuration says that the defaults, or another one, do not; and which of it only a restart can change."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import SecretStr

from batcher.settings.document import Settings
from batcher.settings.explain import every, plain_path, settings_tree, shown

_NAMED_BY = ("name", "directory", "path")
"""What an entry of a list is known by; other entries by their number."""


_ALWAYS = {"api_version", "kind"}


class Difference(NamedTuple):
    """A setting that differs, with both values as a file has them; empty: there is none."""

    path: str
    before: str
    after: str
    needs_restart: bool


def differences(before: Settings | None, after: Settings) -> list[Difference]:
    """Return what ``after`` says otherwise than ``before``, or than the defaults, in the order of the file."""
    known = {setting.path: setting for setting in every(settings_tree())}
    ours, theirs = dict(_leaves(before)) if before else {}, dict(_leaves(after))
    our_secrets, their_secrets = dict(_secrets(before)) if before else {}, dict(_secrets(after))
    found = []
    for path in dict.fromkeys([*theirs, *ours]):
        setting = known.get(plain_path(path))
        default = shown(setting.default) if setting and setting.has_default and not _is_new(path, ours, theirs) else ""
        was, now = ours.get(path, default), theirs.get(path, default)
        if was != now or our_secrets.get(path) != their_secrets.get(path):
            above = setting or known.get(plain_path(path).rpartition(".")[0])  # a key of a map
            found.append(Difference(path, was, now, needs_restart=above is not None and above.is_fixed))
    order = {path: place for place, path in enumerate(known)}
    return sorted(found, key=lambda difference: order.get(_top(difference.path), 0))


def _top(path: str) -> str:
    return plain_path(path).partition(".")[0]


def _is_new(path: str, ours: dict[str, str], theirs: dict[str, str]) -> bool:
    """Whether ``path`` is in an entry of a list that only one of both has: there, nothing is a default."""
    entry = path.rpartition("]")[0]
    return bool(entry) and any(not any(other.startswith(f"{entry}]") for other in said) for said in (ours, theirs))


def _leaves(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the path and value of all that differs from the defaults, which is left out here."""
    document = settings.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_ALWAYS)
    return ((path, shown(value)) for path, value in _flat(document, ""))


def _secrets(settings: Settings) -> Iterator[tuple[str, SecretStr]]:
    """Yield what is not shown: that it differs is."""
    document = settings.model_dump(by_alias=True, exclude_defaults=True, exclude=_ALWAYS)
    return ((path, value) for path, value in _flat(document, "") if isinstance(value, SecretStr))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, entry in enumerate(value):
            named = (
                next((entry[key] for key in _NAMED_BY if key in entry), number) if isinstance(entry, dict) else number
            )
            yield from _flat(entry, f"{path}[{named}]")
    else:
        yield path, value
