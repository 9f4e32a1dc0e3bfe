"""How rows become summaries, and how summaries look."""

from datetime import timedelta
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from batcher import kinds
from batcher.settings.values import ClusterName, Duration, FreeKey, KindName, LabelValue, Model, Pattern

_ANNOTATIONS_BYTES = 64 * 1024
KeyColumn = Literal["object", "type", "reason", "template"]
KEY: tuple[KeyColumn, ...] = get_args(KeyColumn)
"""All columns of ``aggregation.key``."""
_NEEDED = KEY[:3]
_KEY_SCHEMA = {
    "type": "array",
    "items": {"type": "string", "enum": [*KEY]},
    "uniqueItems": True,
    "allOf": [{"contains": {"const": name}} for name in _NEEDED],
}


class Aggregation(Model):
    """Sessions: how long a silence ends one, how long a row of the archive's ``summaries`` may be; and how many."""

    window: Duration = timedelta(minutes=5)
    """After so much silence a summary ends. When it changes, all that is open ends, and begins anew."""
    max_duration: Duration = timedelta(hours=1)
    """A session that goes on has a row in the archive for each such piece. When it changes, all that is open ends."""
    key: Annotated[list[KeyColumn], WithJsonSchema(_KEY_SCHEMA)] = list(KEY)
    """What rows have in common that are one summary, beside cluster and namespace. ``object``, ``type`` and ``reason``
    cannot be left out, for an Event has one of each; without ``template``, whatever is said of them is one summary,
    which has its newest message. When it changes, all that is open ends, and begins anew."""
    max_aggregated_events: int = Field(default=500, ge=1)
    """Summaries of their own per cluster namespace and clock hour, normal ones and warnings each; later ones are told
    together, by reason."""

    @field_validator("key")
    @classmethod
    def _names_a_summary(cls, key: list[KeyColumn]) -> list[KeyColumn]:
        if missing := [name for name in _NEEDED if name not in key]:
            message = f"{', '.join(missing)}: cannot be left out, for an Event has one; only template can"
            raise ValueError(message)
        if len(set(key)) != len(key):
            message = "names a column twice"
            raise ValueError(message)
        return [name for name in KEY if name in key]


class Redaction(Model):
    """Text that is taken out wherever it stands in the texts of Events."""

    name: ClusterName
    """For people."""
    pattern: Pattern
    """A regular expression (RE2 syntax: no look-around, no back-references) of what is taken out."""
    replace: str = Field(default="***", max_length=64)
    """What stands there instead. ``$1`` or ``${1}`` is what the first group found, ``$$`` is a dollar."""
    at: Literal["spool", "archive", "publish"]
    """``spool``: before anything reaches the disk, in all texts of an Event. ``archive``: in the messages of the
    archive's tables; workspaces and files of the data directory have the original. ``publish``: in the messages that
    are written to workspaces, and nowhere else."""

    @model_validator(mode="after")
    def _finds_something(self) -> Self:
        import polars as pl  # noqa: PLC0415  only who redacts waits for it

        if pl.Series([""]).str.contains(self.pattern).item():
            message = f"pattern: {self.pattern!r} matches the empty text, which is everywhere"
            raise ValueError(message)
        return self


class Limit(Model):
    """How much a source may report: a controller in a namespace of a cluster."""

    max_events_per_minute: int = Field(default=600, ge=1)
    """Rows of a clock minute, warnings and normals each; later ones are archived, and only their number is told."""


class Correlation(Model):
    """Incidents: the same trouble in several clusters of a workspace, told once."""

    enabled: bool = True
    """Whether incidents are looked for; what is open ends when it is switched off."""
    window: Duration = timedelta(minutes=10)
    """So far apart, two clusters may show it; after so much silence an incident has ended."""
    max_duration: Duration = timedelta(hours=1)
    """What goes on for longer is another incident, so that what is kept of one is bounded."""

    @model_validator(mode="after")
    def _one_fits(self) -> Self:
        if self.max_duration < self.window:
            message = "maxDuration: shorter than window, so that no incident could end before it is cut"
            raise ValueError(message)
        return self


class Transform(Model):
    """How summaries look."""

    message_prefix: bool = True
    """Whether messages begin with the cluster's name: ``[us-west1] ...``."""
    regarding: Literal["owner", "object"] = "owner"
    """Whom summaries are about: a Pod's owner, or the Pod. When it changes, all that is open ends."""
    expose_nodes: bool = False
    """Whether tenants may read the names of nodes."""
    lookup: list[KindName] = list(kinds.DEFAULT)
    """Kinds whose uid is looked up in the workspace, so that ``kubectl describe`` shows the Event."""
    add_labels: dict[FreeKey, LabelValue] = {}
    """Labels put on every summary."""
    add_annotations: dict[FreeKey, str] = {}
    """Annotations put on every summary, at most 64 KiB together."""
    redact: list[Redaction] = Field(default=[], max_length=100)
    """In this order."""

    @model_validator(mode="after")
    def _annotations_fit(self) -> Self:
        size = sum(len(key.encode()) + len(value.encode()) for key, value in self.add_annotations.items())
        if size > _ANNOTATIONS_BYTES:
            message = f"addAnnotations: {size} bytes together, at most {_ANNOTATIONS_BYTES}"
            raise ValueError(message)
        return self
