"""``batcher verify`` beside a service, once an hour, so that a sum that does not add up is told before somebody asks.

It is a process of its own: what reads a whole archive must neither take the service's memory nor hold up its end. It
changes nothing and may be killed at any moment.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from batcher.clock import Now
from batcher.text import cut, safe

EVERY = timedelta(hours=1)
_LONGEST = 300

log = structlog.get_logger("batcher")


class Proving:
    """Proves the sums when it is told to, and knows how that ended."""

    def __init__(self, data_dir: Path, *, now: Now) -> None:
        """Prove the sums of ``data_dir``; nothing runs yet."""
        self._data_dir = data_dir
        self._now = now
        self.trouble = ""
        """What differed, or why it could not be looked at; empty if the sums add up."""
        self.proved_at: datetime | None = None
        """When they were looked at last, whatever came of it; None: not yet."""

    async def turn(self) -> None:
        """Prove the sums once; return when that is done or has failed, which is told and raises nothing."""
        code, out, err = await self._run()
        self.proved_at = self._now()
        if not code:
            self.trouble = ""
            log.info("the sums add up")
            return
        failed = [line for line in out.splitlines() if line.startswith("FAILED")]
        said = "; ".join(failed) or err.strip() or f"verify: exit code {code}"
        self.trouble = cut(safe(" ".join(said.split())), _LONGEST)
        log.error("the sums do not add up, or cannot be looked at; see: batcher verify", found=self.trouble)

    async def _run(self) -> tuple[int, str, str]:
        """One thread is enough for what has an hour, and leaves the others to batches."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "batcher", "verify", "--data-dir", str(self._data_dir),
                stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=os.environ | {"POLARS_MAX_THREADS": "1"},
            )  # fmt: skip
        except OSError as error:
            return 1, "", f"verify: {error.strerror}"
        try:
            out, err = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        code = 1 if process.returncode is None else process.returncode
        return code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
