"""How long writes took and why they were refused, by workspace, since the process began: for metrics alone.

Both labels come from outside, so both are bounded: what is beyond is counted under one name. Decides nothing, and no
text of an Event comes here.
"""

from collections.abc import Mapping

from batcher.durations import Durations
from batcher.telemetry import PUBLISH_BOUNDS

MOST_WORKSPACES = 200
"""Each has eleven buckets: 2,400 series at most."""
MOST_REASONS = 20
"""Of a workspace; there are fewer in what API servers are known to say."""
OTHER = "other"
"""No workspace and no Status' reason is called so: the one has a colon or 16 characters, the other is capitalised."""


class WorkspaceFigures(Durations):
    """What a workspace took, and how long each write did, and what it refused."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        super().__init__(PUBLISH_BOUNDS)
        self.refusals: dict[str, int] = {}
        """By reason."""


class Figures:
    """The figures of every workspace, by name."""

    def __init__(self) -> None:
        """Know of none."""
        self._workspaces: dict[str, WorkspaceFigures] = {}

    def written(self, workspace: str, seconds: float) -> None:
        """Count a write that was in its workspace after ``seconds``."""
        self._of(workspace).took(seconds)

    def refused(self, workspace: str, reason: str) -> None:
        """Count a write that its workspace refused for good."""
        refusals = self._of(workspace).refusals
        known = reason in refusals or len(refusals) < MOST_REASONS
        name = reason if known else OTHER
        refusals[name] = refusals.get(name, 0) + 1

    def _of(self, workspace: str) -> WorkspaceFigures:
        if found := self._workspaces.get(workspace):
            return found
        name = workspace if len(self._workspaces) < MOST_WORKSPACES else OTHER
        return self._workspaces.setdefault(name, WorkspaceFigures())

    @property
    def all(self) -> Mapping[str, WorkspaceFigures]:
        """What was counted, by workspace."""
        return self._workspaces
