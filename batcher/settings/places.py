"""Patterns of workspaces: a path with ``*`` (one segment) and ``**`` (any), or a logical name. Fails closed."""

import re


def allowed(workspace: str, patterns: list[str]) -> bool:
    """Return whether ``workspace`` matches one of the path ``patterns``; fails closed on anything odd."""
    return any(re.fullmatch(_path_pattern(pattern), workspace) for pattern in patterns)


def anchored(pattern: str) -> str:
    """Return the regular expression, anchored, of a workspace ``pattern``."""
    return f"^(?:{_path_pattern(pattern)})$"


def _path_pattern(pattern: str) -> str:
    parts = re.split(r"(\*\*|\*)", pattern)
    wild = {"**": r"[a-z0-9:-]+", "*": r"[a-z0-9-]+"}
    return "".join(wild.get(part) or re.escape(part) for part in parts)
