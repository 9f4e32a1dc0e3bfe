"""Render the templates of ``deploy/chart`` without Helm: the little of its language that they use, and no more.

So that the manifests can be made and tested by whoever has Python alone. What is not known raises: a template that
this cannot read is one that has to become simpler. Where Helm is installed, a test compares it with this.

Known: ``{{ }}`` with trimming, ``if``/``else``/``range``/``with``/``define``/``include``, paths (``.Values.a``,
``.Files.Get``, ``$``), literals, parentheses, pipes, and the functions of :data:`_FUNCTIONS`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_ACTION = re.compile(r"(\s*)\{\{(-)?\s*(/\*.*?\*/|.*?)\s*(-)?\}\}", re.DOTALL)
_WORD = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[()|]|[^\s()|]+)')


_AS_FLOAT = 1_000_000
"""Numbers of a values file are floats to Helm, and from here on print as 1e+06."""


class Whole(int):
    """A number that Helm knows to be whole."""


class UnknownError(Exception):
    """What is written there is not part of the language that is known here."""


class Text(NamedTuple):
    """Text that stands for itself."""

    text: str


@dataclass
class Block:
    """An action: its word (``=`` for one that prints), its argument, and what is in it if it ends with ``end``."""

    word: str
    argument: str
    body: "list[Text | Block]" = field(default_factory=list)
    otherwise: "list[Text | Block]" = field(default_factory=list)


Node = Text | Block


def parse(source: str) -> list[Node]:
    """Return ``source`` as a tree."""
    root = Block("root", "")
    stack: list[tuple[Block, list[Node]]] = [(root, root.body)]
    position, trims = 0, False
    for found in _ACTION.finditer(source):
        before = source[position : found.start()]
        blank, left, action, right = found.groups()
        text = before + ("" if left else blank)
        stack[-1][1].append(Text(text.lstrip() if trims and text.strip() else "" if trims else text))
        position, trims = found.end(), bool(right)
        if not action.startswith("/*"):
            _act(stack, action)
    rest = source[position:]
    stack[-1][1].append(Text(rest.lstrip() if trims else rest))
    if len(stack) != 1:
        message = f"no end of {stack[-1][0].word} {stack[-1][0].argument}"
        raise UnknownError(message)
    return root.body


def _act(stack: list[tuple[Block, list[Node]]], action: str) -> None:
    word, _, argument = action.partition(" ")
    if word in {"if", "range", "with", "define"}:
        block = Block(word, argument.strip())
        stack[-1][1].append(block)
        stack.append((block, block.body))
    elif word == "else" and not argument:
        block, _ = stack.pop()
        stack.append((block, block.otherwise))
    elif word == "end":
        stack.pop()
    else:
        stack[-1][1].append(Block("=", action))


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=True, default_flow_style=False, width=2**31).rstrip("\n")


def _indent(spaces: int, text: str) -> str:
    return "\n".join(" " * spaces + line for line in text.split("\n"))


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "default": lambda given, value=None: value or given,
    "eq": lambda left, right: left == right,
    "has": lambda item, items: item in (items or []),
    "indent": _indent,
    "int64": lambda value: Whole(int(value)),
    "ne": lambda left, right: left != right,
    "nindent": lambda spaces, text: "\n" + _indent(spaces, text),
    "not": lambda value: not value,
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "printf": lambda form, *values: form.replace("%v", "%s") % values,
    "quote": lambda value: '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"',
    "replace": lambda old, new, text: text.replace(old, new),
    "toYaml": _yaml,
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
}


class Chart:
    """A chart's folder, and what its templates make of values."""

    def __init__(self, folder: Path) -> None:
        """Read the chart in ``folder``."""
        self._folder = folder
        self.about = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
        self.defaults = yaml.safe_load((folder / "values.yaml").read_text(encoding="utf-8"))
        self._sources = {path.name: parse(path.read_text(encoding="utf-8")) for path in self.templates}
        self._defined = {
            node.argument.strip('"'): node.body
            for nodes in self._sources.values()
            for node in nodes
            if isinstance(node, Block) and node.word == "define"
        }

    @property
    def templates(self) -> list[Path]:
        """The files of the templates, in order."""
        return sorted(path for path in (self._folder / "templates").iterdir() if path.suffix in {".yaml", ".tpl"})

    def render(self, values: Mapping[str, Any], *, release: str, namespace: str) -> dict[str, str]:
        """Return what each template becomes with ``values`` over the defaults; what is empty is left out."""
        said = merged(self.defaults, values)
        about = {name[0].upper() + name[1:]: value for name, value in self.about.items()}
        root = {"Values": said, "Chart": about, "Release": {"Name": release, "Namespace": namespace, "Service": "Helm"}}
        made = {name: self._all(nodes, root, root) for name, nodes in self._sources.items() if name.endswith(".yaml")}
        return {name: text.strip("\n") + "\n" for name, text in made.items() if text.strip()}

    def _all(self, nodes: Sequence[Node], dot: Any, root: Any) -> str:
        return "".join(node.text if isinstance(node, Text) else self._one(node, dot, root) for node in nodes)

    def _one(self, block: Block, dot: Any, root: Any) -> str:
        if block.word == "define":
            return ""
        value = self._pipe(block.argument, dot, root)
        if block.word == "=":
            return _printed(value)
        if not value:
            return self._all(block.otherwise, dot, root)
        if block.word == "range":
            return "".join(self._all(block.body, item, root) for item in value)
        return self._all(block.body, value if block.word == "with" else dot, root)

    def _pipe(self, expression: str, dot: Any, root: Any) -> Any:
        words = _WORD.findall(expression)
        value = self._piped(words, dot, root)
        if words:
            message = f"what is {words[0]!r} in {expression!r}?"
            raise UnknownError(message)
        return value

    def _piped(self, words: list[str], dot: Any, root: Any) -> Any:
        """Read words up to a closing parenthesis or the end; those that were read are removed."""
        result: list[Any] = []
        while True:
            result = [self._command(words, dot, root, result)]
            if not words or words[0] == ")":
                return result[0]
            words.pop(0)

    def _command(self, words: list[str], dot: Any, root: Any, piped: list[Any]) -> Any:
        name = words[0] if words else ""
        known = name in _FUNCTIONS or name in {"include", ".Files.Get"}
        if known:
            words.pop(0)
        values = []
        while words and words[0] not in {"|", ")"}:
            values.append(self._value(words, dot, root))
        values += piped
        if name == "include":
            return self._all(self._defined[values[0]], values[1], root).strip("\n")
        if name == ".Files.Get":
            return (self._folder / values[0]).read_text(encoding="utf-8")
        if known:
            return _FUNCTIONS[name](*values)
        if len(values) != 1:
            message = f"{name!r} is no function that is known"
            raise UnknownError(message)
        return values[0]

    def _value(self, words: list[str], dot: Any, root: Any) -> Any:
        word = words.pop(0)
        if word == "(":
            value = self._piped(words, dot, root)
            words.pop(0)
            return value
        if word.startswith('"'):
            return word[1:-1].replace('\\"', '"')
        if word.isdecimal():
            return int(word)
        if word in {"true", "false"}:
            return word == "true"
        if word[0] in ".$":
            return _looked_up(root if word[0] == "$" else dot, word.lstrip("$."))
        message = f"what is {word!r}?"
        raise UnknownError(message)


def _looked_up(value: Any, path: str) -> Any:
    """Follow ``path``; what is not there is nothing, as in Helm, but nothing has no parts."""
    for name in path.split(".") if path else []:
        value = value.get(name)
    return value


def _printed(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and not isinstance(value, Whole) and value >= _AS_FLOAT:
        message = f"{value} would be printed as Go prints a float: use int64"
        raise UnknownError(message)
    return "" if value is None else str(value)


def merged(defaults: Any, changes: Any) -> Any:
    """Return ``changes`` over ``defaults``, maps by their keys, as Helm does; null takes a key away."""
    if not (isinstance(defaults, dict) and isinstance(changes, dict)):
        return changes
    both = {name: merged(defaults.get(name), value) for name, value in changes.items()}
    return {name: value for name, value in {**defaults, **both}.items() if value is not None or name not in changes}
