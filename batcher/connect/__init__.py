"""From a kubeconfig to an authenticated HTTP session, for everybody who talks to an API server.

A strict reader of our own instead of the official client's: importing that costs 0.65 s and its
configuration hides which file a credential came from, while we must read tokens and certificates again when
they rotate, and say which file is wrong. Secrets never appear in a repr, a log line or an error.
"""

from batcher.connect.access import Access, Secret, Trust
from batcher.connect.connection import Connection, connect
from batcher.connect.kubeconfig import read_kubeconfig

__all__ = ["Access", "Connection", "Secret", "Trust", "connect", "read_kubeconfig"]
