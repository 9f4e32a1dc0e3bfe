"""The archive's upkeep beside a service: a process of its own, so that no batch waits for it and its memory goes.

It is a command that anybody can give (``batcher archive keep``), with what the configuration says as flags. It may be
killed at any moment, by the end of the service or by the kernel: what it had not committed is as it was.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from batcher import store
from batcher.clock import Now
from batcher.errors import ConfigError
from batcher.service.child import ran
from batcher.service.wiring import archive_root
from batcher.settings import Settings, format_duration
from batcher.text import cut, safe

log = structlog.get_logger("batcher")

_LONGEST = 300


class Keeping:
    """Runs the upkeep when it is told to, and knows how the last turn went."""

    def __init__(self, data_dir: Path, *, now: Now) -> None:
        """Keep the archive of ``data_dir``; nothing runs yet."""
        self._data_dir = data_dir
        self._now = now
        self.trouble = ""
        """Why the last turn failed; empty if it did not."""
        self.failures = 0
        self.kept_at: datetime | None = None

    async def turn(self, settings: Settings) -> None:
        """Keep the archive once; return when it is done or has failed, which is told and raises nothing."""
        try:
            secrets = store.secrets(archive_root(settings))
        except ConfigError as error:  # a file with a credential is gone
            code, out, err = error.exit_code, b"", "; ".join(error.problems)
        else:
            code, out, err = await _run([*_arguments(self._data_dir, settings)], secrets)
        if code:
            self.failures += 1
            self.trouble = cut(safe(err.strip()) or f"exit code {code}", _LONGEST)
            log.warning("archive is not kept; the next turn goes on", error=self.trouble, failures=self.failures)
            return
        self.trouble, self.kept_at = "", self._now()
        log.info("archive kept", **_told(out))


async def _run(arguments: list[str], secrets: dict[str, str]) -> tuple[int, bytes, str]:
    try:
        return await ran(arguments, secrets)
    except OSError as error:
        return 1, b"", f"archive keep: {error.strerror}"


def _arguments(data_dir: Path, settings: Settings) -> Iterator[str]:
    yield from ("archive", "keep", "--background", "--data-dir", str(data_dir), "--output", "json")
    yield from ("--retention", format_duration(settings.archive.retention))
    yield from ("--retention-important", format_duration(settings.archive.retention_important))
    for reason in settings.severity.critical:
        yield from ("--critical", reason)


def _told(out: bytes) -> dict[str, int]:
    """What was done, added up over tables; nothing of what did not happen."""
    try:
        done = msgspec.json.decode(out, type=dict[str, list[dict[str, str | int]]])
    except msgspec.DecodeError:
        return {}
    names = {"compacted": ("files", "into"), "retained": ("removed",), "vacuumed": ("files",)}
    sums = {
        f"{step}_{name}": sum(int(each.get(name, 0)) for each in done.get(step, []))
        for step, wanted in names.items()
        for name in wanted
    }
    return {name: number for name, number in sums.items() if number}
