"""Which path and which logical cluster's name are one workspace, as far as kcp has said so.

Learned from answers only, never from what clusters say: a name that leads to another workspace would show it
one tenant's Events. Bounded, and never on disk: what is forgotten is learned again by the next answer.
"""

import functools
import re
from collections import OrderedDict

REMEMBERED = 10_000
"""Workspaces; a kcp with more of them learns some names twice."""
_LOGICAL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""kcp's own pattern; also what a label value may hold."""


@functools.lru_cache(maxsize=REMEMBERED)
def is_logical(name: str) -> bool:
    """Whether ``name`` is a logical cluster's: kcp takes it for one when it has no colon (``root`` is both)."""
    return _LOGICAL.fullmatch(name) is not None


class Names:
    """Paths and logical names, one to one."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        """Know nothing; keep at most ``remembered`` pairs."""
        self._remembered = remembered
        self._logical: OrderedDict[str, str] = OrderedDict()
        self._path: dict[str, str] = {}

    def logical(self, path: str) -> str:
        """Return the logical name of ``path``, or an empty text."""
        return self._logical.get(path, "")

    def path(self, logical: str) -> str:
        """Return the path of the logical cluster, or an empty text."""
        return self._path.get(logical, "")

    def learn(self, path: str, logical: str) -> None:
        """Remember that ``logical`` is what ``path`` leads to now.

        What is no name is not learned, nor a name that another path leads to: one of them would be wrong.
        """
        if self._logical.get(path) == logical:
            self._logical.move_to_end(path)
            return
        if not is_logical(logical) or is_logical(path) or self._path.get(logical, path) != path:
            return
        self.forget(path)
        self._logical[path] = logical
        self._path[logical] = path
        if len(self._logical) > self._remembered:
            self.forget(next(iter(self._logical)))

    def forget(self, path: str) -> None:
        """Forget the logical name of ``path``: the workspace there may be another by now."""
        logical = self._logical.pop(path, None)
        if logical is not None:
            del self._path[logical]
