"""From a downstream namespace or object to a workspace: formats and hashes. Pure: nothing here looks anything up."""

from batcher.mapping.locator import Claim, Flaw, read_claim
from batcher.mapping.syncagent import CLUSTER_LABEL, ObjectClaim, read_object_claim

__all__ = ["CLUSTER_LABEL", "Claim", "Flaw", "ObjectClaim", "read_claim", "read_object_claim"]
