"""A configuration file with every setting at its default, explained line by line: to be read, and to begin one with."""

import json
import re
import textwrap
from collections.abc import Iterator

from batcher.settings.explain import Setting, settings_tree
from batcher.settings.text import read_yaml

_WIDTH = 100
_WORD = re.compile(r"[\w./][\w./-]*")
_HEAD = """\
Every setting of batcher with its default. A file needs apiVersion, kind, clusters and kcp, and what it changes.
What a list can hold is shown below it, as comment. BATCHER_PUBLISH__MAX_AGE=2h overrides publish.maxAge."""


def defaults() -> Iterator[str]:
    """Yield the lines of the file."""
    yield from (f"# {line}" for line in _HEAD.splitlines())
    for setting in settings_tree().children:
        yield ""
        yield from _block(setting)


def _block(setting: Setting) -> Iterator[str]:
    meaning = f"{setting.meaning}{' Required.' if setting.is_required else ''}"
    yield from (f"# {line}" for line in textwrap.wrap(meaning, _WIDTH, break_long_words=False))
    if setting.is_list and setting.alternatives:
        yield f"{setting.name}: []"
        for alternative in setting.alternatives:
            yield "# -"
            yield from _indented(alternative, "#   ")
    elif setting.is_map and setting.children:
        yield f"{setting.name}: {{}}"
        yield from _indented(setting.children, "#   ")
    elif setting.children and not setting.has_default:
        yield f"{setting.name}:"
        yield from _indented(setting.children, "  ")
    else:
        yield f"{setting.name}: {_value(setting)}"


def _indented(settings: tuple[Setting, ...], indent: str) -> Iterator[str]:
    return (f"{indent}{line}" for setting in settings for line in _block(setting))


def _value(setting: Setting) -> str:
    """JSON is YAML, and quotes what needs it; a word that means nothing else is left bare."""
    if not setting.has_default:
        return setting.kind if setting.path in {"apiVersion", "kind"} else f"<{setting.kind}>"
    text = json.dumps(setting.default, ensure_ascii=False)
    is_word = isinstance(setting.default, str) and _WORD.fullmatch(setting.default)
    return setting.default if is_word and read_yaml(setting.default) == setting.default else text
