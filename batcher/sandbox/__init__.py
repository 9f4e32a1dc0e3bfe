"""Simulated API servers on loopback, for the demo and the tests: several clusters and a kcp with workspaces.

They answer as the recordings of a real kcp do (tests/transcripts/kcp), and misbehave on demand. Nothing here
is meant to be reachable from elsewhere, and no token here protects anything.

    simulation   Sandbox: all servers together       api         what the verbs do
    cluster      handles for scripts and tests       admission   what is refused, and how
    server       requests and answers                shape       how objects are written down
    reading      get, list and watch over HTTP       stream      what a watch says
    watching     a watch through time                listing     pages and continue tokens
    store        one growing revision                collection  objects, history, snapshots
    faults       the switches                        workspaces  paths and logical clusters
"""

from batcher.sandbox.cluster import Cluster, Kcp, Workspace
from batcher.sandbox.faults import Answer, Chunking, Compacted, Faults, InitialEvents
from batcher.sandbox.identity import Identity
from batcher.sandbox.simulation import Sandbox, serve

__all__ = [
    "Answer",
    "Chunking",
    "Cluster",
    "Compacted",
    "Faults",
    "Identity",
    "InitialEvents",
    "Kcp",
    "Sandbox",
    "Workspace",
    "serve",
]
