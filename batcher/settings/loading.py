"""From a file, ``BATCHER_*`` variables and flags to settings, or to all that is wrong with them at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from batcher.errors import ConfigError
from batcher.settings.document import Settings

API_VERSION = "batcher.kcp.io/v1alpha1"
ENVIRONMENT_PREFIX = "BATCHER_"


def load(path: Path, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Settings:
    """Read ``path``, put ``BATCHER_*`` of ``environment`` and then ``flags`` over it, and validate all.

    ``BATCHER_BATCH__INTERVAL=2s`` sets ``batch.interval``; values are YAML. Flags are dotted paths
    (``batch.interval``). Relative paths in the file are relative to the working directory, as kubectl's are.
    Raises :class:`ConfigError` with every problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError([f"cannot be read: {reason}"], str(path)) from None
    document = _yaml(text, "", str(path))
    if not isinstance(document, dict):
        raise ConfigError(["the file must hold a mapping of settings"], str(path))
    for keys, value in [*_from_environment(environment), *_from_flags(flags or {})]:
        _put(document, keys, value)
    return validate(document, str(path))


def _yaml(text: str, name: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # a date that is none is a ValueError
        where = f"{name}: " if name else ""
        raise ConfigError([f"{where}not YAML: {' '.join(str(error).split())}"], source) from None


def validate(document: Mapping[str, Any], source: str) -> Settings:
    """Return the settings that ``document`` holds, or raise :class:`ConfigError` with every problem."""
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        problems = [f"{_path(e['loc'])}{_message(e)}" for e in error.errors()]
        raise ConfigError(problems, source) from None


def _from_environment(environment: Mapping[str, str]) -> list[tuple[list[str], Any]]:
    names = sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and "__" in name)
    found: list[tuple[list[str], Any]] = [
        ([to_camel(part.lower()) for part in name.removeprefix(ENVIRONMENT_PREFIX).split("__")],
         _yaml(environment[name], name, "environment"))
        for name in names
    ]  # fmt: skip
    data_dir = environment.get(f"{ENVIRONMENT_PREFIX}DATA_DIR")
    return [*found, (["dataDir"], data_dir)] if data_dir else found


def _from_flags(flags: Mapping[str, Any]) -> list[tuple[list[str], Any]]:
    return [(name.split("."), value) for name, value in flags.items() if value is not None]


def _put(document: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = document.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = document[key] = {}
        document = inner
    document[keys[-1]] = value


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
