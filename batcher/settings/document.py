"""The whole file as a model, and what of it only a restart can change."""

from operator import attrgetter
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from batcher.errors import ConfigError
from batcher.settings.destination import Kcp, Publish
from batcher.settings.mapping import Mapping_
from batcher.settings.operation import Archive, BatchSettings, Log, Serve, Spool
from batcher.settings.places import allowed
from batcher.settings.routing import Place, Route, Severity
from batcher.settings.shaping import Aggregation, Transform
from batcher.settings.sources import Cluster, Credentials
from batcher.settings.values import Model


class Settings(Model):
    """The whole file."""

    api_version: Literal["batcher.kcp.io/v1alpha1"]
    kind: Literal["BatcherConfig"]
    data_dir: Path = Path("/var/lib/batcher")
    clusters: list[Cluster] = Field(min_length=1)
    kcp: Kcp
    credentials: Credentials = Credentials()
    mapping: Mapping_ = Mapping_()
    severity: Severity = Severity()
    routes: list[Route] = []
    aggregation: Aggregation = Aggregation()
    transform: Transform = Transform()
    batch: BatchSettings = BatchSettings()
    archive: Archive = Archive()
    publish: Publish = Publish()
    spool: Spool = Spool()
    serve: Serve = Serve()
    log: Log = Log()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, named in (("clusters", self.clusters), ("routes", self.routes)):
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
        named = [(f"clusters[{c.name}].workspace", c.workspace) for c in self.clusters if c.workspace]
        named += [(f"mapping.rules[{i}].workspace", rule.workspace) for i, rule in enumerate(self.mapping.rules)]
        named += [
            (f"routes[{i}].to[{j}].workspace", place.workspace)
            for i, route in enumerate(self.routes)
            for j, place in enumerate(route.to)
            if isinstance(place, Place) and place.workspace
        ]
        outside = [f"{path}: {name!r}" for path, name in named if not allowed(name, patterns)]
        if outside:
            message = f"not among kcp.workspaces: {'; '.join(outside)}"
            raise ValueError(message)
        return self


_FIXED = (
    "data_dir",
    "kcp.kubeconfig",
    "kcp.context",
    "kcp.api_export",
    "kcp.relaxed_x509",
    "archive.path",
    "publish.max_pending",
    "spool",
    "serve",
    "log",
)
"""What a running service has taken hold of: a directory, a port, an address."""


def refuse_fixed(before: Settings, after: Settings) -> None:
    """Raise :class:`ConfigError` if ``after`` differs in what only a restart can change."""
    changed = [name for name in _FIXED if attrgetter(name)(before) != attrgetter(name)(after)]
    if changed:
        names = [".".join(to_camel(part) for part in name.split(".")) for name in changed]
        raise ConfigError([f"{name}: changes only with a restart" for name in names])
