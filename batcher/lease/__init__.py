"""Which of several processes runs: the holder of a Lease (coordination.k8s.io/v1), as client-go elects leaders.

For those who run a second batcher that is to begin when the first is gone. It saves work and confusion; that nothing is
counted twice does not hang on it, but on the lock of the data directory and on the owner of the archive. Nothing here
knows what the leader does.
"""

from batcher.lease.elector import Elector, Terms

__all__ = ["Elector", "Terms"]
