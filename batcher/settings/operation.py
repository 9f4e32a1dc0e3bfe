"""How the service runs: batches, archive, spool, HTTP and log."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from batcher.settings.values import Duration, Model, Size


class BatchSettings(Model):
    """How often a batch runs and how many lines it takes at most."""

    interval: Duration = timedelta(seconds=5)
    max_rows: int = Field(default=50_000, ge=1)


class Archive(Model):
    """Where the tables are, and how often staged files are registered in them."""

    path: str = "./archive"
    interval: Duration = timedelta(seconds=60)


class Spool(Model):
    """The bound of the write-ahead log."""

    max_bytes: Size = 10 * 2**30


class Serve(Model):
    """Metrics and health over HTTP; on loopback unless told otherwise."""

    address: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)
    """None: no HTTP at all."""


class Log(Model):
    """Log lines on stderr."""

    format: Literal["json", "text"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
