"""YAML as a configuration may be written: plain values, and no key twice. Nothing here knows a setting."""

from collections.abc import Hashable, Iterator
from typing import Any

import yaml


class NotYaml(ValueError):  # noqa: N818  named by what the text is
    """The text is no YAML, or says one thing twice; the message says where."""


class _Loader(yaml.SafeLoader):
    """YAML lets the last of two equal keys win, silently; whoever writes both means something else."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[dict[Hashable, Any]]:
    """As the SafeLoader makes it, which knows anchors that lead to themselves; but no key is given twice."""
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
    made: dict[Hashable, Any] = {}
    yield made
    made.update(loader.construct_mapping(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(text: str) -> Any:
    """Return what ``text`` says. Raises :class:`NotYaml`."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        message = f"not YAML: {' '.join(_said(error).split())}"
        raise NotYaml(message) from None


def _said(error: Exception) -> str:
    """What is wrong, and where; what stands there is left out, for it may be a secret."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    mark = error.problem_mark
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{error.context or ''} {error.problem or ''}{where}"
