"""Patterns of workspaces: a path with ``*`` (one segment) and ``**`` (any), or a logical name. Fails closed.

A name may be what a tenant wrote into a Namespace, so it meets no engine that backtracks: what a batch asks is asked of
polars (:func:`anchored`), and what is asked of one name is answered here in time linear in it (:func:`allowed`).
"""

import functools
import re
from collections.abc import Sequence

_WILD = {"**": "a-z0-9:-", "*": "a-z0-9-"}
"""What of a name each stands for, one character or more; as a class of characters."""
_MEMBERS = {
    part: frozenset(char for char in map(chr, range(128)) if re.match(f"[{members}]", char))
    for part, members in _WILD.items()
}
_Atom = tuple[frozenset[str], bool]
"""Characters, of which there is one, or one and more."""


def allowed(workspace: str, patterns: Sequence[str]) -> bool:
    """Return whether ``workspace`` matches one of the path ``patterns``; fails closed on anything odd."""
    return any(_matches(workspace, _atoms(pattern)) for pattern in patterns)


def _matches(workspace: str, atoms: Sequence[_Atom]) -> bool:
    """Follow every way through ``atoms`` at once; ``reached`` are those that may come next."""
    reached = {0}
    for char in workspace:
        here = {place for place in reached if place < len(atoms) and char in atoms[place][0]}
        reached = {place + 1 for place in here} | {place for place in here if atoms[place][1]}
        if not reached:
            return False
    return len(atoms) in reached


@functools.lru_cache(1024)
def _atoms(pattern: str) -> tuple[_Atom, ...]:
    parts = _parts(pattern)
    return tuple(
        atom
        for part in parts
        for atom in ([(_MEMBERS[part], True)] if part in _MEMBERS else [(frozenset(char), False) for char in part])
    )


def anchored(pattern: str) -> str:
    """Return the regular expression, anchored, of a workspace ``pattern``."""
    wild = {part: f"[{members}]+" for part, members in _WILD.items()}
    return f"^(?:{''.join(wild.get(part) or re.escape(part) for part in _parts(pattern))})$"


def _parts(pattern: str) -> list[str]:
    return re.split(r"(\*\*|\*)", pattern)
