"""What a configuration says that the defaults, or another one, do not; and which of it only a restart can change."""

from collections.abc import Iterator
from typing import Any, NamedTuple

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
    found = []
    for path in dict.fromkeys([*theirs, *ours]):
        setting = known.get(plain_path(path))
        default = shown(setting.default) if setting and setting.has_default and not _is_new(path, ours, theirs) else ""
        was, now = ours.get(path, default), theirs.get(path, default)
        if was != now:
            found.append(Difference(path, was, now, needs_restart=setting is not None and setting.is_fixed))
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
    return _flat(document, "")


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
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
        yield path, shown(value)
