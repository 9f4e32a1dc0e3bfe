"""What a setting's value can be: durations, sizes, names; each with the one sentence that says what it ought to be.

What is read in more than one way is written in one: a duration as ``1h30m``, a size as ``10GiB``. The docstring under a
setting is its explanation, in the JSON schema, the printed defaults and ``batcher config explain`` alike.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from batcher import kinds
from batcher.errors import UsageError

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {
    "": 1,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]+)\s*([KMGT]?i?)B?")
DURATION_FORMAT, SIZE_FORMAT = "duration", "size"
"""What the JSON schema calls them."""
_DURATION_SCHEMA = {"type": "string", "format": DURATION_FORMAT, "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"}
_SIZE_SCHEMA = {
    "type": ["integer", "string"],
    "format": SIZE_FORMAT,
    "minimum": 1,
    "pattern": r"^\s*[0-9]+\s*([KMGT]i?)?B?\s*$",
}
_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_OURS = ("kcp.io/", "batcher.kcp.io/")
_OBJECT = re.compile(r"[^/]+/.+")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(value: str) -> timedelta:
    """Return the timedelta of ``"1h30m"``, ``"500ms"``, ``"30d"``; raise ``ValueError`` for anything else."""
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        message = f"{value!r} is not a duration such as 30s, 5m, 1h30m or 30d"
        raise ValueError(message)
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        message = f"{value!r} is longer than {timedelta.max.days} days"
        raise ValueError(message) from None


def format_duration(value: timedelta) -> str:
    """Return ``"1h30m"`` for 90 minutes, which :func:`parse_duration` reads; whole days only are days."""
    seconds, rest = divmod(value, timedelta(seconds=1))
    parts = []
    for unit in ("d", "h", "m", "s"):
        if unit != "d" or (seconds % _UNITS["d"] == 0 and not rest):
            count, seconds = divmod(seconds, int(_UNITS[unit]))
            parts += [f"{count}{unit}"] if count else []
    parts += [f"{rest / timedelta(milliseconds=1):g}ms"] if rest else []
    return "".join(parts) or "0s"


def format_size(value: int) -> str:
    """Return ``"10GiB"``: ``value`` bytes in the largest unit that is exact."""
    unit = next((unit for unit in ("Ti", "Gi", "Mi", "Ki") if value % _SIZES[unit] == 0), "")
    return f"{value // _SIZES[unit]}{unit}B" if unit and value else str(value)


def duration_flag(flag: str, text: str) -> timedelta:
    """Return the duration that ``flag`` of a command was given. Raises :class:`UsageError` naming the flag."""
    try:
        return parse_duration(text)
    except ValueError as error:
        message = f"{flag}: {error}"
        raise UsageError(message) from None


def size_flag(flag: str, text: str) -> int:
    """Return the bytes that ``flag`` of a command was given. Raises :class:`UsageError` naming the flag."""
    try:
        size = int(str(_parse_size(text)))
    except ValueError as error:
        message = f"{flag}: {error}"
        raise UsageError(message) from None
    return size


def moment_flag(flag: str, text: str, now: datetime) -> datetime:
    """Return the moment that ``flag`` of a command was given: a duration before ``now``, or a time as RFC 3339 has it.

    Nothing is before 1970. Raises :class:`UsageError` naming the flag.
    """
    try:
        if _MOMENT.fullmatch(text):
            return max(datetime.fromisoformat(text.upper()).astimezone(UTC), _EARLIEST)
        return now - min(parse_duration(text), now - _EARLIEST)
    except (ValueError, OverflowError):
        message = f"{flag}: {text!r} is neither a duration such as 30s, 5m, 1h30m or 7d, nor a time such as "
        raise UsageError(message + f"{now:%Y-%m-%dT%H:%M:%SZ}") from None


def _parse_text_duration(value: object) -> timedelta:
    """A bare number is refused, not taken for seconds: who writes ``5`` may mean minutes."""
    return value if isinstance(value, timedelta) else parse_duration(str(value))


def _parse_size(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if not match or match[2] not in _SIZES:
        message = f"{value!r} is not a size such as 500MiB, 10GiB or 1000000"
        raise ValueError(message)
    return int(match[1]) * _SIZES[match[2]]


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        message = "must be longer than zero"
        raise ValueError(message)
    return value


def _spelt(pattern: re.Pattern[str], what: str) -> AfterValidator:
    """Refuse a text that ``pattern`` does not match as a whole; ``what`` is what it ought to be."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            message = f"{value!r} is not {what}"
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _matching(pattern: re.Pattern[str]) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^({pattern.pattern})$"}


def _not_ours(value: str) -> str:
    if value.startswith(_OURS):
        message = f"{value!r}: keys of {' and '.join(_OURS)} are set by batcher itself"
        raise ValueError(message)
    return value


def _kind(value: str) -> str:
    kinds.parse(value)
    return value


def _watched_kind(value: str) -> str:
    kinds.parse_watched(value)
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        message = f"{value!r} is not an absolute path"
        raise ValueError(message)
    return value


def is_cluster_name(value: str) -> bool:
    """Return whether ``value`` can be the name of a cluster."""
    return _LABEL.fullmatch(value) is not None


def _compiles(pattern: str) -> str:
    """Refuse what polars' own engine would refuse, with its reason; a pattern that it takes is linear in the text."""
    import polars as pl  # noqa: PLC0415  only who has patterns waits for it

    try:
        pl.Series([""]).str.replace_all(pattern, "")
    except pl.exceptions.ComputeError as error:
        reason = str(error).partition("\n\n")[0].rpartition("error: ")[2].strip()
        message = f"{pattern!r} is not a regular expression (RE2 syntax): {reason}"
        raise ValueError(message) from None
    return pattern


ClusterName = Annotated[
    str,
    _spelt(_LABEL, "a DNS-1123 label (lower-case letters, digits and -, at most 63)"),
    WithJsonSchema(_matching(_LABEL)),
]
FreeKey = Annotated[
    str,
    _spelt(_KEY, "a key of a label or annotation, such as team or example.com/team"),
    AfterValidator(_not_ours),
    WithJsonSchema(_matching(_KEY)),
]
LabelValue = Annotated[
    str,
    _spelt(_VALUE, "a label's value (letters, digits, - _ and ., at most 63, no colon or slash)"),
    WithJsonSchema(_matching(_VALUE)),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(_parse_text_duration),
    AfterValidator(_positive),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
Size = Annotated[
    int,
    BeforeValidator(_parse_size),
    Field(gt=0),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema(_SIZE_SCHEMA),
]
KindName = Annotated[str, AfterValidator(_kind)]
WatchedKindName = Annotated[str, AfterValidator(_watched_kind)]
AbsolutePath = Annotated[str, AfterValidator(_absolute), WithJsonSchema({"type": "string", "pattern": "^/"})]
Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_compiles)]
ObjectGlob = Annotated[
    str, _spelt(_OBJECT, "a glob kind/name, such as Pod/web-* or */web-*"), WithJsonSchema(_matching(_OBJECT))
]


class Model(BaseModel):
    """A part of the file: frozen, its keys in camelCase, and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)
