"""The whole file as a model, and what of it only a restart can change."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic.alias_generators import to_camel

from batcher.errors import ConfigError
from batcher.settings.chains import Chains
from batcher.settings.destination import Kcp, Publish
from batcher.settings.filtering import Filter
from batcher.settings.gates import Gate, Gates, is_on
from batcher.settings.mapping import Mapping_
from batcher.settings.operation import Archive, BatchSettings, LeaderElection, Log, Quarantine, Serve, Spool
from batcher.settings.places import allowed
from batcher.settings.routing import Place, Route, Severity
from batcher.settings.shaping import Aggregation, Correlation, Limit, Transform
from batcher.settings.sources import Cluster, ClusterDirectory, Credentials, Source
from batcher.settings.values import Model


class Settings(Model):
    """The whole file."""

    api_version: Literal["batcher.kcp.io/v1alpha1"]
    """The version of this file's format."""
    kind: Literal["BatcherConfig"]
    """What this file is."""
    data_dir: Path = Path("/var/lib/batcher")
    """The directory that must not be lost: spool, state and staged files. One process at a time uses it."""
    sources: list[Source] = Field(alias="clusters", min_length=1)
    """Clusters whose Events are watched: each by itself, or all files of a directory."""
    kcp: Kcp
    credentials: Credentials = Credentials()
    mapping: Mapping_ = Mapping_()
    severity: Severity = Severity()
    filter: Filter = Filter()
    """Before routes: what is filtered is told by none."""
    routes: list[Route] = []
    """Where rows go. Every route that matches applies; what none matches goes where it is mapped."""
    limit: Limit = Limit()
    aggregation: Aggregation = Aggregation()
    correlation: Correlation = Correlation()
    chains: Chains = Chains()
    transform: Transform = Transform()
    batch: BatchSettings = BatchSettings()
    archive: Archive = Archive()
    publish: Publish = Publish()
    spool: Spool = Spool()
    quarantine: Quarantine = Quarantine()
    leader_election: LeaderElection = LeaderElection()
    serve: Serve = Serve()
    log: Log = Log()
    feature_gates: Gates = {}
    """What is tried out, or can be turned off: ``Name: true`` or ``false``."""

    _clusters: list[Cluster] = PrivateAttr(default_factory=list)
    _found: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def clusters(self) -> list[Cluster]:
        """The clusters that there are: those of directories only after :func:`batcher.settings.find_clusters`."""
        return self._clusters

    @property
    def found(self) -> frozenset[str]:
        """The names of those that are of directories."""
        return self._found

    def with_clusters(self, clusters: Sequence[Cluster], *, found: Sequence[str]) -> Self:
        """Return these settings with ``clusters``, of which those named ``found`` are of directories."""
        changed = self.model_copy()
        changed._clusters, changed._found = list(clusters), frozenset(found)  # noqa: SLF001  of this class
        return changed

    def enabled(self, gate: Gate) -> bool:
        """Return whether ``gate`` is open."""
        return is_on(gate, self.feature_gates)

    @model_validator(mode="after")
    def _has_clusters_of_its_own(self) -> Self:
        self._clusters = [each for each in self.sources if isinstance(each, Cluster) and each.has_way_in]
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        entries = [source for source in self.sources if isinstance(source, Cluster)]
        for what, named in (
            ("clusters", entries),
            ("routes", self.routes),
            ("filter.rules", self.filter.rules),
            ("transform.redact", self.transform.redact),
        ):
            names = [each.name for each in named]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                message = f"{what}: names must be unique, given twice: {', '.join(twice)}"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _what_waits_has_ended(self) -> Self:
        if self.mapping.hold < self.aggregation.window:
            message = "mapping.hold: shorter than aggregation.window, so that it would be over before a session is"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _targets_are_allowed(self) -> Self:
        patterns = self.kcp.patterns
        outside = [f"{path}: {name!r}" for path, name in self.targets() if name and not allowed(name, patterns)]
        if outside:
            message = f"not among kcp.workspaces: {'; '.join(outside)}"
            raise ValueError(message)
        return self

    def targets(self) -> list[tuple[str, str | None]]:
        """Every workspace that the file names, with the path of the setting."""
        named = [
            (f"clusters[{each.directory}].defaults.workspace", each.defaults.workspace)
            if isinstance(each, ClusterDirectory)
            else (f"clusters[{each.name}].workspace", each.workspace)
            for each in self.sources
        ]
        named += [(f"mapping.rules[{i}].workspace", rule.workspace) for i, rule in enumerate(self.mapping.rules)]
        named += [
            (f"routes[{i}].to[{j}].workspace", place.workspace)
            for i, route in enumerate(self.routes)
            for j, place in enumerate(route.to)
            if isinstance(place, Place)
        ]
        return named


_FIXED = (
    "data_dir",
    "kcp.kubeconfig",
    "kcp.context",
    "kcp.api_export",
    "kcp.relaxed_x509",
    "archive.path",
    "archive.storage_options",
    "publish.max_pending",
    "spool",
    "leader_election",
    "serve",
    "log",
)
FIXED = tuple(".".join(to_camel(part) for part in name.split(".")) for name in _FIXED)
"""The paths of what a running service has taken hold of: a directory, a port, an address."""


def refuse_fixed(before: Settings, after: Settings) -> None:
    """Raise :class:`ConfigError` if ``after`` differs in what only a restart can change."""
    pairs = zip(_FIXED, FIXED, strict=True)
    changed = [path for name, path in pairs if attrgetter(name)(before) != attrgetter(name)(after)]
    if changed:
        raise ConfigError([f"{path}: changes only with a restart" for path in changed])
