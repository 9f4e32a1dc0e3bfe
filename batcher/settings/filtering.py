"""Which rows are told to nobody."""

from typing import Literal

from pydantic import Field

from batcher.settings.matching import Match, SeverityName
from batcher.settings.values import ClusterName, Model


class FilterRule(Model):
    """A rule; the first in the file's order that matches a row decides what becomes of it."""

    name: ClusterName
    """What verdicts, counts and metrics call it: they go on under it when the rest of the rule changes."""
    action: Literal["drop", "keep", "shadow"]
    """``drop``: archived, and told to nobody. ``keep``: told, whatever later rules or the other settings of ``filter``
    say. ``shadow``: only counted, as if it dropped; later rules are asked as if it were not there."""
    match: Match = Match()
    """Which rows it is for; without it, all."""


class Filter(Model):
    """What is told to nobody; it is archived all the same, with the name of the rule."""

    minimum_severity: SeverityName = "normal"
    """What is less severe is dropped, unless a rule keeps it."""
    include_types: list[str] = []
    """Other types of Events are dropped, unless a rule keeps them; none: all types pass."""
    exclude_types: list[str] = []
    """These types of Events are dropped, unless a rule keeps them."""
    rules: list[FilterRule] = Field(default=[], max_length=500)
    """Asked in this order, before the three settings above."""
