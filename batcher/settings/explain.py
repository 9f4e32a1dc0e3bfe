"""What each setting is, for people who look it up: type, default, meaning and what is below it, as the schema has them.

``kubectl explain`` is the model. Nothing here knows a setting by name.
"""

import difflib
import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from batcher.errors import UsageError
from batcher.settings.document import FIXED
from batcher.settings.environment import variable_of
from batcher.settings.schema import Schema, file_schema
from batcher.settings.values import DURATION_FORMAT, SIZE_FORMAT

_WIDTH = 79
_FORMS = {
    DURATION_FORMAT: "as in 500ms, 30s, 5m, 1h30m or 30d",
    SIZE_FORMAT: "bytes, or as in 500MiB, 10GiB or 2GB",
}
_NONE = object()


class Setting(NamedTuple):
    """A setting: its name in the file, and all that is known of it."""

    path: str
    """Dotted; entries of lists are left out: ``clusters.name``."""
    kind: str
    meaning: str
    is_required: bool
    form: str = ""
    """How its value is written, where that is not obvious."""
    default: Any = _NONE
    alternatives: "tuple[tuple[Setting, ...], ...]" = ()
    """What is below it: of a list, below each kind of its entries; else there is one."""
    is_list: bool = False
    is_map: bool = False
    """Whether what is below it need not be there: a file that leaves it out follows the defaults."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition(".")[2]

    @property
    def children(self) -> "tuple[Setting, ...]":
        """What is below it, each name once."""
        named: dict[str, Setting] = {}
        for alternative in self.alternatives:
            for child in alternative:
                named.setdefault(child.name, child)
        return tuple(named.values())

    @property
    def has_default(self) -> bool:
        """Whether it has a value where the file says none."""
        return self.default is not _NONE

    @property
    def is_fixed(self) -> bool:
        """Whether only a restart changes it."""
        return any(f"{self.path}.".startswith(f"{fixed}.") for fixed in FIXED)


def settings_tree() -> Setting:
    """Return the whole file."""
    schema = file_schema()
    return _setting(schema, schema, "", is_required=True)


def every(setting: Setting) -> Iterator[Setting]:
    """Yield all that is below ``setting``, in the file's order."""
    for child in setting.children:
        yield child
        yield from every(child)


def plain_path(path: str) -> str:
    """Return ``path`` without the entries of lists: ``clusters[0].name`` is ``clusters.name``."""
    return re.sub(r"\[[^\]]*\]", "", path)


def explained(path: str) -> list[str]:
    """Return lines on the setting ``path``, or on the whole file for an empty one.

    Raises :class:`UsageError` with the nearest names if there is none.
    """
    tree = settings_tree()
    wanted = plain_path(path)
    if not wanted:
        return _below(tree)
    known = {setting.path: setting for setting in every(tree)}
    if wanted not in known:
        raise UsageError(_unknown(path, list(known)))
    setting = known[wanted]
    return [*_about(setting), *(["", *_below(setting)] if setting.children else [])]


def _about(setting: Setting) -> list[str]:
    variable = variable_of(setting.path)
    facts = {
        "Default": shown(setting.default) if setting.has_default else "",
        "Required": "yes" if setting.is_required else "",
        "Written": setting.form,
        "Variable": variable,
        "Changes": "with a restart" if setting.is_fixed else "in the running service",
    }
    return [
        f"{setting.path}   <{setting.kind}>",
        "",
        *_wrapped(setting.meaning, "  "),
        "",
        *(line for name, value in facts.items() if value for line in _fact(name, value)),
    ]


def _fact(name: str, value: str) -> list[str]:
    first, *others = _wrapped(value, " " * 12)
    return [f"  {name + ':':<10}{first.lstrip()}", *others]


def _below(setting: Setting) -> list[str]:
    lines: list[str] = []
    for number, alternative in enumerate(setting.alternatives):
        title = (
            "FIELDS"
            if len(setting.alternatives) == 1
            else "FIELDS, of one kind"
            if not number
            else "FIELDS, of another"
        )
        lines += [*([""] if number else []), title]
        for child in alternative:
            value = "required" if child.is_required else shown(child.default) if child.has_default else ""
            fact = f"  {child.name}   <{child.kind}>"
            fits = len(fact) + len(value) < _WIDTH - 3
            lines += [f"{fact}   {value}".rstrip()] if fits else [fact, *_wrapped(value, "    ")]
            lines += _wrapped(child.meaning, "    ")
    return lines


def shown(value: Any) -> str:
    """Return a value as a file would have it, on one line."""
    return value if isinstance(value, str) and value and value.isprintable() else json.dumps(value, ensure_ascii=False)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _unknown(path: str, known: list[str]) -> str:
    lowered = {name.lower(): name for name in known}
    wanted = plain_path(path).lower()
    near = [lowered[name] for name in difflib.get_close_matches(wanted, lowered, n=3)]
    near += [
        name for name in known if name.lower().rpartition(".")[2] == wanted.rpartition(".")[2] and name not in near
    ]
    hint = f"; near: {', '.join(near[:4])}" if near else "; see: batcher config explain"
    return f"explain: {path!r} is no setting{hint}"


def _setting(schema: Schema, part: Schema, path: str, *, is_required: bool) -> Setting:
    resolved = _resolved(schema, part)
    entries = _resolved(schema, resolved["items"]) if "items" in resolved else resolved
    kinds = [_resolved(schema, each) for each in entries.get("oneOf", [entries])]
    return Setting(
        path,
        _kind(schema, resolved),
        resolved.get("description", ""),
        is_required,
        form=_FORMS.get(resolved.get("format", ""), ""),
        default=resolved.get("default", _NONE),
        alternatives=tuple(_properties(schema, kind, path) for kind in kinds if "properties" in kind),
        is_list="items" in resolved,
        is_map="items" not in resolved and resolved.get("default") == {},
    )


def _properties(schema: Schema, part: Schema, path: str) -> tuple[Setting, ...]:
    required = part.get("required", ())
    below = f"{path}." if path else ""
    found = [_setting(schema, each, f"{below}{n}", is_required=n in required) for n, each in part["properties"].items()]
    return tuple(sorted(found, key=lambda setting: not setting.is_required) if path else found)


def _resolved(schema: Schema, part: Schema) -> Schema:
    """``part`` with what it refers to; a value that may be null is what it is otherwise."""
    choices = [choice for choice in part.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        part = {**choices[0], **{key: value for key, value in part.items() if key != "anyOf"}}
    if "$ref" not in part:
        return part
    return {**schema["$defs"][part["$ref"].rpartition("/")[2]], **part}


def _kind(schema: Schema, part: Schema) -> str:
    if "items" in part:
        return f"list of {_kind(schema, _resolved(schema, part['items']))}"
    if "oneOf" in part:
        return " or ".join(dict.fromkeys(_kind(schema, _resolved(schema, each)) for each in part["oneOf"]))
    if "enum" in part or "const" in part:
        return " | ".join(part.get("enum", [part.get("const")]))
    if isinstance(part.get("additionalProperties"), dict):
        return f"map of {_kind(schema, part['additionalProperties'])}"
    return str(part.get("format", part.get("type")))
