"""From API servers to the spool: observe (for ever) > list_then_watch (one list) > stream_once (one answer)."""

from batcher.watch.audit import Seen
from batcher.watch.feed import Sink
from batcher.watch.fleet import ClusterSpec, Fleet
from batcher.watch.status import ClusterStatus, Statuses

__all__ = ["ClusterSpec", "ClusterStatus", "Fleet", "Seen", "Sink", "Statuses"]
