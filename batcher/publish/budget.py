"""How many writes a workspace is sent in a second: a bucket of tokens for each, as large as a second's worth.

Kept as one number a workspace, the moment at which its bucket is full again, so that a workspace that has been
left alone costs nothing. Never waits and never reads a clock. There is no budget for all workspaces together:
each has a worker with one request in flight, so that a server that is busy answers them in turns.
"""


class Budget:
    """The buckets of all workspaces. Times are the loop's, in seconds."""

    def __init__(self, rate: float) -> None:
        """Allow ``rate`` writes a second and workspace (more than 0), and as many at once, but at least one."""
        self._full_at: dict[str, float] = {}
        self.pace(rate)

    def __len__(self) -> int:
        return len(self._full_at)

    def pace(self, rate: float) -> None:
        """Allow ``rate`` writes a second from now on."""
        self._each = 1.0 / rate
        self._spare = (max(1.0, rate) - 1.0) * self._each

    def pause(self, workspace: str, now: float) -> float:
        """Return in how many seconds ``workspace`` may be written to; 0: now."""
        return max(0.0, self._full_at.get(workspace, now) - self._spare - now)

    def spend(self, workspace: str, now: float) -> None:
        """Take a token: ``workspace`` is written to."""
        self._full_at[workspace] = max(self._full_at.get(workspace, now), now) + self._each

    def forget(self, now: float) -> None:
        """Forget the workspaces whose buckets are full."""
        self._full_at = {workspace: full_at for workspace, full_at in self._full_at.items() if full_at > now}
