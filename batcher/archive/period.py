"""Periods as people say them: ``24h`` ago, a day, a time. Nothing here reads a clock."""

from datetime import UTC, datetime

from batcher.errors import UsageError
from batcher.settings import parse_duration


def moment(flag: str, text: str, *, now: datetime) -> datetime:
    """Return the time that ``flag`` was given: how long ago (``24h``, ``7d``), a day, or a time (RFC 3339; else UTC).

    Raises :class:`UsageError`.
    """
    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        message = f"{flag}: {text!r} is neither how long ago (24h, 7d) nor a time (2026-11-23, 2026-11-23T16:00:00Z)"
        raise UsageError(message) from None
    return said.astimezone(UTC) if said.tzinfo else said.replace(tzinfo=UTC)


def period(since: str, until: str, *, now: datetime) -> tuple[datetime, datetime]:
    """Return the times of ``--since`` and ``--until``, which is ``now`` if empty. Raises :class:`UsageError`."""
    begin, end = moment("--since", since, now=now), moment("--until", until, now=now) if until else now
    if begin >= end:
        message = f"--since: {begin:%F %TZ} is not before --until, {end:%F %TZ}"
        raise UsageError(message)
    return begin, end
