"""``BATCHER_*`` variables and flags, each as the path of a setting with its value.

``BATCHER_BATCH__INTERVAL=2s`` is ``batch.interval``; values are YAML. Every variable of ours must be a setting, or one
that a command reads itself: a name that is misspelt is told, not left without effect. Nothing here reads a file.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from batcher.settings.document import Settings
from batcher.settings.text import NotYaml, read_yaml

PREFIX = "BATCHER_"
READ_ELSEWHERE = frozenset({"CONFIG", "DEMO_DURATION", "KCP_KUBECONFIG"})
"""What commands and tests read themselves."""
_SERVICE = re.compile(r"([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)")
"""What kubelet tells a Pod of Services that are called ``batcher`` or ``batcher-...``: none of ours."""
_PLAIN = "DATA_DIR"
"""A path, and no YAML: a directory may be called ``1``."""


class Override(NamedTuple):
    """A setting that is given over the file's, and who gives it."""

    keys: tuple[str, ...]
    value: Any
    giver: str
    """The name of the variable or flag."""


def from_environment(environment: Mapping[str, str], problems: list[str]) -> Iterator[Override]:
    """Yield what ``environment`` overrides; add to ``problems`` what is none of it."""
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in READ_ELSEWHERE:
            continue
        keys = _keys(name)
        if not keys:
            problems += [] if _SERVICE.fullmatch(name) else [f"{variable}: {_unknown(name)}"]
            continue
        try:
            value = environment[variable] if name == _PLAIN else read_yaml(environment[variable])
        except NotYaml as error:
            problems.append(f"{variable}: {error}")
        else:
            if name != _PLAIN or value:
                yield Override(keys, value, variable)


def from_flags(flags: Mapping[str, Any]) -> Iterator[Override]:
    """Yield what ``flags`` (dotted paths) override; None is a flag that was not given."""
    for path, value in flags.items():
        if value is not None:
            yield Override(tuple(path.split(".")), value, "")


def from_gates(flag: str | None, problems: list[str]) -> Iterator[Override]:
    """Yield what ``--feature-gates=Name=true,Other=false`` overrides; add to ``problems`` what is not like that."""
    for part in (flag or "").split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name and value.lower() in {"true", "false"}:
            yield Override(("featureGates", name), value.lower() == "true", "--feature-gates")
        elif part.strip():
            problems.append(f"--feature-gates: {part.strip()!r} is neither Name=true nor Name=false")


def variable_of(path: str) -> str:
    """Return the variable that gives the setting ``path``, such as ``BATCHER_BATCH__INTERVAL``; empty if none can.

    An entry of a list has none: a list is given as a whole.
    """
    keys = tuple(path.split("."))
    return next((PREFIX + name for name, known in _PATHS.items() if known.keys == keys), "")


def _keys(name: str) -> tuple[str, ...]:
    """The path of the setting that a variable gives, empty if none; a key of a map is spelt as it is."""
    head, _, key = name.rpartition("__")
    known, above = _PATHS.get(name.upper()), _PATHS.get(head.upper())
    if known:
        return known.keys
    return (*above.keys, key) if above and above.is_map and key else ()


def _unknown(name: str) -> str:
    """What to say of a variable that gives no setting: its path as far as it can be guessed, and what is near."""
    path = ".".join(to_camel(part.lower()) for part in name.split("__"))
    near = difflib.get_close_matches(name, _PATHS, n=1)
    return f"{path}: unknown setting{f'; did you mean {PREFIX}{near[0]}?' if near else ''}"


class _Known(NamedTuple):
    keys: tuple[str, ...]
    is_map: bool


def _paths(model: type[BaseModel], above: str = "", keys: tuple[str, ...] = ()) -> Iterator[tuple[str, _Known]]:
    """Every setting outside of lists, by the name of its variable; one of a single word is called as in the file."""
    for name, field in model.model_fields.items():
        alias = field.alias or name
        own = f"{above}{alias if alias.islower() else name}".upper()
        kinds = get_args(field.annotation) or (field.annotation,)
        yield own, _Known((*keys, alias), is_map=get_origin(field.annotation) is dict)
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel) and get_origin(field.annotation) is not list:
                yield from _paths(kind, f"{own}__", (*keys, alias))


_PATHS = dict(_paths(Settings))
