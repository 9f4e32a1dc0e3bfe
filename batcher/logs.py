"""How log lines look: JSON for machines, aligned text for people, on stderr.

Event text never becomes a message; a value that holds it is encoded (JSON) or made safe (text), so that no
line can be forged. What libraries log, Python warns of, or nobody caught is a line of the same form: they quote what
was sent to them, a request to the metrics' port for one.
"""

import logging
import sys
from types import TracebackType
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
    logging.basicConfig(handlers=[_Passed()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught


class _Passed(logging.Handler):
    """Takes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]  # typing.override: 3.12
        level = max(each for each in _LEVELS if each <= max(record.levelno, logging.DEBUG))
        said = {"by": record.name, "said": record.getMessage(), "exc_info": record.exc_info}
        structlog.get_logger("batcher").log(level, "a library says", **said)


_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


def _uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    structlog.get_logger("batcher").critical("ended by an error nobody thought of", exc_info=(kind, error, where))


def _text_line(_: object, __: str, event: structlog.typing.EventDict) -> str:
    at, level, what = event.pop("timestamp"), event.pop("level"), event.pop("event")
    pairs = " ".join(f"{key}={safe(str(value))}" for key, value in event.items())
    return f"{at} {level:<7} {safe(what)}  {pairs}".rstrip()
