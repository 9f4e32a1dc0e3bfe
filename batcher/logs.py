"""How log lines look: JSON for machines, aligned text for people, on stderr.

Event text never becomes a message; a value that holds it is encoded (JSON) or made safe (text), so that no
line can be forged.
"""

import sys
from typing import Literal

import structlog

from batcher.text import safe


def configure(style: Literal["json", "text"], level: str) -> None:
    """Set the process's logging up, once, before anything logs."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer() if style == "json" else _text_line
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _text_line(_: object, __: str, event: structlog.typing.EventDict) -> str:
    at, level, what = event.pop("timestamp"), event.pop("level"), event.pop("event")
    pairs = " ".join(f"{key}={safe(str(value))}" for key, value in event.items())
    return f"{at} {level:<7} {what}  {pairs}".rstrip()
