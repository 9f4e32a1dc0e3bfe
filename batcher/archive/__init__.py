"""The archive: Delta tables under one root, written by registering files that a batch has staged.

Delivery is apart from the batch, because a commit of a growing log every few seconds costs more than the
batch, and because an archive that is away must stop nothing. Readers see what is delivered and what is
staged as one table.
"""

from batcher.archive.counted import counted
from batcher.archive.deliver import Deliverer
from batcher.archive.owner import check_owner
from batcher.archive.read import scan
from batcher.archive.remains import Remains, remains

__all__ = ["Deliverer", "Remains", "check_owner", "counted", "remains", "scan"]
