"""Which rows are told elsewhere, or to nobody, and how bad each is."""

from typing import Literal

from pydantic import Field

from batcher.settings.values import ClusterName, Model


class RouteMatch(Model):
    """Which rows a route is for: those that match all of what is given. Globs know ``*`` and ``?``."""

    severity: list[Literal["normal", "warning", "critical"]] = []
    types: list[str] = []
    reasons: list[str] = []
    namespaces: list[str] = []
    """Globs of downstream namespaces."""
    clusters: list[str] = []
    labels: dict[str, str] = {}
    """Of clusters: those that have all of them."""
    workspaces: list[str] = []
    """Where rows are mapped to, as in ``kcp.workspaces``."""


class Place(Model):
    """A place other than the mapped one; without ``workspace``, another namespace of it."""

    workspace: str | None = None
    namespace: str = "default"


class Route(Model):
    """Where rows go; every route that matches applies, and what none matches goes where it is mapped."""

    name: ClusterName
    match: RouteMatch = RouteMatch()
    to: list[Literal["mapped", "archive"] | Place] = Field(min_length=1)
    """``archive`` alone: nobody is told."""


class Severity(Model):
    """Reasons that are critical, whatever their type, beside the built-in ones."""

    critical: list[str] = []
