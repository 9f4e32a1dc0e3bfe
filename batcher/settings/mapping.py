"""How a namespace finds its workspace."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import model_validator

from batcher.settings.values import Duration, Model


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


class Mapping_(Model):  # noqa: N801  the name is taken by typing's
    """How a namespace finds its workspace."""

    rules: list[MappingRule] = []
    """The first rule that matches counts."""
    trust: list[Literal["locator", "rules", "cluster"]] = ["rules", "cluster"]
    """Whose word counts, in this order. A locator only where tenants cannot edit Namespaces."""
    hold: Duration = timedelta(hours=1)
    """How long what has no workspace waits for one."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.trust)) < len(self.trust):
            message = f"trust: each source once, not {', '.join(self.trust)}"
            raise ValueError(message)
        return self
