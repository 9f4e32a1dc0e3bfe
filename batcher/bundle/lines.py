"""What is left of a line of the log: when, how bad, what happened, to which cluster or batch, and numbers.

Texts of errors are left out: they may quote what a server sent. A line that is none of ours says only how long it is.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

NEWEST = 2000
"""Lines that are looked at, from the end."""
_KEPT = ("timestamp", "level", "event")
_NAMES = ("cluster", "clusters", "batch", "export")
_TEXT = re.compile(
    r"(?P<timestamp>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<level>debug|info|warning|error|critical) +(?P<event>\S.*?)(?:  .*)?"
)
_NUMBER = re.compile(r"(?<= )([a-z_]+)=(-?\d+(?:\.\d+)?)(?= [a-z_]+=|$)")
_SENTENCE = re.compile(r"[a-zA-Z ,;:'-]{1,120}")


def reduced(line: str) -> str:
    """Return what a bundle may have of ``line``."""
    try:
        said = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return _reduced_text(line)
    return _reduced(said) if isinstance(said, dict) else _other(line)


def _reduced(said: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in said.items() if key in _KEPT and isinstance(value, str)}
    kept["event"] = _sentence(kept.get("event", ""))
    named = {key: said[key] for key in _NAMES if isinstance(said.get(key), str | list)}
    numbers = {key: value for key, value in said.items() if isinstance(value, int | float)}
    return msgspec.json.encode(kept | named | numbers).decode()


def _reduced_text(line: str) -> str:
    found = _TEXT.fullmatch(line)
    if found is None:
        return _other(line)
    numbers = " ".join(f"{name}={number}" for name, number in _NUMBER.findall(line))
    return f"{found['timestamp']} {found['level']:<7} {_sentence(found['event'])}  {numbers}".rstrip()


def _sentence(event: str) -> str:
    """What we log is a sentence of plain words that ends nowhere near a name."""
    return event if _SENTENCE.fullmatch(event) else f"({len(event)} characters)"


def _other(line: str) -> str:
    return f"(a line of {len(line)} characters that is none of the log)"
