"""From a file, ``BATCHER_*`` variables and flags to settings, or to all that is wrong with them at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from batcher.errors import ConfigError
from batcher.settings.document import Settings
from batcher.settings.environment import Override, from_environment, from_flags, from_gates
from batcher.settings.filtering import FilterRule
from batcher.settings.sources import HAS_DIRECTORY
from batcher.settings.text import NotYaml, read_yaml

API_VERSION = "batcher.kcp.io/v1alpha1"


def load(
    path: Path, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None, *, gates: str | None = None
) -> Settings:
    """Read ``path``, put ``BATCHER_*`` of ``environment`` and then ``flags`` over it, and validate all.

    ``BATCHER_BATCH__INTERVAL=2s`` sets ``batch.interval``; values are YAML. Flags are dotted paths
    (``batch.interval``); ``gates`` is that of the feature gates (``Name=true,Other=false``). Relative paths in the file
    are relative to the working directory, as kubectl's are.
    Raises :class:`ConfigError` with every problem.
    """
    problems: list[str] = []
    given = from_environment(environment, problems)
    overrides = [*given, *from_flags(flags or {}), *from_gates(gates, problems)]
    document = _read(path, problems)
    if document is None:
        raise ConfigError(problems, str(path))
    for override in overrides:
        _put(document, override, problems)
    try:
        settings = _validated(document)
    except ValidationError as error:
        raise ConfigError([*problems, *_problems(error, overrides)], str(path)) from None
    if problems:
        raise ConfigError(problems, str(path))
    return settings


def _read(path: Path, problems: list[str]) -> dict[str, Any] | None:
    """Return what the file says; None, and a problem in front of the others, if that is nothing."""
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.insert(0, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.insert(0, "cannot be read: not UTF-8 text")
    except NotYaml as error:
        problems.insert(0, str(error))
    else:
        if isinstance(document, dict):
            return document
        problems.insert(0, "the file must hold a mapping of settings")
    return None


def validate(document: Mapping[str, Any], source: str) -> Settings:
    """Return the settings that ``document`` holds, or raise :class:`ConfigError` with every problem."""
    try:
        return _validated(document)
    except ValidationError as error:
        raise ConfigError(_problems(error, ()), source) from None


def validate_rule(document: Mapping[str, Any], source: str) -> FilterRule:
    """Return the rule of the filter that ``document`` holds, or raise :class:`ConfigError` with every problem."""
    try:
        return FilterRule.model_validate(document)
    except ValidationError as error:
        raise ConfigError(_problems(error, ()), source) from None


def _validated(document: Mapping[str, Any]) -> Settings:
    entries = document.get("clusters")
    has_directory = isinstance(entries, list) and any(isinstance(e, dict) and "directory" in e for e in entries)
    return Settings.model_validate(document, context={HAS_DIRECTORY: has_directory})


def _put(document: dict[str, Any], override: Override, problems: list[str]) -> None:
    """Put a value into the document; null on the way is nothing yet, and anything else is in the way."""
    *above, last = override.keys
    for key in above:
        inner: Any = document.get(key)
        if inner is not None and not isinstance(inner, dict):
            problems.append(f"{'.'.join(override.keys)}: {key} is no mapping{_by(override)}")
            return
        document[key] = document = inner or {}
    document[last] = override.value


def _problems(error: ValidationError, overrides: Iterable[Override]) -> list[str]:
    """One line each: the path of the setting, what is wrong, and by whom it was given if not by the file."""
    given = {override.keys: override for override in overrides}
    found = []
    for each in error.errors():
        location = tuple(part for part in each["loc"] if not str(part).startswith("<"))
        above = [tuple(map(str, location[:length])) for length in range(len(location), 0, -1)]
        giver = next((given[keys] for keys in above if keys in given), None)
        found.append(f"{_path(location)}{_message(each)}{_by(giver) if giver else ''}")
    return found


def _by(override: Override) -> str:
    return f" ({override.giver})" if override.giver else ""


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return f"{path}: " if path else ""


def _message(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown setting"
    if error["type"] == "missing":
        return "required"
    message: str = error["msg"]
    return message.removeprefix("Value error, ")
