"""How long to wait after failures in a row; starts over after two healthy minutes."""

import asyncio
import random

FIRST_PAUSE, LONGEST_PAUSE = 0.8, 30.0
"""Client-go's reflector waits the same: 800 ms doubling to 30 s, with jitter."""
HEALTHY_SECONDS = 120.0
HASTY_SECONDS = 10.0
"""What ends sooner, though well, must not become a hot loop either."""
_DOUBLINGS = 10


class Backoff:
    """The failures of one thing that is tried again and again."""

    def __init__(self, rng: random.Random) -> None:
        """Begin without a failure; ``rng`` gives the jitter."""
        self._rng = rng
        self._began = 0.0
        self.failures = 0

    def begin(self) -> None:
        """Note that it is tried now."""
        self._began = asyncio.get_running_loop().time()

    def failed(self) -> None:
        """Note that the try failed."""
        self.failures = 1 if self._lasted > HEALTHY_SECONDS else self.failures + 1

    def ended(self) -> None:
        """Note that the try ended well; if it was a short one, that is no health yet."""
        if self._lasted < HASTY_SECONDS:
            self.failed()
        else:
            self.failures = 0

    @property
    def _lasted(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def wait(self, at_least: float = 0.0) -> None:
        """Return when the next try may begin: at once if the last one went well."""
        if self.failures:
            most: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.failures - 1, _DOUBLINGS))
            await asyncio.sleep(max(at_least, self._rng.uniform(most / 2, most)))
