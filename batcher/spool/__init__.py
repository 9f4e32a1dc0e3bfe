"""The write-ahead log of raw lines: what is here survives; what is not here was never received."""

from batcher.spool.frames import UNLISTED, Kind, Section, Stream

__all__ = ["UNLISTED", "Kind", "Section", "Stream"]
