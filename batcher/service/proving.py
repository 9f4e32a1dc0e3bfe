"""``batcher verify`` beside a service, once an hour, so that a sum that does not add up is told before somebody asks.

It is a process of its own: what reads a whole archive must neither take the service's memory nor hold up its end. It
changes nothing and may be killed at any moment. What came of it is left in the data directory, so that a service that
starts again more often than every hour proves the sums all the same, and goes on telling that they did not add up.
"""

import contextlib
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from batcher.clock import Now
from batcher.service.child import ran
from batcher.text import cut, safe

EVERY = timedelta(hours=1)
_LONGEST = 300
_FILE = "proof.json"

log = structlog.get_logger("batcher")


class _Proof(msgspec.Struct, frozen=True):
    """What is left in the data directory."""

    since: datetime
    at: datetime | None = None
    trouble: str = ""


class Proving:
    """Proves the sums when it is told to, and knows how that ended, in whichever process."""

    def __init__(self, data_dir: Path, *, now: Now) -> None:
        """Prove the sums of ``data_dir``; nothing runs yet."""
        self._data_dir = data_dir
        self._now = now
        self._newest = self._left() or self._leave(_Proof(now()))

    @property
    def trouble(self) -> str:
        """What differed, or why it could not be looked at; empty if the sums add up."""
        return self._newest.trouble

    @property
    def proved_at(self) -> datetime | None:
        """When they were looked at last, whatever came of it; None: not yet."""
        return self._newest.at

    @property
    def since(self) -> datetime:
        """When they were to be looked at for the first time."""
        return self._newest.since

    def due_in(self) -> timedelta:
        """Return how long it is until the next proof is due; a clock that was put back makes it no longer."""
        if self.proved_at is None:
            return timedelta(0)
        return min(max(self.proved_at + EVERY - self._now(), timedelta(0)), EVERY)

    async def turn(self) -> None:
        """Prove the sums once; return when that is done or has failed, which is told and raises nothing."""
        code, out, err = await self._run()
        failed = [line for line in out.splitlines() if line.startswith("FAILED")]
        said = "; ".join(failed) or err.strip() or f"verify: exit code {code}"
        trouble = cut(safe(" ".join(said.split())), _LONGEST) if code else ""
        self._newest = self._leave(_Proof(self.since, self._now(), trouble))
        if trouble:
            log.error("the sums do not add up, or cannot be looked at; see: batcher verify", found=trouble)
        else:
            log.info("the sums add up")

    def _left(self) -> _Proof | None:
        """What a process before has left; what cannot be read was not there."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((self._data_dir / _FILE).read_bytes(), type=_Proof)
        return None

    def _leave(self, proof: _Proof) -> _Proof:
        """Not synced: one that is lost is made again. A disk that takes nothing keeps the one before."""
        temporary = self._data_dir / f"{_FILE}.tmp"
        with contextlib.suppress(OSError):
            temporary.write_bytes(msgspec.json.encode(proof))
            temporary.replace(self._data_dir / _FILE)
        return proof

    async def _run(self) -> tuple[int, str, str]:
        try:
            code, out, err = await ran(["verify", "--data-dir", str(self._data_dir)])
        except OSError as error:
            return 1, "", f"verify: {error.strerror}"
        return code, out.decode("utf-8", "replace"), err
