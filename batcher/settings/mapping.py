"""How a namespace finds its workspace."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import model_validator

from batcher.kinds import WATCHED, parse_watched
from batcher.settings.values import Duration, Model, WatchedKindName


class MappingRule(Model):
    """Namespaces of clusters, by globs, to a workspace."""

    cluster: str = "*"
    """A glob of names of clusters."""
    namespace: str
    """A glob of downstream namespaces."""
    workspace: str
    """Where they go; must be among ``kcp.workspaces``."""
    target_namespace: str = "{namespace}"
    """The namespace there; ``{namespace}`` stands for the downstream one."""


class SyncAgent(Model):
    """Objects that api-syncagent made, which say themselves whose they are."""

    kinds: list[WatchedKindName] = list(WATCHED)
    """Watched for its labels where ``trust`` has ``syncagent``: those that it publishes."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        named = [parse_watched(entry)[:2] for entry in self.kinds]
        twice = sorted({kind for kind, group in named if named.count((kind, group)) > 1})
        if twice:
            message = f"kinds: each once, in one version, given twice: {', '.join(twice)}"
            raise ValueError(message)
        return self


class Mapping_(Model):  # noqa: N801  the name is taken by typing's
    """How a namespace finds its workspace."""

    rules: list[MappingRule] = []
    """The first rule that matches counts."""
    trust: list[Literal["locator", "syncagent", "rules", "cluster"]] = ["rules", "cluster"]
    """Whose word counts, in this order. A locator only where tenants cannot edit Namespaces, ``syncagent`` only where
    they can edit none of the objects that are watched for it."""
    syncagent: SyncAgent = SyncAgent()
    hold: Duration = timedelta(hours=1)
    """How long what has no workspace waits for one."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.trust)) < len(self.trust):
            message = f"trust: each source once, not {', '.join(self.trust)}"
            raise ValueError(message)
        return self
