"""Where summaries go: kcp, the workspaces that may be written to, and how fast."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from batcher.settings.matching import SeverityName
from batcher.settings.values import Duration, Model


class Workspace(Model):
    """A workspace that may be written to: a path with ``*`` (one segment) and ``**`` (any), or a logical name."""

    path: str
    """``root:org:*`` (one segment), ``root:org:**`` (any), or a logical name."""
    token_file: Path | None = None
    """The identity that writes there, in place of the kubeconfig's."""


class ApiExport(Model):
    """An APIExport that claims Events: the workspaces whose APIBinding accepts it may be written to."""

    kubeconfig: Path
    """Its current context, or ``context``, is in the workspace that has the APIExport."""
    context: str | None = None
    """A context of that kubeconfig; without, its current one."""
    name: str = Field(min_length=1)
    """The APIExport's."""


class Kcp(Model):
    """Where summaries go, and by which identity: one kubeconfig, or one APIExport."""

    kubeconfig: Path | None = None
    """A file whose server is kcp; of its path only what is before ``/clusters/`` counts."""
    context: str | None = None
    """A context of that kubeconfig; without, its current one."""
    api_export: ApiExport | None = None
    """In place of a kubeconfig: the workspaces that accept its claim are those that may be written to."""
    relaxed_x509: bool = False
    """As of a cluster."""
    workspaces: list[Workspace] = []
    """The workspaces that may be written to, and no others. Required, unless there is an apiExport."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.kubeconfig is None) == (self.api_export is None):
            message = "give either kubeconfig or apiExport"
            raise ValueError(message)
        if self.kubeconfig and not self.workspaces:
            message = "workspaces: name at least one: without an APIExport nothing else says where may be written"
            raise ValueError(message)
        if self.api_export and any(workspace.token_file for workspace in self.workspaces):
            message = "workspaces: no tokenFile with an apiExport, whose identity writes everywhere"
            raise ValueError(message)
        return self

    @property
    def patterns(self) -> list[str]:
        """The workspaces that may be written to; with an APIExport, by default all that accept it."""
        return [workspace.path for workspace in self.workspaces] or ["**"]


class Publish(Model):
    """What is written, how often a summary is written again, how fast, how many may wait, and how many there are."""

    minimum_severity: SeverityName = "normal"
    """What is less severe is archived only, wherever it is routed."""
    per_workspace_per_second: float = Field(default=20.0, ge=0.001, le=1_000_000, allow_inf_nan=False)
    """Writes to each workspace; as many at once. A thousandth is one in 17 minutes."""
    rewrite_after: Duration = timedelta(seconds=30)
    """From the first write of a summary to the next; doubles with each, up to ``rewriteMost``."""
    rewrite_most: Duration = timedelta(minutes=10)
    """The longest time between two writes of a summary that changes."""
    max_pending: int = Field(default=100_000, ge=1)
    """Writes in memory, and ended summaries that wait for a workspace that is away."""
    max_age: Duration = timedelta(hours=1)
    """How long ended summaries wait; then they are dead letters. kcp keeps an Event no longer, by default."""
    max_live_events: int = Field(default=2000, ge=100)
    """Events of a workspace at a time: a third of them in a clock hour, and what is beyond is told together."""
