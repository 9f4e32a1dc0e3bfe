"""Which rows a rule is for: one form for all rules on rows."""

from typing import Literal

from batcher.settings.values import Model, ObjectGlob, Pattern

SeverityName = Literal["normal", "warning", "critical"]


class Match(Model):
    """Which rows a rule is for: those that match all of what is given. Globs know ``*`` and ``?``."""

    severity: list[SeverityName] = []
    """``critical`` are the reasons of ``severity.critical`` and the built-in ones, ``warning`` other Warnings."""
    types: list[str] = []
    """Types of Events, such as Warning, in any case."""
    reasons: list[str] = []
    """Globs of reasons."""
    namespaces: list[str] = []
    """Globs of downstream namespaces."""
    objects: list[ObjectGlob] = []
    """Globs ``kind/name`` of what Events are about, as they name it: ``Pod/web-*``, ``*/web-*``, ``node/*``."""
    clusters: list[str] = []
    """Globs of clusters' names."""
    labels: dict[str, str] = {}
    """Of clusters: those that have all of them."""
    workspaces: list[str] = []
    """Where rows are mapped to, as in ``kcp.workspaces``."""
    message: Pattern | None = None
    """A regular expression (RE2 syntax: no look-around, no back-references), found anywhere in the message."""
