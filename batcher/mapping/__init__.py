"""From a downstream namespace to a workspace: formats and hashes. Pure: nothing here looks anything up."""

from batcher.mapping.locator import Claim, Flaw, read_claim

__all__ = ["Claim", "Flaw", "read_claim"]
