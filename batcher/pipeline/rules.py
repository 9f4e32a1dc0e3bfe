"""What of the configuration a batch depends on; it becomes part of every plan. Nothing here reads a file."""

from dataclasses import dataclass, field
from datetime import timedelta

from batcher.causes import CauseRule
from batcher.redact import Redaction
from batcher.stages.adopt import Mapping
from batcher.stages.expire import ANY_NUMBER, FOR_EVER, Bounds
from batcher.stages.filter import PASSES_ALL, Filter
from batcher.stages.fold import Most
from batcher.stages.grade import NORMAL
from batcher.stages.locate import BELIEVES_RULES, Trust
from batcher.stages.redefine import COLUMNS, KEY
from batcher.stages.render import Look
from batcher.stages.route import Route
from batcher.stages.rule import Rule


@dataclass(frozen=True)
class Rules:
    """What of the configuration a batch depends on."""

    mapping: tuple[Rule, ...]
    event_ttl: timedelta
    window: timedelta
    longest: timedelta
    prefix: bool
    owner: bool
    event_ttls: dict[str, timedelta] = field(default_factory=dict)
    """By the cluster's name; ``event_ttl`` is for all others."""
    trust: Trust = BELIEVES_RULES
    hold: timedelta = timedelta(0)
    """How long what has no workspace waits for one."""
    expose_nodes: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    max_age: timedelta = FOR_EVER
    max_pending: int = ANY_NUMBER
    routes: tuple[Route, ...] = ()
    critical: tuple[str, ...] = ()
    """Reasons that are critical, beside those of :mod:`batcher.stages.grade`."""
    minimum: str = NORMAL
    """What is less severe (:data:`batcher.stages.grade.GRADES`) is told to nobody."""
    limit: int = ANY_NUMBER
    """Rows of a source, share and clock minute that are told by what they say."""
    max_keys: int = ANY_NUMBER
    """Summaries of their own per cluster namespace, target, share and clock hour."""
    max_live: int = ANY_NUMBER
    """Events of a workspace that are alive at a time."""
    filter: Filter = PASSES_ALL
    redact_archive: tuple[Redaction, ...] = ()
    redact_publish: tuple[Redaction, ...] = ()

    by_template: bool = True
    """Whether rows of one object, type and reason that say different things are different summaries."""

    @property
    def definitions(self) -> dict[str, str]:
        """What decides which rows are one summary: when one of these changes, all that is open ends."""
        return {
            KEY: COLUMNS + (", template" if self.by_template else ""),
            "aggregation.window": str(self.window),
            "aggregation.maxDuration": str(self.longest),
            "transform.regarding": "owner" if self.owner else "object",
        }

    @property
    def namespaces(self) -> Mapping:
        """How namespaces find their targets; one that was deleted counts as long as its Events may come again."""
        return Mapping(self.mapping, self.trust, 2 * self.event_ttl)

    @property
    def used_for(self) -> timedelta:
        """How long it is known what a name was used for: what waits is so old, and what was before may be listed."""
        return self.hold + 2 * self.event_ttl

    correlation_window: timedelta = timedelta(0)
    """After so much silence an incident has ended; zero: none is looked for."""
    correlation_longest: timedelta = timedelta(hours=1)

    @property
    def correlates(self) -> bool:
        """Whether incidents are looked for."""
        return self.correlation_window > timedelta(0)

    chains: tuple[CauseRule, ...] = ()
    """What leads to what, beside :data:`batcher.causes.BUILT_IN`."""
    cluster_labels: dict[str, dict[str, str]] = field(default_factory=dict)
    """By the cluster's name."""

    @property
    def bounds(self) -> Bounds:
        """How long summaries go on and wait."""
        return Bounds(self.window, self.hold, self.max_age, self.max_pending)

    @property
    def most(self) -> Most:
        """How many summaries there may be."""
        return Most(self.max_keys, self.max_live)

    @property
    def look(self) -> Look:
        """How summaries look."""
        return Look(self.prefix, self.expose_nodes, self.labels, self.annotations, self.redact_publish)
