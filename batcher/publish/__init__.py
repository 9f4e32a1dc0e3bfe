"""Summaries into workspaces: what to send and where, what an answer means, and when to try again."""

from batcher.publish.delivery import Delivery
from batcher.publish.exchange import Requests
from batcher.publish.export import Export
from batcher.publish.identities import Identities, Way
from batcher.publish.lookup import Lookup
from batcher.publish.publisher import Publisher
from batcher.publish.writes import Outcome, Result, Write

__all__ = [
    "Delivery", "Export", "Identities", "Lookup", "Outcome", "Publisher", "Requests", "Result", "Way", "Write",
]  # fmt: skip
