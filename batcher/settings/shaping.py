"""How rows become summaries, and how summaries look."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from batcher import kinds
from batcher.settings.values import Duration, FreeKey, KindName, LabelValue, Model

_ANNOTATIONS_BYTES = 64 * 1024


class Aggregation(Model):
    """Sessions: how long a silence ends one, how long a row of the archive's ``summaries`` may be; and how many."""

    window: Duration = timedelta(minutes=5)
    max_duration: Duration = timedelta(hours=1)
    max_aggregated_events: int = Field(default=500, ge=1)
    """Summaries of their own per cluster namespace and clock hour, normal ones and warnings each; later ones are told
    together, by reason."""


class Transform(Model):
    """How summaries look."""

    message_prefix: bool = True
    regarding: Literal["owner", "object"] = "owner"
    expose_nodes: bool = False
    """Whether tenants may read the names of nodes."""
    lookup: list[KindName] = list(kinds.DEFAULT)
    """Kinds whose uid is looked up in the workspace, so that ``kubectl describe`` shows the Event."""
    add_labels: dict[FreeKey, LabelValue] = {}
    add_annotations: dict[FreeKey, str] = {}

    @model_validator(mode="after")
    def _annotations_fit(self) -> Self:
        size = sum(len(key.encode()) + len(value.encode()) for key, value in self.add_annotations.items())
        if size > _ANNOTATIONS_BYTES:
            message = f"addAnnotations: {size} bytes together, at most {_ANNOTATIONS_BYTES}"
            raise ValueError(message)
        return self
