"""Which rows are told elsewhere, or to nobody, and how bad each is."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from batcher.settings.matching import Match
from batcher.settings.values import ClusterName, Model


class Place(Model):
    """A place other than the mapped one; without ``workspace``, another namespace of it."""

    workspace: str | None = None
    """Must be among ``kcp.workspaces``; without, the mapped one."""
    namespace: str = "default"
    """The namespace there."""


def _kind(said: Any) -> str:
    return "<word>" if isinstance(said, str) else "<place>"


Target = Annotated[
    Annotated[Literal["mapped", "archive"], Tag("<word>")] | Annotated[Place, Tag("<place>")], Discriminator(_kind)
]
"""A tag is never shown: it is no part of the path of a setting."""


class Route(Model):
    """Where rows go; every route that matches applies, and what none matches goes where it is mapped."""

    name: ClusterName
    """How it is called in the archive. Unique."""
    match: Match = Match()
    to: list[Target] = Field(min_length=1)
    """``mapped``: where it is mapped; a place: there as well, or instead; ``archive`` alone: nobody is told."""


class Severity(Model):
    """Reasons that are critical, whatever their type, beside the built-in ones."""

    critical: list[str] = []
    """Reasons, spelt as they are in Events."""
