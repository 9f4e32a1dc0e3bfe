"""Summaries into workspaces: what to send, what an answer means, and when to try again."""

from batcher.publish.exchange import Requests
from batcher.publish.publisher import Publisher
from batcher.publish.writes import Outcome, Result, Write

__all__ = ["Outcome", "Publisher", "Requests", "Result", "Write"]
